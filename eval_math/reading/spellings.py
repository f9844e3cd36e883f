r"""Spellings that no grammar of formulas knows, rewritten into ones it does: 5.6 x 10^-4, 3^{rd}, ]1, 4[, one half."""

from __future__ import annotations

import re

from eval_math.reading.tokens import NUMBER_WORDS

_EAST_ASIAN = "[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"
_FONT = r"\\(?:text|mathrm|rm|mbox|textrm)\s*"
_REWRITES = (
    (re.compile(r"^(?:\\approx|\\simeq|\\sim|~)\s*"), ""),
    # A cross or an x between a number and a power of ten.
    (re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)"), r"\\times "),
    (re.compile(r"\{\s*([-+=<>])\s*\}"), r"\1"),
    (re.compile(r"(?<=\d)\s*([kM]?)\\Omega(?![A-Za-z])"), r"\\text{\1ohm}"),
    # 22 degrees 30 minutes
    (re.compile(r"(?<!\d)(\d{1,9})\s*\u00b0\s*(\d+(?:\.\d+)?)\s*'(?!')"), "(\\1+\\2/60)\u00b0"),
    # seven (7)
    (re.compile(rf"\b(?:{'|'.join(NUMBER_WORDS)})\s*\((\d+)\)", re.IGNORECASE), r"\1"),
    # Chinese, Japanese and Korean units and counters
    (re.compile(rf"(?<=[\d}})])\s*(?:\\text\s*\{{\s*)?{_EAST_ASIAN}{{1,8}}[\u00b2\u00b3]?\s*\}}?\Z"), ""),
    # 7^{\text{th}}, 21st
    (re.compile(rf"(?<=\d)\s*+\^?\s*+\{{?\s*+(?:{_FONT})?\{{?\s*+(?:st|nd|rd|th)\b\s*+\}}?\s*+\}}?"), ""),
    # The derivative of x: \frac{dx}{dt}
    (re.compile(r"\\[dt]?frac\s*\{\s*d\s*([a-zA-Z])\s*\}\s*\{\s*d\s*[a-zA-Z]\s*\}"), r"\1'"),
    (re.compile(rf"\\mu\s*{_FONT}\{{\s*~?\s*([A-Za-z]{{1,3}})\s*\}}"), r"\\mathrm{u\1}"),
    (re.compile(r"\b(?:one|a)[ -]half\b", re.IGNORECASE), r"\\frac{1}{2}"),
    (re.compile(r"\b(one|two)[ -]thirds?\b", re.IGNORECASE), r"\\frac{\1}{3}"),
    (re.compile(r"\b(one|three)[ -](?:quarter|fourth)s?\b", re.IGNORECASE), r"\\frac{\1}{4}"),
    (re.compile(r"\\(?:operatorname|mathrm|text)\s*\{\s*cis\s*\}|\\cis(?![A-Za-z])"), "cis"),
)  # fmt: skip
_ALIGNED = re.compile(r"\\begin\{((?:aligned|align|gather|gathered)\*?)\}(.*)\\end\{\1\}\Z", re.DOTALL)
MAX_FRENCH = 200
"""Characters of an answer with brackets that are turned outwards."""
_OUTWARD = re.compile(r"\s*\]|[^\[]*\]\s*[-\d\\]|.*\[\s*\Z", re.DOTALL)
_FRENCH = re.compile(r"([\[\]])([^\[\]()]{1,60}?[,;][^\[\]()]{1,60}?)([\[\]])")
_WHOLE = (
    (re.compile(r"(?:all |the |any )*odd (?:integers?|numbers?|whole numbers?)\Z"), r"2k+1,k\in\mathbb{Z}"),
    (re.compile(r"(?:all |the |any )*even (?:integers?|numbers?|whole numbers?)\Z"), r"2k,k\in\mathbb{Z}"),
    (re.compile(r"(?:all |the |any )*(?:integer |integral )?multiples of (\d{1,6})\Z"), r"\1k,k\in\mathbb{Z}"),
    (re.compile(r"(?:all |the |any )*integers\Z"), r"\mathbb{Z}"),
)


def rewrite(text: str) -> str:
    """The cleaned text with its odd spellings replaced."""
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    if aligned := _ALIGNED.match(text):
        text = aligned[2].replace("&", " ").replace("\\\\", " ")
    if len(text) <= MAX_FRENCH and _OUTWARD.match(text) and _FRENCH.search(text):
        text = _FRENCH.sub(_as_interval, text)
    return text


def rewrite_words(words: str) -> str | None:
    """A formula for a set that is usually named in words, such as all odd integers; else None."""
    for pattern, formula in _WHOLE:
        match = pattern.match(words)
        if match:
            return match.expand(formula.replace("\\in", "\\\\in").replace("\\math", "\\\\math"))
    return None


def _as_interval(match: re.Match[str]) -> str:
    """]1, 4[ as (1, 4): the French school turns a bracket outwards where the end is left out."""
    opened, inner, closed = match.groups()
    return f"{'(' if opened == ']' else '['}{inner}{']' if closed == ']' else ')'}"
