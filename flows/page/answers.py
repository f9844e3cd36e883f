"""What an iteration's answers were like: how many right, how long, how sure, how the problems' pass rates lie."""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from artifacts import Ref
from flows.page.source import Source

FEW = 16
"""Up to so many answers per problem, each pass rate has a bar of its own; above, there are eleven bars."""
COLUMNS = ("prompt_id", "completion_ids", "logprobs", "finish_reason")


@dataclass
class Answers:
    """Of one table of rollouts and its grades."""

    verdicts: "Counter[bool | None]" = field(default_factory=Counter)
    lengths: "Counter[int]" = field(default_factory=Counter)
    """Answers by number of tokens."""
    tokens: "Counter[bool | None]" = field(default_factory=Counter)
    """By verdict."""
    truncated: int = 0
    surprise: float = 0.0
    """Sum of -log p over the sampled tokens, nats."""
    counted: int = 0
    """Tokens in that sum."""
    by_prompt: dict[str, list[int]] = field(default_factory=dict)
    """Right answers, answers with a verdict."""

    @property
    def count(self) -> int:
        """All answers."""
        return sum(self.verdicts.values())

    @property
    def entropy(self) -> float | None:
        """Mean -log p of the sampled tokens, nats: on average the entropy of the distribution they were drawn from."""
        return self.surprise / self.counted if self.counted else None

    @property
    def mean_length(self) -> float:
        """Tokens."""
        return sum(self.tokens.values()) / max(1, self.count)

    def mean_length_of(self, verdict: bool | None) -> float | None:
        """Tokens of the answers with this verdict; None if there are none."""
        return self.tokens[verdict] / self.verdicts[verdict] if self.verdicts[verdict] else None

    def quantile(self, share: float) -> int:
        """The length that `share` of the answers do not exceed, tokens."""
        seen = 0
        for length in sorted(self.lengths):
            seen += self.lengths[length]
            if seen >= share * self.count:
                return length
        return 0

    def pass_rates(self) -> list[tuple[str, int]]:
        """Problems by their share of right answers, from none to all; those without any verdict are left out."""
        known = [(right, n) for right, n in self.by_prompt.values() if n]
        most = max((n for _, n in known), default=1)
        bars = most if most <= FEW else 10
        counts = Counter(round(bars * right / n) for right, n in known)
        return [
            (f"{index}/{bars}" if most <= FEW else f"{100 * index // bars} %", counts[index])
            for index in range(bars + 1)
        ]


def answers_of(source: Source, row: dict[str, Any]) -> Answers | None:
    """Of an iteration's training answers; None of the starting model, or if they cannot be read."""
    if "rollouts" not in row or "grades" not in row:
        return None
    return source.attempt(_read, source, Ref.from_json(row["rollouts"]), Ref.from_json(row["grades"]))


def _read(source: Source, rollouts: Ref[Any], grades: Ref[Any]) -> Answers:
    found, store = Answers(), source.workspace.store
    verdicts = (verdict for batch in store.batches(grades, ["correct"]) for verdict in batch["correct"].to_pylist())
    for batch in store.batches(rollouts, list(COLUMNS)):
        _count(found, batch, verdicts)
    return found


def _count(found: Answers, batch: pa.RecordBatch, verdicts: Iterator[bool | None]) -> None:
    """Add a batch; a rollout's grade stands at its place."""
    logprobs = batch["logprobs"].flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    finite = logprobs[np.isfinite(logprobs)]
    found.surprise -= float(finite.sum())
    found.counted += len(finite)
    found.truncated += batch["finish_reason"].to_pylist().count("length")
    lengths = batch["completion_ids"].value_lengths().to_pylist()
    for prompt, length in zip(batch["prompt_id"].to_pylist(), lengths, strict=True):
        verdict = next(verdicts, None)
        found.verdicts[verdict] += 1
        found.lengths[length] += 1
        found.tokens[verdict] += length
        entry = found.by_prompt.setdefault(prompt, [0, 0])
        entry[0] += verdict is True
        entry[1] += verdict is not None
