"""Bring an answer's characters into one spelling: plain TeX commands, ASCII digits, one kind of space.

Nothing here changes a value: brackets stay, commas stay unless they group thousands, words stay.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CHARACTERS = {
    "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2010": "-", "\u2011": "-", "\ufe63": "-", "\u2044": "/",
    "\u00d7": r"\times ", "\u00b7": r"\cdot ", "\u22c5": r"\cdot ", "\u2217": "*", "\u00f7": r"\div ",
    "\u03c0": r"\pi ", "\U0001d70b": r"\pi ", "\u221a": r"\sqrt", "\u221e": r"\infty ", "\u00b1": r"\pm ",
    "\u2264": r"\le ", "\u2265": r"\ge ", "\u2260": r"\ne ", "\u2248": r"\approx ", "\u2208": r"\in ",
    "\u222a": r"\cup ", "\u2229": r"\cap ", "\u2205": r"\emptyset ", "\u211d": r"\mathbb{R}",
    "\u03b1": r"\alpha ", "\u03b2": r"\beta ", "\u03b3": r"\gamma ", "\u03b8": r"\theta ",
    "\u03bb": r"\lambda ", "\u03c6": r"\phi ", "\u03c9": r"\omega ", "\u03c1": r"\rho ",
    "\u03c3": r"\sigma ", "\u03bc": r"\mu ", "\u2019": "'", "\u2018": "'", "\u2032": "'", "\u201c": '"',
    "\u201d": '"', "\u00a3": r"\pounds ", "\u20ac": r"\euro ", "\u00ba": "\u00b0", "\u2308": r"\lceil ",
    "\u2309": r"\rceil ", "\u230a": r"\lfloor ", "\u230b": r"\rfloor ", "\u27e8": r"\langle ",
    "\u27e9": r"\rangle ", "\u3001": ",", "\u200b": "", "\ufeff": "",
}  # fmt: skip
_TRANSLATION = str.maketrans(_CHARACTERS)
_SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207f"
_SUBSCRIPTS = "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089"
_TO_PLAIN = str.maketrans(_SUPERSCRIPTS + _SUBSCRIPTS, "0123456789+-n0123456789")
_RAISED = re.compile(f"[{_SUPERSCRIPTS}]+")
_LOWERED = re.compile(f"[{_SUBSCRIPTS}]+")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")

_GROUPED = re.compile(r"(?<=\d)(?:,\s*\\!\s*|\{,\}|\\,|\\;|\\:|\\ |~)(?=\d{3}(?!\d))")
_DECIMAL_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d)")
_DELIMITERS = re.compile(r"\\(?:left|right|middle)\s*\.|\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])")
_SILENT = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|mathstrut|strut|boxed|fbox|hfill|rm|bf|it)(?![A-Za-z])"
)
# The two backslashes of a matrix row end come first, or "\\ 2" would lose one of them as a spacing command.
_SPACES = re.compile(r"(\\\\)|(?:\\(?:q?quad|thinspace|enspace|space)(?![A-Za-z])|\\[,;:>\s]|[~\s])++")
_RUNS = re.compile(" {2,}")
_DOLLAR = re.compile(r"(?<!\\)\$")
_MODULE = re.compile(r"(?<![A-Za-z])(?:np|numpy|math|sympy)\.(?=[a-z])")
_DEGREE = re.compile(r"\{\s*\}\s*\^\s*\{?\s*\\circ\s*\}?|\^\s*\{?\s*\\circ\s*\}?|\\degrees?(?![A-Za-z])|\\textdegree")
_PRIME = re.compile(r"\^\s*\{?\s*((?:\\prime\s*)+)\}?")
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"), ("{", "}"))
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d ,])")
_TEXT = re.compile(r"\\(?:text|mbox|textbf|textit|textrm|mathrm|mathbf|mathit|operatorname|emph)\s*\*?\s*\{([^{}]*)\}")
_SUBJECT = re.compile(r"^(?:it|this|that|they|he|she)(?: will be| would be| is| was| are| were) (?=\w{2})")
_ARTICLE = re.compile(r"^(?:the|an?|is|are) (?=\w{2})")


@lru_cache(maxsize=512)
def clean(text: str) -> str:
    """The answer without wrappers, sizing commands and odd characters; at most one space in a row."""
    if not text.isascii():
        # Half of a surrogate pair is no character, and could not be stored.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _RAISED.sub(lambda m: "^{" + m.group().translate(_TO_PLAIN) + "}", text)
    text = _LOWERED.sub(lambda m: "_{" + m.group().translate(_TO_PLAIN) + "}", text)
    text = _VULGAR.sub(
        lambda m: "\\frac{" + unicodedata.normalize("NFKC", m.group()).replace("\u2044", "}{") + "}", text
    )
    text = unwrap(text.translate(_TRANSLATION))
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.replace(r"\(", " ").replace(r"\)", " ")
    text = _GROUPED.sub("", text).replace("\\!", "").replace("{:}", ":")
    text = _DECIMAL_COMMA.sub(".", text)
    text = _DEGREE.sub("\u00b0", _SILENT.sub(" ", _DELIMITERS.sub(" ", text)))
    text = _PRIME.sub(lambda m: "'" * m.group(1).count("prime"), text)
    text = unwrap(_SPACES.sub(lambda m: m.group(1) or " ", text))
    text = _MODULE.sub("", text)
    if "$" in text:
        # "$69$,$84$" has formula signs in pairs; an odd one out before a digit is money.
        money = len(_DOLLAR.findall(text)) % 2 == 1 and re.match(r"-?\$ ?[\d.]", text) and text[-1] != "$"
        text = ("\\" if money else "") + text if money and text[0] == "$" else text
        text = text if money else _RUNS.sub(" ", _DOLLAR.sub("", text)).strip()
    return text.lstrip("= ") if text.startswith("=") else text


def unwrap(text: str) -> str:
    """The text without surrounding dollars, TeX math brackets, stars and final punctuation."""
    text = text.strip()
    for _ in range(8):
        before = text
        for left, right in _WRAPPERS:
            inner = text[len(left) : -len(right)]
            wrapped = text.startswith(left) and text.endswith(right) and len(text) > len(left + right)
            if wrapped and left not in inner:
                text = inner.strip()
        if text[-1:] in ".,;:" and not text.endswith(r"\;") and not text.endswith(r"\,"):
            text = text[:-1].rstrip()
        if text == before:
            break
    return text


def join_thousands(text: str) -> str:
    """The text with 12,345 and 12 345 written 12345, outside brackets only: (1,234) is a point."""
    if not _THOUSANDS.search(text):
        return text
    depth, depths = 0, bytearray(len(text))
    for index, char in enumerate(text):
        # TeX groups do not count: the comma of \frac{1,234}{5} groups digits, that of \{1,234\} does not.
        if char in "([" or (char == "{" and text[index - 1 : index] == "\\"):
            depth += 1
        elif char in ")]" or (char == "}" and text[index - 1 : index] == "\\"):
            depth -= 1
        depths[index] = depth != 0
    return _THOUSANDS.sub(
        lambda m: m.group() if depths[m.start()] else m.group().replace(",", "").replace(" ", ""), text
    )


def squeeze(text: str) -> str:
    """The cleaned text without any space that carries no meaning, for comparison of formulas as text."""
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = re.sub(r" (?=[^A-Za-z])|(?<=[^A-Za-z]) ", "", text)
    return text


@lru_cache(maxsize=512)
def as_words(text: str) -> str:
    """The text as lower-case words, without wrappers, articles and final punctuation."""
    text = clean(text)
    for _ in range(3):
        text = _TEXT.sub(r" \1 ", text)
    text = re.sub(r"[\s$\"'{}]+", " ", text).strip(" .,:;!").lower()
    text = text.replace(". ", " ").replace(".", "") if re.search(r"[a-z]\.", text) else text
    return _ARTICLE.sub("", _SUBJECT.sub("", re.sub(r"\s+", " ", text)))
