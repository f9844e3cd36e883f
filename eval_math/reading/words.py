r"""Answers that are words: choice letters, yes and no, "no solution", and plain prose."""

from __future__ import annotations

import re

from eval_math.reading.normalise import as_words, clean, squeeze

_CHOICE = re.compile(
    r"^\(?\s*([A-Ja-j])\s*(?:\)|\.(?!\d)|:)(?!\S)\s*(.*)\Z|^\(([A-J])\)\s*(.*)\Z|^(?:option|choice)\s+\(?([A-Ja-j])\)?\Z"
    r"|^([A-J])\Z",
    re.DOTALL | re.IGNORECASE,
)
_FONT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|bf|rm)\s*\{\s*(\(?[A-J][).:]?)\s*\}")
_TEXT_OPTION = re.compile(r"\\text(?:bf|it|rm)?\s*\{\s*((?:[Oo]ption|[Cc]hoice)\s+\(?[A-J]\)?)\s*\}")
_PROSE = re.compile(r"[A-Za-z][A-Za-z0-9\s.,:;'\"()\-/&!?]{0,199}\Z|\d[\d\s:.,]*[A-Za-z][A-Za-z.\s]{0,30}\Z")
_MEANINGS = {
    "yes": "yes", "true": "yes", "no": "no", "false": "no",
    "no solution": "none", "no solutions": "none", "no real solution": "none", "no real solutions": "none",
    "none": "none", r"\emptyset": "none", r"\varnothing": "none", "empty set": "none", "there is no solution": "none",
    "there are no solutions": "none", "no such numbers exist": "none", "no real roots": "none", "no roots": "none",
    r"\{\}": "none", "there are none": "none",
    "does not exist": "undefined", "dne": "undefined", "undefined": "undefined", "not defined": "undefined",
    "infinitely many": "endless", "infinitely many solutions": "endless", "infinite": "endless",
    "infinite solutions": "endless", "infinite number of solutions": "endless",
    r"\mathbb{r}": "reals", "all real numbers": "reals", "all reals": "reals", "all real x": "reals",
    "any real number": "reals", "real numbers": "reals", "every real number": "reals", r"x\in\mathbb{r}": "reals",
    r"(-\infty,\infty)": "reals", r"(-\infty,+\infty)": "reals",
}  # fmt: skip


_NONE_SUCH = re.compile(r"(?:exists? )?no such [a-z]+(?: exists?)?\Z|no [a-z]+ exists?\Z")


def letter_of(text: str) -> tuple[str, str] | None:
    """(letter, rest) of a multiple-choice answer such as `(D)`, `D.`, `option D` or `(D) 14`."""
    text = clean(_TEXT_OPTION.sub(r"\1", _FONT.sub(r"\1 ", text)))
    match = _CHOICE.match(text)
    if match is None:
        return None
    groups = match.groups()
    letter = next(groups[at] for at in (0, 2, 4, 5) if groups[at])
    # A lower-case letter alone is a variable.
    if len(text) == 1 and text.islower():
        return None
    return letter.upper(), (groups[1] or groups[3] or "").strip()


def meaning_of(text: str) -> str | None:
    """What a phrase of the few that have many spellings means: yes, no, none, undefined, endless or reals."""
    words = as_words(text)
    for lead in ("there are ", "there is ", "it is "):
        words = words.removeprefix(lead)
    if words.startswith(("yes,", "no,")):
        return words.partition(",")[0]
    if _NONE_SUCH.match(words):
        return "none"
    return _MEANINGS.get(words) or _MEANINGS.get(squeeze(clean(text)).lower())


def is_prose(words: str) -> bool:
    """Whether normalised words read as text and not as a formula."""
    return bool(_PROSE.match(words))
