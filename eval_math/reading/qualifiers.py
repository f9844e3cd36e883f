r"""What stands around a value without changing it: "the answer is", "for all n", "k \in \mathbb{Z}", "(at x = 2)"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from eval_math.reading.tokens import Token

_OPENS, _CLOSES = frozenset({"(", "[", "{", "\\{"}), frozenset({")", "]", "}", "\\}"})
_SAYS_TEXT = """is are be equals equal gives give get obtain yields approximately about"""
_SAYS = frozenset(_SAYS_TEXT.split())
_TELLS_TEXT = """for where with here provided given attained achieved since because as which by using"""
_TELLS = frozenset(_TELLS_TEXT.split())
_ALTERS_TEXT = """if when unless otherwise else even odd not except or"""
_ALTERS = frozenset(_ALTERS_TEXT.split())
"""Words that make what is said depend on something; they are never dropped."""
_SINGLE_TEXT = """only exactly approximately about all every any total respectively each always too units"""
_SINGLE = frozenset(_SINGLE_TEXT.split())
_NUMBER_WORDS_TEXT = """integer integers real reals number numbers constant constants natural arbitrary"""
_NUMBER_WORDS = frozenset(_NUMBER_WORDS_TEXT.split())
MAX_TAIL = 60
"""Tokens of what is said behind a value."""
MAX_REMARK = 80
"""Tokens of a remark in brackets."""
_KINDS = ("positive", "negative", "nonnegative", "non-negative", "natural", "real", "arbitrary", "constant")
_WHOLE = frozenset({"bbZ"})
_PERMUTES_TEXT = """and all its their the permutation permutations cyclic of them any"""
_PERMUTES = frozenset(_PERMUTES_TEXT.split()) - {"cyclic"}
_BOUNDS_TEXT = """no at least most more less than greater fewer over under up below above between within minus negative
half twice double triple multiple multiples base square cubic per almost nearly plus times mod every"""
_BOUNDS = frozenset(_BOUNDS_TEXT.split())
_NUMBER_SETS = frozenset({"bbZ", "bbN", "bbR", "bbQ", "bbC"})


class Declared:
    """What the text says of its letters."""

    def __init__(self) -> None:
        """Nothing is said yet."""
        self.whole: set[str] = set()
        """Names that run through all integers."""
        self.free: set[str] = set()
        """Names of any number of some other kind."""
        self.permuted = False
        """Whether all permutations of what stands there are meant."""

    def read(self, tokens: Sequence[Token]) -> bool:
        """Whether the tokens say what some names range over."""
        names = [token.text for token in tokens if token.kind == "name"]
        kinds = {token.text for token in tokens if token.kind == "cmd"} & _NUMBER_SETS
        words = set(_words(tokens))
        if not names or not (kinds or words & _NUMBER_WORDS):
            return False
        limited = words & {"positive", "negative", "natural", "nonnegative", "prime", "non-negative"}
        limited = limited or any(token.text in (">", "<", ">=", "<=", "+", "-") for token in tokens)
        whole = not limited and (kinds & _WHOLE or words & {"integer", "integers"})
        (self.whole if whole else self.free).update(names)
        return True


def strip(tokens: list[Token]) -> tuple[list[Token], Declared]:
    """The tokens of the value itself, and what the text says of its letters."""
    declared = Declared()
    tokens = _without_remarks(tokens, declared)
    tokens = _without_tail(tokens, declared)
    return _without_lead(tokens, declared), declared


def _words(tokens: Sequence[Token]) -> list[str]:
    return [word for token in tokens if token.kind == "text" for word in _split(token.text)]


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,.;:()~]+", text.lower()) if word]


def _without_remarks(tokens: list[Token], declared: Declared) -> list[Token]:
    """Brackets that hold words or a declaration, such as (k an integer) or (attained at x = 2)."""
    if not any(token.kind == "text" or token.text == "in" for token in tokens):
        return tokens
    ends = _closings(tokens)
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        end = ends.get(at, 0)
        if at > 0 and 0 < end - at <= MAX_REMARK and _is_remark(tokens[at + 1 : end], declared):
            at = end
        else:
            kept.append(tokens[at])
        at += 1
    return kept


def _is_remark(inner: list[Token], declared: Declared) -> bool:
    words = set(_words(inner))
    if words & _ALTERS or any(token.text == "or" for token in inner):
        return False
    if words & (_TELLS | {"at"}):
        return True
    declares = any(token.text == "in" for token in inner) or words & {"integer", "integers"}
    return bool(declares) and declared.read(inner)


def _closings(tokens: list[Token]) -> dict[int, int]:
    """Where each round bracket ends."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.text in _OPENS:
            opened.append(index)
        elif token.text in _CLOSES and opened and tokens[start := opened.pop()].text == "(":
            ends[start] = index
    return ends


