"""What all child processes share: limits, messages, a killable start."""
