"""Rollouts against reference answers, part by part: what `grade`, `evaluate` and grading beside engines share.

Each part of a table of rollouts gets a file of grades with the same rows. They depend on the rollouts in it, on their
references and on the rule, so it makes no difference when a part is graded, beside which others, or by which attempt.
"""

# pyarrow ships no types, so strict checking would only report what it cannot know.
# pyright: basic

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import eval_math
from artifacts import Grade, Prompt, Ref, Rollout, Store, read_part
from artifacts.parts import part_batches
from eval_math import rewards
from tasks.code_digest import code_digest
from tasks.display import bar
from tasks.graded_parts import GradedParts, RolloutPart
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

CODE = ("tasks.verdicts", "tasks.graded_parts")
"""The modules that every grade depends on."""


@dataclass(frozen=True)
class Rule:
    """What a grade depends on beside the answer and its references."""

    policy: eval_math.Policy
    reward: str = "boxed_correct"
    """As in `Grading`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    deadline: float = 5.0
    """Seconds one answer may take."""

    @property
    def code(self) -> tuple[str, ...]:
        """Entry points of the code behind it, with the module of a user's own reward."""
        module, colon, _ = self.reward.partition(":")
        return (*CODE, module) if colon else CODE

    def digest(self, prompts: Ref[Prompt]) -> str:
        """32 hex digits that are others when any grade may be."""
        made_of = [prompts.digest, asdict(self), code_digest(*self.code)]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]


def finished_parts(
    rollouts: Ref[Rollout],
    prompts: Ref[Prompt],
    rule: Rule,
    workspace: Workspace,
    workdir: Path,
    workers: int | None,
    label: str = "",
) -> list[Path]:
    """A file of grades for each part of the table, in order; what `workdir` has of them is not made again.

    `label` is for those who watch.
    """
    store, kept = workspace.store, GradedParts(workdir, rule.digest(prompts))
    store.verify(rollouts)
    folder = workspace.root / "store" / rollouts.path
    parts = [RolloutPart(folder / part.name, part.sha256) for part in store.manifest(rollouts).parts]
    found = {part: path for part in parts if (path := kept.find(part))}
    missing = [part for part in parts if part not in found]
    if found:
        log.info("%d of %d parts were graded already", len(found), len(parts))
    made = grade_parts(missing, prompts, rule, store, kept, workers=workers)
    with bar(f"{label} · grading parts", len(parts)) as shown:
        shown.there(len(found))
        for part, path in zip(missing, made, strict=True):
            found[part] = path
            shown.advance(1)
    return [found[part] for part in parts]


def grade_parts(
    parts: Sequence[RolloutPart],
    prompts: Ref[Prompt],
    rule: Rule,
    store: Store,
    kept: GradedParts,
    *,
    workers: int | None,
    check: Callable[[eval_math.Grade], None] = lambda _: None,
) -> Generator[Path]:
    """Grade these parts with one start of the grading processes; yield each one's file when it is finished.

    `check` sees every verdict before it is written; what it raises ends the pass, and only the parts before stay.
    """
    parts = tuple(parts)  # read twice, at different times: answers for the grader, and rows for its verdicts
    reward = rewards.load(rule.reward, rule.options)
    cases = chain.from_iterable(_cases(part, prompts, store) for part in parts)

    def grades_of(part: RolloutPart) -> Iterator[Grade]:
        for prompt_id, index, text in _columns(part, "prompt_id", "sample_index", "text"):
            verdict = next(verdicts)
            check(verdict)
            yield Grade(
                prompt_id=prompt_id,
                sample_index=index,
                correct=verdict.correct,
                reward=reward(verdict, text),
                reason=verdict.reason.value,
                answer=verdict.answer,
            )

    with closing(_graded(cases, rule, workers)) as verdicts:
        for part in parts:
            yield kept.keep(part, grades_of(part))


def graded(rollouts: Ref[Rollout], parts: Sequence[Path], store: Store) -> Iterator[tuple[Rollout, Grade]]:
    """Yield each rollout with its grade from `finished_parts`, in the table's order."""
    grades = chain.from_iterable(read_part(path, Grade) for path in parts)
    return zip(store.read(rollouts, Rollout), grades, strict=True)


def _graded(cases: Iterator[tuple[str, list[str]]], rule: Rule, workers: int | None) -> Generator[eval_math.Grade]:
    yield from eval_math.grade_many(cases, rule.policy, workers=workers, deadline=rule.deadline)


def _cases(part: RolloutPart, prompts: Ref[Prompt], store: Store) -> Iterator[tuple[str, list[str]]]:
    """Each answer of a part with its references; memory does not grow with the table of prompts."""
    wanted = pa.array({name for (name,) in _columns(part, "prompt_id")}, pa.string())
    references: dict[str, list[str]] = {}
    for batch in store.batches(prompts, ["prompt_id", "answers"]):
        ours = batch.filter(pc.call_function("is_in", [batch.column(0).cast(pa.string())], pc.SetLookupOptions(wanted)))
        references |= zip(ours.column(0).to_pylist(), ours.column(1).to_pylist(), strict=True)
    for prompt_id, text in _columns(part, "prompt_id", "text"):
        yield text, references[prompt_id]


def _columns(part: RolloutPart, *names: str) -> Iterator[tuple[Any, ...]]:
    for batch in part_batches(part.path, Rollout, names):
        yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
