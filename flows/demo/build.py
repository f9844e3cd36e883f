"""Write everything the demo starts from: the untrained model, the warm-up answers, the prompts, the exam."""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random

from flows.demo.families import FAMILIES
from flows.demo.problems import Problem, draw

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
    files = DemoFiles(folder / "model", folder / "warmup.jsonl", folder / "train.jsonl", folder / "heldout.jsonl")
    marker = json.dumps({"generator": _generator_digest(), "seed": seed})
    found = folder / MARKER
    if found.is_file() and found.read_text() == marker:
        return files
    if folder.exists() and any(folder.iterdir()) and not found.is_file():
        raise ValueError(f"{folder} holds files that are not the demo's; name an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        unfinished = Path(scratch) / folder.name
        unfinished.mkdir()
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


def _generator_digest() -> str:
    """The sha256 of this package's sources: a changed generator builds its folders anew."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _write_model(folder: Path, seed: int) -> None:
    """In a process of its own: transformers' libraries would stay with the campaign, and speak at its end."""
    made = subprocess.run(
        [sys.executable, "-m", "flows.demo", str(folder), str(seed)], capture_output=True, text=True, errors="replace"
    )
    if made.returncode:
        raise RuntimeError(f"the demo's model could not be written:\n{made.stderr[-2000:]}")


def _write_problems(folder: Path, files: DemoFiles, seed: int) -> None:
    rng = Random(f"train {seed}")
    usable = _distinct(rng, heldout=False)
    warmup = ({**_row(problem), "solution": _solution(rng, problem)} for problem in islice(usable, NUM_WARMUP))
    _write_rows(folder / files.warmup.name, warmup)
    _write_rows(folder / files.train.name, map(_row, islice(usable, NUM_TRAIN)))
    exam = _distinct(Random("heldout"), heldout=True)
    _write_rows(folder / files.heldout.name, map(_row, islice(exam, NUM_HELDOUT)))


def _row(problem: Problem) -> dict[str, str]:
    return {"question": problem.question, "answer": str(problem.answer)}


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
