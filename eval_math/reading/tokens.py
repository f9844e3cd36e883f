"""Cut cleaned text into tokens: numbers, names, TeX commands, words and operators."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from eval_math.reading.tree import Num, TooLarge, Unreadable
from eval_math.reading.units import KNOWN, MULTIPLIERS, STOP_WORDS, is_unit_word

MAX_EXPONENT = 10_000
"""Largest power of ten in scientific notation."""

_FUNCTION_NAMES = """sin cos tan cot sec csc arcsin arccos arctan asin acos atan arccot arcsec arccsc
sinh cosh tanh coth exp ln log lg sqrt cbrt abs floor ceil gcd lcm max min Re Im arg binom"""
_FONT_NAMES = """text mbox textbf textit textrm texttt mathrm mathbf mathit mathsf mathtt operatorname mathbb
mathcal emph bm boldsymbol hbox underline"""
_NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty"""
NUMBER_WORDS = {word: value for value, word in enumerate(_NUMBER_WORDS.split())}
FUNCTIONS = frozenset([*_FUNCTION_NAMES.split(), "cis"])
CONSTANTS = frozenset({"pi", "inf", "infty", "infinity", "oo"})
_RELATIONS = {
    "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "lt": "<",
    "gt": ">", "ne": "!=", "neq": "!=", "in": "in", "approx": "approx", "simeq": "approx", "equiv": "=", "cdot": "*",
    "land": "and", "wedge": "and", "lor": "or", "vee": "or", "pmod": "mod", "bmod": "mod", "mod": "mod",
    "times": "*", "div": "/", "ast": "*", "colon": ":", "cup": "cup", "cap": "cap", "setminus": "minus",
    "backslash": "minus", "pm": "pm", "mp": "mp", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|",
    "lbrace": "\\{", "rbrace": "\\}", "lparen": "(", "rparen": ")", "lbrack": "[", "rbrack": "]",
}  # fmt: skip
_FONTS = frozenset(_FONT_NAMES.split())
_TOKEN = re.compile(
    r"(?P<repeat>\d*\.(?P<lead>\d*)\\overline\s*\{\s*(?P<cycle>\d{1,60})\s*\})"
    r"|(?P<num>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![A-Za-z\d]))?)"
    r"|\\(?P<cmd>[A-Za-z]+)"
    r"|(?P<name>[A-Za-z]+)"
    r"|(?P<op>\\[{}%$|&#_\\]|\*\*|<=|>=|!=|:=|==|[-+*/^_=<>!%(){}\[\],;:|'&\u00b0$])"
)
_SPLIT = re.compile(r"arcsin|arccos|arctan|sqrt|sin|cos|tan|log|ln|pi|.")
_GROUP = re.compile(r"\s*+\*?\s*+\{((?:[^{}]|\{[^{}]*\})*)\}")
# Possessive: a run of letters is taken whole, or there would be no end of ways to cut it.
_UNIT_POWERS = re.compile(r"(?=.*[\^*/]|.*\\cdot)(?:\s++|\\cdot|\\times|[A-Za-z]++|\^\s*+\{?\s*+-?\d\s*+\}?|[*/])++\Z")
_AXES = {"i": "i", "j": "j", "k": "k", "imath": "i", "jmath": "j", "hat{i}": "i", "hat{j}": "j", "hat{k}": "k"}
_LETTERS = re.compile(r"[A-Za-z](?:\s*(?:,|and|or|, and|, or)\s+[A-Za-z])+\Z")
_NUMERIC = re.compile(r"^[\s\d.,+\-/()]+$")


class Token(NamedTuple):
    """kind: num, name, cmd, text, op, begin, end."""

    kind: str
    text: str
    num: Num | None = None
    spaced: bool = False
    """Whether a space stands before it."""


def tokenise(text: str) -> list[Token]:
    """The tokens of a cleaned text.

    Raises:
        Unreadable: a character no formula holds.
        TooLarge: a number with an exponent beyond the cap.
    """
    tokens: list[Token] = []
    at, spaced = 0, False
    while at < len(text):
        if text[at].isspace():
            at, spaced = at + 1, True
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"character {text[at]!r}")
        at = match.end()
        command = match.group("cmd")
        if command in _FONTS or command in ("begin", "end"):
            at = _group_command(text, at, command, tokens, spaced)
        else:
            _append(tokens, match, spaced)
        spaced = False
    return tokens


