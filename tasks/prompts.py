"""Questions with reference answers, from a file or the hub, as an artifact."""

import hashlib
import logging
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from artifacts import Prompt, Ref, Store
from eval_math import benchmarks
from eval_math.audit import audit
from tasks.settings import Benchmark, Source
from tasks.sources import BadSource, hub_rows, read_rows
from tasks.workspace import expand

log = logging.getLogger(__name__)


def load(source: Source, iteration: int, seed: int, store: Store) -> Ref[Prompt]:
    """Store the prompts of one iteration (counted from 0) and return their reference.

    With `per_iteration`, a seeded shuffle of all rows is cut into slices and each iteration takes the next one;
    after the last slice the rows are shuffled anew. Questions that repeat are taken once.

    Raises:
        BadSource: the file or a column is missing, no row is left, or there are fewer than `per_iteration`.
    """
    name = str(source.path.name) if source.path else str(source.dataset).format(iteration=iteration + 1)
    rows = read_rows(expand(source.path)) if source.path else hub_rows(source, name)
    found: dict[str, Prompt] = {}
    count = 0
    for prompt in _prompts(rows, source, name):
        count += 1
        found[prompt.prompt_id] = prompt  # repetitions take no memory, however many a file holds
    unique = list(found.values())
    if not unique:
        raise BadSource(f"{name} holds no rows; expected one question per row")
    chosen = _slice(unique, source.per_iteration, iteration, seed, name)
    with store.writer(Prompt, producer={"source": name, "iteration": iteration, "seed": seed}) as writer:
        writer.write_many(chosen)
        writer.summary.update({"rows": count, "repeated": count - len(unique)})
    return writer.ref


def _slice(prompts: list[Prompt], size: int | None, iteration: int, seed: int, name: str) -> list[Prompt]:
    if size is None:
        return prompts
    if size > len(prompts):
        raise BadSource(f"{name} has {len(prompts)} different questions, fewer than per_iteration={size}; lower it")
    slices = len(prompts) // size
    round_, place = divmod(iteration, slices)
    shuffled = prompts.copy()
    random.Random(f"{seed}:{round_}").shuffle(shuffled)
    return shuffled[place * size : (place + 1) * size]


def _prompts(rows: Iterable[dict[str, Any]], source: Source, name: str) -> Iterator[Prompt]:
    for number, row in enumerate(rows, 1):
        for column in filter(None, (source.question, source.answer, source.solution)):
            if _is_missing(row.get(column)):
                raise BadSource(
                    f"{name}, row {number}: column {column!r} is missing or empty; found columns: {', '.join(row)}. "
                    "Set the column names in the config (question, answer, solution)"
                )
        question = str(row[source.question])
        try:
            digest = hashlib.sha256(question.encode()).hexdigest()
        except UnicodeEncodeError as error:
            raise BadSource(f"{name}, row {number}: the question is no valid Unicode ({error}); repair it") from error
        yield Prompt(
            prompt_id=digest[:16],
            question=question,
            answers=_answers(row[source.answer]),
            solution=str(row[source.solution]) if source.solution else None,
            source=name,
        )


def _is_missing(value: Any) -> bool:
    """Nothing to ask or to compare with: null, NaN, an empty text, or a list with such an entry."""
    if isinstance(value, list):
        return not value or any(_is_missing(item) for item in value)
    return value in (None, "") or (isinstance(value, float) and math.isnan(value))


def _answers(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _answers(item)]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]  # JSON writers turn 27 into 27.0
    return [str(value)]


def load_benchmark(benchmark: Benchmark, store: Store) -> Ref[Prompt]:
    """Store a benchmark's problems and return their reference; golds that the audit objects to are logged.

    Raises:
        BadSource: the file or data set cannot be read, or is not what it should be.
    """
    try:
        found = _find(benchmark)
    except (OSError, ValueError) as error:
        raise BadSource(f"benchmark {benchmark.name}: {error}") from error
    found = replace(found, problems=found.problems[: benchmark.limit])
    exceptions = audit(found)
    if exceptions:
        shown = "; ".join(f"{each.problem_id} ({each.gold:.40}): {each.reason}" for each in exceptions[:5])
        log.warning("benchmark %s: %d golds need a look: %s", found.name, len(exceptions), shown)
    producer = {"benchmark": found.name, "version": found.version, "source": found.source}
    with store.writer(Prompt, producer=producer) as writer:
        for problem in found.problems:
            writer.write(
                Prompt(
                    prompt_id=problem.problem_id,
                    question=problem.question,
                    answers=list(problem.answers),
                    solution=None,
                    source=found.name,
                )
            )
        writer.summary.update({"gold_exceptions": {each.problem_id: each.reason for each in exceptions}})
    return writer.ref


def _find(benchmark: Benchmark) -> benchmarks.Benchmark:
    source = benchmark.source
    if source is None:
        return benchmarks.load(benchmark.name, expand(benchmark.data_dir) if benchmark.data_dir else None)
    entry = benchmarks.Entry(
        dataset=source.dataset,
        question=source.question,
        gold=benchmarks.answers_in(source.answer),
        split=source.split,
        subset=source.subset,
        revision=source.revision,
        id_column="problem_id",
    )
    return benchmarks.load_entry(benchmark.name, entry, expand(source.path) if source.path else None)
