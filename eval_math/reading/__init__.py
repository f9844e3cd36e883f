"""From text to a tree: normalising, tokens, the grammar of answers."""