def _append(tokens: list[Token], match: re.Match[str], spaced: bool) -> None:
    text = match.group()
    if match.group("repeat"):
        tokens.append(Token("num", text, _repeating(text, match.group("lead"), match.group("cycle")), spaced))
    elif match.group("num"):
        tokens.append(Token("num", text, number(text), spaced))
    elif match.group("cmd"):
        name = match.group("cmd")
        kind = "op" if name in _RELATIONS else "cmd"
        tokens.append(Token(kind, _RELATIONS.get(name, name), None, spaced))
    elif match.group("name"):
        _append_name(tokens, text, spaced)
    else:
        alias = {"**": "^", "==": "=", ":=": "=", "\\%": "%", ";": ",", "\\|": "|", "\\_": "_"}
        tokens.append(Token("op", alias.get(text, text), None, spaced))


def _append_name(tokens: list[Token], run: str, spaced: bool) -> None:
    lower = run.lower()
    # An acronym such as SRMC is one name; shorter runs of letters are products.
    if run in FUNCTIONS or lower in CONSTANTS or len(run) == 1 or (len(run) > 3 and run.isupper()):
        tokens.append(Token("name", lower if lower in CONSTANTS else run, None, spaced))
    elif lower in ("and", "or", "mod", "modulo"):
        tokens.append(Token("op", lower[:3], None, spaced))
    elif lower in NUMBER_WORDS:
        tokens.append(Token("num", run, Num(Fraction(NUMBER_WORDS[lower])), spaced))
    elif (
        lower in STOP_WORDS
        or lower in MULTIPLIERS
        or lower in ("per", "in", "percent", "base")
        or (is_unit_word(run) and (len(run) > 3 or _ends_value(tokens)))
    ):
        tokens.append(Token("text", run, None, spaced))
    else:
        parts = _SPLIT.findall(run)
        if len(parts) == len(run) and len(run) > 3:
            tokens.append(Token("text", run, None, spaced))
            return
        tokens.extend(Token("name", part, None, spaced and index == 0) for index, part in enumerate(parts))


def _group_command(text: str, at: int, command: str, tokens: list[Token], spaced: bool) -> int:
    match = _GROUP.match(text, at)
    if match is None:
        if command in ("begin", "end"):
            raise Unreadable("an environment without a name")
        return at
    inner = match.group(1).strip()
    if command in ("begin", "end"):
        tokens.append(Token(command, inner.rstrip("*")))
    elif command in ("mathbf", "bm", "boldsymbol", "hat", "vec") and (axis := inner.lstrip("\\").strip("{}")) in _AXES:
        tokens.append(Token("name", "vec_" + _AXES[axis], None, spaced))
    elif command in ("mathrm", "text") and inner in KNOWN and _ends_value(tokens):
        # 5 \mathrm{~m} is five metres, while \mathrm{e} stays a number.
        tokens.append(Token("text", inner, None, spaced))
    elif command == "mathbb":
        tokens.append(Token("cmd", "bb" + inner, None, spaced))
    elif _is_unit_power(inner) and _ends_value(tokens):
        tokens.append(Token("text", inner.replace("\\cdot", "*").replace("\\times", "*"), None, spaced))
    elif (
        inner in FUNCTIONS
        or inner.lower() in ("and", "or", "mod")
        or inner.lower() in NUMBER_WORDS
        or (len(inner) == 1 and command != "text")
        or "\\" in inner
        or _NUMERIC.match(inner)
        or inner[:1].isdigit()
        or _LETTERS.match(inner)
    ):
        tokens.extend(tokenise(inner))
    elif inner:
        tokens.append(Token("text", inner, None, spaced))
    return match.end()


def _ends_value(tokens: list[Token]) -> bool:
    """Whether a number or a closed group ends here, so that a unit may follow."""
    return bool(tokens) and (
        tokens[-1].num is not None or tokens[-1].kind == "text" or tokens[-1].text in (")", "}", "/")
    )


def _is_unit_power(inner: str) -> bool:
    """Whether the inside of a font command is a product of units with powers, such as m s^{-1}."""
    return bool(_UNIT_POWERS.match(inner))


def number(text: str) -> Num:
    """The exact value of a decimal literal; raises TooLarge beyond the exponent cap."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent) > 6 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise TooLarge(f"exponent {exponent[:20]}")
    whole, point, part = mantissa.partition(".")
    # Above 4300 digits int() refuses; the cap on answer length keeps literals below that in practice.
    if len(whole) + len(part) > 4200:
        raise TooLarge("a literal of more than 4200 digits")
    value = Fraction(int(whole + part or 0), 10 ** len(part)) * Fraction(10) ** int(exponent or 0)
    if not point and not exponent:
        return Num(value)
    decimals = max(0, len(part) - int(exponent or 0))
    return Num(value, decimals, len((whole + part).lstrip("0")))


def _repeating(text: str, lead: str, cycle: str) -> Num:
    whole = int(text.partition(".")[0] or 0)
    tail = Fraction(int(cycle), 10 ** len(cycle) - 1) / 10 ** len(lead)
    return Num(whole + Fraction(int(lead or 0), 10 ** len(lead)) + tail)
