"""Hostile responses: the right verdict, no exception, no file, bounded time and memory, in every way of grading.

The ceilings here say "never hangs" on a busy machine; `python -m tests.bench.hostile` measures.
"""

import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from eval_math import Grade, Policy, grade, grade_many
from tests.bench.hostile_answers import GOLDS, hedges, right_answers, wrong_answers

POLICIES = (Policy.reward(), Policy.benchmark())
WRONG = wrong_answers()
LIMIT_BYTES = 1_000_000_000
CEILING_SECONDS = 10.0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", WRONG)
def test_a_hostile_response_is_wrong_and_soon_done(name: str) -> None:
    for gold in GOLDS[::3]:
        for policy in POLICIES:
            verdict = grade(WRONG[name], gold, policy)
            assert verdict.correct is False, (gold, policy.name, verdict.reason)
            assert verdict.seconds < CEILING_SECONDS


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("response", "gold"), right_answers(), ids=lambda text: text[:20].encode("unicode_escape"))
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_right_answer_in_odd_shape_is_right(response: str, gold: str, policy: Policy) -> None:
    assert grade(response, gold, policy).correct is True


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("response", "gold"), hedges(), ids=lambda text: text[:40])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_naming_the_right_value_among_others_earns_nothing(response: str, gold: str, policy: Policy) -> None:
    assert grade(response, gold, policy).correct is False


@pytest.mark.timeout(60)
def test_a_hostile_gold_is_never_an_exception() -> None:
    for text in WRONG.values():
        for policy in POLICIES:
            assert grade(r"\boxed{17}", text, policy).correct in (False, None)


def _rows() -> list[tuple[str, str]]:
    wrong = [(response, gold) for response in WRONG.values() for gold in GOLDS[::7]]
    return [*wrong, *right_answers(), *hedges()]


@pytest.fixture(scope="module")
def expected() -> list[Grade]:
    """The verdicts of `grade`, one row at a time."""
    return [grade(response, gold, POLICIES[1]) for response, gold in _rows()]


@pytest.mark.timeout(300)
def test_workers_agree_with_grade_and_stay_below_a_gigabyte(expected: list[Grade]) -> None:
    peaks: dict[int, int] = {}

    def watch(_: int) -> None:
        for child in psutil.Process().children():
            peaks[child.pid] = max(peaks.get(child.pid, 0), sum(map(_resident, (child, *_below(child)))))

    found = list(grade_many(_rows(), POLICIES[1], workers=2, progress=watch))

    assert [verdict.correct for verdict in found] == [verdict.correct for verdict in expected]
    assert 0 < max(peaks.values()) < LIMIT_BYTES


@pytest.mark.timeout(300)
def test_a_thread_agrees_with_grade(expected: list[Grade]) -> None:
    found: list[Grade] = []
    grades = partial(grade_many, _rows(), POLICIES[1], workers=0)
    thread = threading.Thread(target=lambda: found.extend(grades()))

    thread.start()
    thread.join()

    # Not the reasons: near a deadline, DIFFERENT and TIMEOUT are both right.
    assert [verdict.correct for verdict in found] == [verdict.correct for verdict in expected]


PAYLOADS = [
    "__import__('os').system('touch {0}')",
    "open('{0}','w')",
    r"\pi*open('{0}','w').close()",
    "[open('{0}','w'), 1]",
    "exec(\"open('{0}','w')\")",
    "eval(compile('open(\"{0}\",\"w\")','','exec'))",
    "(lambda: open('{0}','w'))()",
    "().__class__.__base__.__subclasses__()[0].__init__.__globals__['open']('{0}','w')",
    r"\write18{{touch {0}}}",
    r"\input{{|touch {0}}}",
    "$(touch {0})",
    "`touch {0}`",
    "'; import os; os.system('touch {0}'); '",
    "{{open('{0}','w')}}",
    "x=open('{0}','w')",
    "(1, open('{0}','w'))",
    r"\begin{{pmatrix}}open('{0}','w')\\2\end{{pmatrix}}",
    r"\sum_{{k=1}}^{{2}} open('{0}','w')",
    "!touch {0}",
    "%system touch {0}",
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_code_is_wrong_and_creates_no_file(inside: Path, policy: Policy) -> None:
    texts = [payload.format(place) for payload in PAYLOADS for place in ("executed", inside / "executed")]
    rows = [(rf"The answer is \boxed{{{text}}}.", gold) for text in texts for gold in GOLDS]
    rows += [(rf"\boxed{{17}} {text}", "x") for text in texts]

    for workers in (0, 2):
        found = list(grade_many(rows, policy, workers=workers))
        assert {verdict.correct for verdict in found} == {False}
    for text in texts:
        # A poisoned data set is as good a way in.
        assert grade(r"\boxed{17}", text, policy).correct in (False, None)

    assert list(inside.iterdir()) == []


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
