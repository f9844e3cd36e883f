"""Time one grader on a list of cases, and write the lines of a table about it.

Nothing is remembered between repetitions unless asked for; the time of an answer is its median over them.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from typing import NamedTuple

from tests.bench.answer_sets import Case
from tests.bench.peers import Answer, Peer, clear_caches

ACCURACY = f"  {'accuracy':13} {'n':>6} {'%':>6} {'f.accept':>8} {'f.reject':>8} {'unknown':>8}"
SPEED = f"  {'speed':22} {'n':>6} {'1/s wall':>9} {'1/s CPU':>9} {'p50 ms':>8} {'p99':>8} {'p99.9':>8} {'max':>8}"


class Run(NamedTuple):
    """One grader over one list of cases, several times."""

    answers: list[Answer]
    wall: list[float]
    cpu: list[float]
    each: list[list[float]]
    """Seconds per answer, by repetition."""


def measure(judge: Peer, cases: list[Case], repeats: int, warm: bool = False) -> Run:
    """Grade all cases `repeats` times; `warm` lets the golds that were read before be remembered."""
    run = Run([], [], [], [])
    if warm:
        for case in cases:
            judge(case)
    for _ in range(repeats):
        if not warm:
            clear_caches()
        answers: list[Answer] = []
        each: list[float] = []
        wall, cpu = time.perf_counter(), time.process_time()
        for case in cases:
            started = time.perf_counter()
            answers.append(judge(case))
            each.append(time.perf_counter() - started)
        run.wall.append(time.perf_counter() - wall)
        run.cpu.append(time.process_time() - cpu)
        run.each.append(each)
        run.answers[:] = answers
    return run


def sample(cases: list[Case], count: int) -> list[Case]:
    """Evenly spaced cases, the same for every peer."""
    return cases if len(cases) <= count else [cases[index * len(cases) // count] for index in range(count)]


def accuracy_line(name: str, cases: list[Case], answers: list[Answer]) -> str:
    """Accuracy over the cases with a verdict to find; the others are counted apart."""
    pairs = list(zip(cases, answers, strict=True))
    decided = [(case, answer) for case, answer in pairs if case.expected is not None]
    right = sum(answer.correct is case.expected for case, answer in decided)
    accepts = sum(answer.correct is True and case.expected is not True for case, answer in pairs)
    rejects = sum(answer.correct is not True and case.expected is True for case, answer in pairs)
    unknown = [answer.correct is None for case, answer in pairs if case.expected is None]
    share = f"{100 * right / len(decided):6.2f}" if decided else "     -"
    blank = f"{sum(unknown)}/{len(unknown)}" if unknown else "-"
    return f"  {name:13} {len(pairs):6} {share} {accepts:8} {rejects:8} {blank:>8}"


def speed_line(name: str, num_cases: int, run: Run) -> str:
    wall, cpu = statistics.median(run.wall), statistics.median(run.cpu)
    # The median over repetitions of each answer: a pause of the machine is not the grader's.
    each = sorted(statistics.median(times) * 1e3 for times in zip(*run.each, strict=True))
    p50, p99, p999 = (each[min(len(each) - 1, int(len(each) * share))] for share in (0.5, 0.99, 0.999))
    slowest = max(max(times) for times in run.each) * 1e3
    return (
        f"  {name:22} {num_cases:6} {num_cases / wall:9.0f} {num_cases / cpu:9.0f} {p50:8.3f} {p99:8.2f} {p999:8.2f} "
        f"{slowest:8.1f}"
    )


def stage_line(run: Run) -> str:
    """Share of the answers that each stage settled, and of the time that went into them."""
    counts: Counter[int] = Counter(answer.stage for answer in run.answers)
    times: dict[int, float] = dict.fromkeys(counts, 0.0)
    for answer, seconds in zip(run.answers, run.each[-1], strict=True):
        times[answer.stage] += seconds
    total, spent = sum(counts.values()), sum(times.values())
    return "  stages: " + "; ".join(
        f"{stage} {100 * counts[stage] / total:.1f} % of answers, {100 * times[stage] / spent:.1f} % of time"
        for stage in sorted(counts)
    )


def mistakes(cases: list[Case], answers: list[Answer]) -> list[str]:
    """Every wrong verdict on its own line, each pair of texts once; a gold that gives no verdict once in all."""
    lines: dict[tuple[str, tuple[str, ...]], str] = {}
    for case, answer in zip(cases, answers, strict=True):
        if answer.correct is not case.expected:
            what = {True: "accepted", False: "rejected", None: "no verdict"}[answer.correct]
            text = case.response if len(case.response) < 200 else "..." + case.response[-160:]
            line = f"    {what} ({answer.reason}) {case.identity}: {text!r} against {' | '.join(case.gold)[:160]!r}"
            lines.setdefault(("" if answer.correct is None else text, case.gold), line)
    return list(lines.values())
