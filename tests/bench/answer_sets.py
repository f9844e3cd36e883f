"""The answers that graders are measured on: golden cases, real golds, shuffled golds, texts of solution length.

Every set is a list of cases (id, response, gold, expected, policy), made from the golden files and the benchmarks alone
and by fixed seeds.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eval_math import Policy, benchmarks, extract

GOLDEN = Path(__file__).parents[1] / "golden"
DATA = Path(os.environ.get("ODR_BENCHMARKS", Path(__file__).parents[3] / "shared" / "data" / "benchmarks"))
NUM_SHUFFLES = 20


class Case(NamedTuple):
    """One response to grade, and what the verdict should be."""

    identity: str
    response: str
    gold: tuple[str, ...]
    expected: bool | None
    policy: Policy


def boxed(text: str) -> str:
    return rf"\boxed{{{text}}}"


def golden() -> list[Case]:
    """Every golden case, from all golden files."""
    cases: list[Case] = []
    policies = {"reward": Policy.reward(), "benchmark": Policy.benchmark()}
    for path in sorted(GOLDEN.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            policy, golds = policies[row.get("policy", "reward")], row["gold"]
            golds = (golds,) if isinstance(golds, str) else tuple(golds)
            identity = f"{path.stem}:{number} ({row['why']})"
            cases.append(Case(identity, row["response"], golds, row["expected"], policy))
    return cases


def available(data_dir: Path) -> list[str]:
    """The registered benchmarks whose files are at hand."""
    stems = {path.stem for path in data_dir.iterdir()} if data_dir.is_dir() else set()
    return [name for name in benchmarks.names() if name in stems]


def itself(name: str, data_dir: Path) -> list[Case]:
    """Every gold of a benchmark in a box, against itself."""
    return [
        Case(problem.problem_id, boxed(gold), (gold,), True, Policy.reward())
        for problem in benchmarks.load(name, data_dir).problems
        for gold in problem.answers
    ]


def real_golds(data_dir: Path) -> list[str]:
    """The distinct golds of all benchmarks at hand but gsm8k, whose thousand whole numbers say nothing new."""
    names = [name for name in available(data_dir) if name != "gsm8k"]
    return list(dict.fromkeys(gold for name in names for case in itself(name, data_dir) for gold in case.gold))


RESPELL = ((r"\frac", r"\dfrac"), (r"\left", ""), (r"\right", ""), (" ", r"\, "), ("=", " = "), ("-", "\u2212"))


def respelled(name: str, data_dir: Path) -> list[Case]:
    """The same with other spacing, fractions and brackets, so that no comparison of characters is enough."""
    cases: list[Case] = []
    for case in itself(name, data_dir):
        text = re.sub(r"\\left(?=[a-z])|\\right(?=[a-z])", "", case.gold[0])
        if "$" not in text and r"\text" not in text and not re.search(r"\\\\|\\!", text):
            for old, new in RESPELL:
                text = text.replace(old, new)
        cases.append(case._replace(response=boxed(rf"\;{text} ")))
    return cases


def shuffled(name: str, data_dir: Path, policy: Policy) -> list[Case]:
    """Every gold against 20 golds of other problems of its benchmark; equal texts are left out, the rest is wrong.

    The answers to one gold stand together, as a training step grades its K answers to one problem.
    """
    problems = benchmarks.load(name, data_dir).problems
    chance = random.Random(f"shuffled {name}")
    cases: list[Case] = []
    for problem in problems:
        others = [each for each in problems if not set(each.answers) & set(problem.answers)]
        for other in chance.sample(others, min(NUM_SHUFFLES, len(others))):
            identity = f"{problem.problem_id} <- {other.problem_id}"
            cases.append(Case(identity, boxed(other.answers[0]), problem.answers, False, policy))
    return cases


def solution_texts(name: str, data_dir: Path) -> list[Case]:
    """Texts as long as solutions that end in the boxed gold: the worked solution, or else questions as padding."""
    benchmark = benchmarks.load(name, data_dir)
    padding = " ".join(problem.question for problem in benchmark.problems[:8])
    cases: list[Case] = []
    for problem, solution in zip(benchmark.problems, _solutions(name, data_dir), strict=True):
        found = extract(solution, "strict")
        text = solution
        if found is None or found.text not in problem.answers:
            text = f"{solution or problem.question + padding}\n\nThe answer is ${boxed(problem.answers[0])}$."
        cases.append(Case(problem.problem_id, text, problem.answers, True, benchmark.policy))
    return cases


def _solutions(name: str, data_dir: Path) -> Iterator[str]:
    with (data_dir / f"{name}.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                row = json.loads(line)
                solution = row.get("solution") or (row.get("answer") if name == "gsm8k" else "")
                yield "\n\n".join(solution) if isinstance(solution, list) else str(solution)
