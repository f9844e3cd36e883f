"""Stage 3: graded rollouts become training rows: pairs for DPO, accepted answers for RAFT, groups for GRPO."""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from artifacts import Accepted, Checkpoint, Grade, Group, Pair, Ref, Rollout
from tasks.caching import Run, stage
from tasks.objectives import RowKind
from tasks.pairing.accepted import accepted_of
from tasks.pairing.advantages import Moments
from tasks.pairing.advice import no_rows
from tasks.pairing.answers import OUT_OF_BAND, Graded, in_band, pass_rate, usable, why_none
from tasks.pairing.groups import groups_of
from tasks.pairing.pairs import pairs_of
from tasks.pairing.process import Decode
from tasks.settings import Pairing

log = logging.getLogger(__name__)

ROW_TYPES: dict[RowKind, type[Any]] = {"pairs": Pair, "accepted": Accepted, "groups": Group}


@stage("pair", code=lambda _: ("tasks.pair",))
def pair(
    rollouts: Ref[Rollout],
    grades: Ref[Grade],
    pairing: Pairing,
    rows: RowKind,
    seed: int,
    run: Run,
    tokenizer: Checkpoint | None = None,
) -> Ref[Any]:
    """Return the table of `rows` made of these rollouts, every prompt or answer that is left out counted.

    `tokenizer` is a model of the campaign, whichever; only process supervision needs it.

    Raises:
        NoRows: no prompt yields a row.
    """
    store = run.workspace.store
    decode = _decoder(tokenizer) if tokenizer and rows == "groups" and pairing.advantage == "process" else None

    def prompts() -> Iterator[list[Graded]]:
        verdicts = store.read(grades, Grade)
        for group in store.grouped(rollouts, Rollout):
            yield [(rollout, _grade_of(rollout, next(verdicts, None))) for rollout in group]

    counts: Counter[str] = Counter()
    with store.writer(
        ROW_TYPES[rows],
        parents=[rollouts.digest, grades.digest],
        producer={"pairing": pairing.model_dump(mode="json"), "seed": seed},
        allow_empty=True,
    ) as writer:
        if rows == "groups" and pairing.advantage == "whitened":
            moments = _moments(built(prompts(), pairing, rows, seed, Counter(), decode))
            writer.write_many(_whitened(row, moments) for row in built(prompts(), pairing, rows, seed, counts, decode))
        else:
            writer.write_many(built(prompts(), pairing, rows, seed, counts, decode))
        writer.summary.update(+counts)
    dropped = _listed(counts, lambda name: name != "prompts" and not name.startswith("kept"))
    kept = _listed(counts, lambda name: name.startswith("kept"))
    log.info(
        "%s · pair: %d prompts -> %d %s (dropped: %s)%s",
        run.label,
        counts["prompts"],
        writer.ref.rows,
        "answers in groups" if rows == "groups" else rows,
        dropped,
        f"; {kept}" if kept else "",
    )
    if not writer.ref.rows:
        raise no_rows(rows, counts, dropped, str(run.workspace.root / "store" / rollouts.path))
    return writer.ref


def built(
    prompts: Iterator[list[Graded]],
    pairing: Pairing,
    rows: RowKind,
    seed: int,
    counts: "Counter[str]",
    decode: Decode | None = None,
) -> Iterator[Any]:
    """The rows of all prompts. A prompt's draw depends on the seed and its name, not on the other prompts."""
    for graded in prompts:
        counts["prompts"] += 1
        rate = pass_rate(graded)
        candidates = usable(graded, pairing, counts)
        if not in_band(rate, pairing):
            counts[OUT_OF_BAND] += 1
            continue
        rng = random.Random(f"{seed}:{graded[0][0].prompt_id}")
        found: Sequence[Any] | str
        if rows == "groups":
            found = groups_of(candidates, pairing, counts, rate, decode) if candidates else []
        elif rows == "pairs":
            found = pairs_of(candidates, pairing, rng, counts, rate)
        else:
            found = accepted_of(candidates, pairing, rng, counts, rate)
        if isinstance(found, str) or not found:
            counts[str(found or why_none(graded))] += 1
        else:
            yield from found


def _decoder(model: Checkpoint) -> Decode:
    """Token ids to text as the sampler decodes them."""
    from tasks.workers.template import load_tokenizer

    tokenizer = load_tokenizer(str(model.path))
    return lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False))


def _listed(counts: "Counter[str]", wanted: Callable[[str], bool]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted((+counts).items()) if wanted(name))


def _moments(rows: Iterator[Group]) -> Moments:
    """Of the rewards, over all tokens of the table: the first of two passes."""
    moments = Moments()
    for row in rows:
        moments.add(row.reward, len(row.completion_ids))
    return moments


def _whitened(row: Group, moments: Moments) -> Group:
    return replace(row, advantages=[moments.whiten(row.reward)] * len(row.completion_ids))


def _grade_of(rollout: Rollout, grade: Grade | None) -> Grade:
    """The grade that stands at a rollout's place, if it is that rollout's."""
    if grade is None or (grade.prompt_id, grade.sample_index) != (rollout.prompt_id, rollout.sample_index):
        raise ValueError(
            f"the grades are of other rollouts: expected one of prompt {rollout.prompt_id}, sample "
            f"{rollout.sample_index}, found {grade}; grade these rollouts"
        )
    return grade
