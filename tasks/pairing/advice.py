"""What to change when no prompt yields a row."""

from collections import Counter

from tasks.objectives import RowKind
from tasks.pairing.answers import OUT_OF_BAND
from tasks.pairing.groups import OTHER_TEXT, UNIFORM


class NoRows(ValueError):
    """Nothing to train on: the message says why and what to change."""


def no_rows(rows: RowKind, counts: "Counter[str]", dropped: str, rollouts: str) -> NoRows:
    """The error of an empty table, with the counts that emptied it."""
    return NoRows(
        f"no {rows} from {counts['prompts']} prompts (dropped: {dropped}): {_change(counts)}. The rollouts are kept: "
        f"{rollouts}"
    )


def _change(counts: "Counter[str]") -> str:
    if counts[OUT_OF_BAND] > counts["prompts"] / 2:
        return "widen pair.min_pass_rate and pair.max_pass_rate, or use other prompts"
    if counts[OTHER_TEXT] > counts["prompts"] / 2:
        return (
            "the tokenizer is not the one that the answers were sampled with; give `pair` the model that sampled them"
        )
    if counts[UNIFORM] > counts["prompts"] / 2:
        return "raise sample.samples_per_prompt, use prompts of middling difficulty, or set pair.uniform_groups=keep"
    if counts["pairs: margin below min_margin"] > counts["prompts"] / 2:
        return "lower pair.min_margin"
    if counts["all right"] > counts["all wrong"]:
        return "the prompts are too easy: use harder ones, or raise sample.temperature"
    if counts["all wrong"]:
        return (
            "the prompts are too hard or the answer format is not met: look at some rollouts, set template.suffix, "
            "raise sample.max_tokens or sample.samples_per_prompt, or warm up first"
        )
    return "raise sample.max_tokens, or check the reference answers"
