"""Write everything the demo starts from: the untrained model, the warm-up answers, the prompts, the exam."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random

from flows.demo.model import build_model
from flows.demo.problems import FAMILIES, Problem, draw
from flows.demo.tokenizer import build_tokenizer

VERSION = 1
"""Raise it whenever the generator would write something else, so that old folders are built anew."""

NUM_WARMUP = 12_000
NUM_TRAIN = 4_000
NUM_HELDOUT = 500
HELDOUT_PART = 8
"""One question in so many is kept for the held-out set, whatever the seed."""

MAX_DRAWS = 1_000
"""Draws without a new question after which a family counts as exhausted."""

MARKER = "demo.json"


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """Where the demo's files lie."""

    model: Path
    """HF folder: config, random weights, tokenizer with its chat template."""
    warmup: Path
    """JSONL of question, solution, answer: supervised warm-up in both habits."""
    train: Path
    """JSONL of question, answer: the prompts to sample from."""
    heldout: Path
    """JSONL of question, answer: the exam, the same for every seed."""


def build(folder: Path, seed: int = 0) -> DemoFiles:
    """Make `folder` hold the demo's files for `seed`; one that already does is left untouched."""
    files = DemoFiles(
        folder / "model", folder / "warmup.jsonl", folder / "train.jsonl", folder / "heldout.jsonl"
    )
    marker = json.dumps({"generator": VERSION, "seed": seed})
    found = folder / MARKER
    if found.is_file() and found.read_text() == marker:
        return files
    if folder.exists() and any(folder.iterdir()) and not found.is_file():
        raise ValueError(f"{folder} holds files that are not the demo's; name an empty or a new folder")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _write_model(unfinished / files.model.name, seed)
    _write_problems(unfinished, files, seed)
    (unfinished / MARKER).write_text(marker)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return files


def question_digest(question: str) -> str:
    """The sha256 of a question's text: what decides its side of the split."""
    return hashlib.sha256(question.encode()).hexdigest()


def is_heldout(question: str) -> bool:
    """Whether a question may only be used for evaluation."""
    return int(question_digest(question)[:8], 16) % HELDOUT_PART == 0


def _write_model(folder: Path, seed: int) -> None:
    tokenizer = build_tokenizer()
    build_model(tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write_problems(folder: Path, files: DemoFiles, seed: int) -> None:
    exam = islice(_distinct(Random("heldout"), heldout=True), NUM_HELDOUT)
    _write_rows(
        folder / files.heldout.name, ({"question": p.question, "answer": str(p.answer)} for p in exam)
    )
    rng = Random(f"train {seed}")
    problems = _distinct(rng, heldout=False)
    warmup = (
        {"question": p.question, "solution": _solution(rng, p), "answer": str(p.answer)}
        for p in islice(problems, NUM_WARMUP)
    )
    _write_rows(folder / files.warmup.name, warmup)
    train = ({"question": p.question, "answer": str(p.answer)} for p in islice(problems, NUM_TRAIN))
    _write_rows(folder / files.train.name, train)


def _distinct(rng: Random, *, heldout: bool) -> Iterator[Problem]:
    """Problems of one side of the split without end, families in turn, no question twice."""
    seen: set[str] = set()
    for family in cycle(FAMILIES):
        for _ in range(MAX_DRAWS):
            problem = draw(rng, family)
            if is_heldout(problem.question) == heldout and problem.question not in seen:
                break
        else:
            raise ValueError(f"the family {family!r} has no more than {len(seen) // len(FAMILIES)} questions")
        seen.add(problem.question)
        yield problem


def _solution(rng: Random, problem: Problem) -> str:
    hasty = rng.random() < FAMILIES[problem.family].hasty_share
    return problem.hasty if hasty else problem.careful


def _write_rows(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