def _without_tail(tokens: list[Token], declared: Declared) -> list[Token]:
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text in _OPENS or token.kind == "begin") - (token.text in _CLOSES or token.kind == "end")
        if depth or index == 0 or not (token.kind == "text" or token.text in (",", "and")):
            continue
        tail = tokens[index : index + MAX_TAIL]
        words = set(_words(tail))
        if token.kind == "text" and not words & _ALTERS and (first := _split(token.text)) and first[0] in _TELLS:
            declared.read(tail)
            return _without_comma(tokens[:index])
        if index and token.kind == "text" and _split(token.text)[:1] == ["of"] and all(t.kind == "text" for t in tail):
            return tokens[:index]
        if token.text in (",", "and") and _declares(tail) and declared.read(tail):
            return _without_comma(tokens[:index])
        if token.kind == "text" and words & {"permutation", "permutations"} and words <= _PERMUTES:
            declared.permuted = True
            return _without_comma(tokens[:index])
    while len(tokens) > 1 and tokens[-1].kind == "text" and tokens[-1].text.lower() in _SINGLE:
        tokens = _without_comma(tokens[:-1])
    return tokens


def _declares(tail: list[Token]) -> bool:
    r"""Whether `, k \in Z` or `, k is any integer` begins here, perhaps for several names."""
    at = 1
    while at < len(tail) and (tail[at].kind == "name" or (at > 1 and tail[at].text in (",", "and"))):
        at += 1
    if at == 1 or at >= len(tail):
        return False
    if tail[at].text == "in":
        return at + 1 < len(tail) and tail[at + 1].text in _NUMBER_SETS
    first = _split(tail[at].text)
    return tail[at].kind == "text" and bool(first) and first[0] in ("is", "an", "a", "any", "integer", "are", *_KINDS)


def _without_comma(tokens: list[Token]) -> list[Token]:
    while tokens and tokens[-1].text in (",", "and", ":"):
        tokens = tokens[:-1]
    return tokens


def _without_lead(tokens: list[Token], declared: Declared) -> list[Token]:
    """Drop "the area of the square is", "total area =" and "the primes"; "all integers n > 2" declares n."""
    for index in range(min(len(tokens), 14) - 1, -1, -1):
        lead = tokens[: index + 1]
        last = tokens[index]
        if any(token.kind not in ("text", "name") for token in lead[:-1]) or set(_words(lead)) & (_ALTERS | {"no"}):
            continue
        if last.kind == "text" and last.text.lower().split()[-1].rstrip(":") in _SAYS and index + 1 < len(tokens):
            return tokens[index + 1 :]
        if last.text in ("=", ":") and index > 0 and _words(lead):
            return tokens[index + 1 :]
    at = next((index for index, token in enumerate(tokens) if token.kind != "text"), len(tokens))
    words = set(_words(tokens[:at]))
    if not 0 < at < len(tokens) or words & (_ALTERS | _BOUNDS) or tokens[at].text in ("=", "^", "_", "/", "*"):
        return tokens
    if words & {"integer", "integers"} and not words & {"positive", "negative"}:
        declared.whole.update(token.text for token in tokens[at:] if token.kind == "name")
    return tokens[at:]
