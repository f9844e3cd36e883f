"""Responses and golds that nobody would write on purpose: real ones cut, joined, nested, repeated and poisoned.

`pair(seed, index)` depends on nothing but its arguments, the golden files and the benchmarks that are at hand, so an
index is a reproducer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from eval_math import benchmarks
from tests.bench import answer_sets

MAX_CHARS = 60_000
_COMMANDS = """frac sqrt pi left right cup cap pm mp le ge ne in infty sin cos tan log ln exp binom lfloor rfloor lceil
rceil times cdot div text mathrm overline pmod mid vec hat langle rangle mathbb quad begin end boxed circ prime sum int
prod lim to sim approx setminus emptyset over choose displaystyle dfrac operatorname max min gcd arcsin sinh cis not
equiv degree dots ldots cdots"""
PIECES = [
    *"0123456789+-*/^_=<>(){}[]|!,.%$&~ ';:xyznkeiAB", "\\\\", "\\", "\n", "\t", "''", "--", "**", "^^", "__", "..",
    *(f"\\{name} " for name in _COMMANDS.split()), r"\frac{", r"\sqrt[", r"\sqrt[3]{", r"^{", r"_{", r"\{", r"\}",
    r"\%", r"\$", r"\,", r"\!", r"\left(", r"\right]", r"\begin{pmatrix}", r"\end{pmatrix}", r"\begin{cases}",
    r"\end{cases}", r"\boxed{", r"\text{", r"\text{ or }", r"\text{ cm}^2", r"^\circ", r"\log_", r"\mathbb{R}", "1e9",
    "10^{10}", "9^{9^9}", "99!", "0.333", "1,234", "1/0", "<think>", "</think>", "<answer>", "</answer>", "#### ",
    "The answer is ", " and ", " or ", " if n is even", "sqrt(", "pi", "e^", "None", "nan", "inf", "__import__('os')",
    "lambda: 0", "%s", "{0}",
]  # fmt: skip
POISON = [
    "\ud800", "\udfff", "\x00", "\x1b[31m", "\u202e", "\u200b", "\ufeff", "\u0301", "\u2028", "\u00bd", "\u00b2",
    "\u2460", "\u0661\u0662", "\uff11\uff12", "\u4e00", "\U0001d7d9", "\U0001f600", "\u221a", "\u2264", "\u222b",
    "\u2211", "\u03c0", "\u00b0", "\u2032", "\u2212", "\u00a0", "\u3000", "\u0130", "\ufdfa", "\r", "\x85",
]  # fmt: skip
NESTS = [
    ("(", ")"), ("{", "}"), ("[", "]"), (r"\left(", r"\right)"), (r"\sqrt{", "}"), (r"\frac{1}{", "}"), ("-", ""),
    (r"\sin(", ")"), ("|", "|"), ("x^{", "}"), ("2^{", "}"), (r"\{", r"\}"), (r"\text{", "}"), (r"\boxed{", "}"),
    (r"\lfloor ", r"\rfloor "), ("", "!"), ("1+", ""), ("", "^2"), (r"\pm ", ""), (r"\log_{", "}2"), ("", "_{2}"),
    (r"\begin{pmatrix}", r"\end{pmatrix}"), ("((", ""), ("", "}}"), (r"\binom{", "}{2}"), (r"\overline{", "}"),
    ("e^{i ", "}"), (r"f(", ")=1"), ("1,", ""), (r"\ln ", ""), ("'", "'"), (r"\frac", "2"), (r"\cup ", ""),
    ("<think>", ""),
]  # fmt: skip
FRAMES = [
    r"\boxed{%s}", r"So $\boxed{%s}$.", "The answer is %s.", "%s", "<answer>%s</answer>", "#### %s", "$%s$", r"\[%s\]",
    r"<think>\boxed{1}</think> %s", r"\boxed{%s", r"\boxed %s", r"\boxed{3} and \boxed{%s}", "Answer: $%s$",
    r"\boxed{\boxed{%s}}",
]  # fmt: skip


COMBINED = [
    "{}+{}", "({})/({})", "({})^{{{}}}", "{},{}", "{}={}", r"{} \cup {}", r"\frac{{{}}}{{{}}}", r"{} \pm {}", "{}<x<{}",
    r"{}\text{{ or }}{}", r"\binom{{{}}}{{{}}}", "({})!+{}", r"\log_{{{}}}{{{}}}", r"\{{{},{}\}}", r"\sqrt[{}]{{{}}}",
    r"\begin{{pmatrix}}{} & {}\end{{pmatrix}}", "{} {}", "{}{}", r"\sin({})\cos({})",
]  # fmt: skip


@cache
def corpus(data_dir: Path) -> tuple[str, ...]:
    """Short texts that mean something: golden answers and golds, and the golds of the benchmarks."""
    texts: set[str] = set()
    for case in answer_sets.golden():
        texts.update((case.response[:2000], *case.gold))
    for name in answer_sets.available(data_dir):
        texts.update(gold for problem in benchmarks.load(name, data_dir).problems for gold in problem.answers)
    return tuple(sorted(text for text in texts if text.strip()))


def _cut(text: str, other: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    return text[:start] + text[min(len(text), start + chance.randint(1, 12)) :]


def _splice(text: str, other: str, chance: random.Random) -> str:
    return text[: chance.randrange(len(text) + 1)] + other[chance.randrange(len(other) + 1) :]


def _insert(text: str, other: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + "".join(chance.choices(PIECES, k=chance.randint(1, 4))) + text[at:]


def _replace(text: str, other: str, chance: random.Random) -> str:
    tokens = re.findall(r"\\[A-Za-z]+|\d+|.", text, re.DOTALL) or [""]
    tokens[chance.randrange(len(tokens))] = chance.choice(PIECES)
    return "".join(tokens)


def _poison(text: str, other: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(POISON) * chance.choice([1, 1, 1, 3, 200]) + text[at:]


def _nest(text: str, other: str, chance: random.Random) -> str:
    left, right = chance.choice(NESTS)
    depth = chance.choice([1, 1, 2, 3, 5, 20, 100, 1000])
    return left * depth + text + right * depth


def _repeat(text: str, other: str, chance: random.Random) -> str:
    start = chance.randrange(len(text) + 1)
    span = text[start : start + chance.randint(1, 30)]
    return text[:start] + span * chance.choice([2, 3, 10, 100, 2000]) + text[start:]


def _enlarge(text: str, other: str, chance: random.Random) -> str:
    size = chance.choice([3, 9, 20, 300, 4000])
    large = str(chance.randrange(10**size))
    return re.sub(r"\d+", lambda match: large if chance.random() < 0.5 else match.group(), text)


def _combine(text: str, other: str, chance: random.Random) -> str:
    return chance.choice(COMBINED).format(text, other)


def _shuffle(text: str, other: str, chance: random.Random) -> str:
    tokens = re.findall(r"\\[A-Za-z]+|\d+|.", text, re.DOTALL)
    chance.shuffle(tokens)
    return "".join(tokens)


def _noise(text: str, other: str, chance: random.Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.randint(1, 40)))


CHANGES: list[Callable[[str, str, random.Random], str]] = [
    _cut, _splice, _insert, _insert, _replace, _replace, _poison, _nest, _repeat, _enlarge, _combine, _combine,
    _shuffle, _noise,
]  # fmt: skip


def pair(seed: int, index: int, data_dir: Path) -> tuple[str, str]:
    """The (response, gold) of this index."""
    chance = random.Random(f"{seed}:{index}")
    texts = corpus(data_dir)
    gold = chance.choice(texts)
    answer = gold if chance.random() < 0.5 else chance.choice(texts)
    for _ in range(chance.choice([0, 1, 1, 2, 3, 6])):
        answer = chance.choice(CHANGES)(answer, chance.choice(texts), chance)[:MAX_CHARS]
    if chance.random() < 0.4:
        for _ in range(chance.choice([1, 1, 2, 4])):
            gold = chance.choice(CHANGES)(gold, chance.choice(texts), chance)[:MAX_CHARS]
    response = chance.choice(FRAMES) % answer if chance.random() < 0.3 else rf"\boxed{{{answer}}}"
    if chance.random() < 0.03:
        response = (response + " ") * chance.choice([50, 3000])
    return response[: 20 * MAX_CHARS], gold
