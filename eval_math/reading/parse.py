"""From an answer's text to its tree: lists, tuples, intervals, sets, relations, matrices, quantities."""

from __future__ import annotations

from fractions import Fraction

from eval_math.cursor import END
from eval_math.expressions import ExpressionParser
from eval_math.normalise import clean, join_thousands
from eval_math.tokens import tokenise
from eval_math.tree import Call, Node, Num, Quantity, Sym, Unreadable
from eval_math.units import KNOWN, MULTIPLIERS, read_unit

MAX_ITEMS = 100
"""Members of one list, set or tuple."""

_RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "in")
_CLOSERS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "\\{": ("\\}", "}"), "langle": ("rangle",)}


def parse(text: str, *, thousands: bool = True) -> Node:
    """The tree of an answer.

    `thousands` decides whether a top-level 1,234 is one number or a list of two.

    Raises:
        Unreadable: not a form this grader reads.
        TooLarge: nested too deeply, or a literal beyond the caps.
    """
    text = clean(text)
    parser = Parser(tokenise(join_thousands(text) if thousands else text))
    items = parser.items()
    if parser.peek() is not END or not items:
        raise Unreadable(f"{parser.peek().text[:20]!r} after the answer")
    return items[0] if len(items) == 1 else Call("list", tuple(items))


class Parser(ExpressionParser):
    """The grammar above expressions."""

    def items(self) -> list[Node]:
        """Item (',' item)*; an empty item after a comma ("2, and 3") is skipped."""
        found = [self.item()]
        while self.accept(","):
            while self.accept(","):
                pass
            found.append(self.item())
            if len(found) > MAX_ITEMS:
                raise Unreadable(f"more than {MAX_ITEMS} members")
        return found

    def item(self) -> Node:
        """Side (relation side)*, where the first side may be a function's name with its arguments."""
        sides = [self.defined() or self.side()]
        operators: list[str] = []
        while operator := self.accept(*_RELATIONS):
            operators.append(operator)
            sides.append(self.side())
        return Call("rel:" + ",".join(operators), tuple(sides)) if operators else sides[0]

    def defined(self) -> Node | None:
        """f(x) before an equals sign; None, with nothing consumed, for anything else."""
        start = self.at
        token = self.take()
        if token.kind in ("name", "cmd") and self.peek().text == "(":
            close, depth = self.at, 0
            while close < len(self.tokens):
                depth += {"(": 1, ")": -1}.get(self.tokens[close].text, 0)
                if depth == 0:
                    break
                close += 1
            following = self.tokens[close + 1] if close + 1 < len(self.tokens) else END
            if following.text == "=" and close - self.at < 12:
                name = "".join(part.text for part in self.tokens[start : close + 1])
                self.at = close + 1
                return Sym(name)
        elif token.kind == "text" and self.peek().text == "=":
            return Sym(token.text)
        self.at = start
        return None

    def side(self) -> Node:
        r"""Sum (('\cup' | '\cap' | '\setminus') sum)*, with money signs before and units behind."""
        node = self.quantity()
        while operator := self.accept("cup", "cap", "minus"):
            right = self.quantity()
            head = {"cup": "union", "cap": "intersection", "minus": "minus"}[operator]
            joined = node.args if isinstance(node, Call) and node.head == head == "union" else (node,)
            node = Call(head, (*joined, right))
        return node

    def quantity(self) -> Node:
        """A sum with its unit, if it has one."""
        negative = self.peek().text == "-" and self.peek(1).text in ("\\$", "$", "pounds", "euro")
        self.at += negative
        money = self.money()
        node = self.sum()
        node = Call("neg", (node,)) if negative else node
        words = self.unit_words()
        for word in list(words):
            if word.lower() in MULTIPLIERS:
                node = Call("mul", (node, Num(Fraction(MULTIPLIERS[word.lower()]))))
                words.remove(word)
        text = " ".join(words).strip()
        if not text:
            return Quantity(node, ((money, 1),), Fraction(1), True) if money else node
        if text.lower() in ("percent", "degree", "degrees", "radian", "radians", "rad"):
            return Call({"p": "percent", "d": "deg", "r": "rad"}[text[0].lower()], (node,))
        unit = read_unit(text)
        if unit is None:
            raise Unreadable(f"words {text[:40]!r}")
        return Quantity(node, *unit)

    def money(self) -> str:
        """The currency before a number, or nothing."""
        token = self.peek()
        names = {"\\$": "money", "$": "money", "pounds": "pounds", "euro": "euro"}
        if token.text not in names:
            return ""
        self.at += 1
        return names[token.text]

    def unit_words(self) -> list[str]:
        """The words and powers at the cursor that may spell a unit."""
        words: list[str] = []
        while True:
            token, following = self.peek(), self.peek(1)
            if token.kind == "text":
                words.append(token.text)
                self.at += 1
            elif token.text == "^" and words and not words[-1].startswith("^"):
                self.at += 1
                power = self.exponent()
                value = power.args[0] if isinstance(power, Call) and power.args else power
                if not isinstance(value, Num) or not 1 <= value.value <= 9:
                    raise Unreadable("a unit with an odd power")
                words.append(f"^{'-' if value is not power else ''}{value.value}")
            elif words and (
                (token.kind == "name" and token.text in KNOWN)
                or (token.text in ("/", "*") and _unit_like(following.kind, following.text))
            ):
                words.append(token.text)
                self.at += 1
            else:
                return words

    def bracket(self, opened: str) -> Node:
        """The inside of a bracket: a group, a tuple, an interval, a set, an absolute value, a floor."""
        if opened == "|":
            self.bars += 1
            node = Call("abs", (self.sum(),))
            self.expect("|")
            self.bars -= 1
            return node
        if opened in ("lfloor", "lceil"):
            node = Call(opened[1:], (self.sum(),))
            self.expect(f"r{opened[1:]}")
            return node
        bars, self.bars = self.bars, 0
        if opened == "\\{" and self.peek().kind == "name" and self.peek(1).text in ("|", ":"):
            # {x : x > 3} is its condition.
            self.at += 2
            members = self.items()
            self.bars = bars
            if self.take().text != "\\}":
                raise Unreadable("a set without its end")
            return members[0] if len(members) == 1 else Call("list", tuple(members))
        empty = self.peek().text in _CLOSERS[opened]
        members: list[Node] = [] if empty else self.items()
        if opened == "{" and self.peek().text == "choose" and self.take():
            members = [Call("binom", (members[0], self.sum()))]
        closed = self.take().text
        self.bars = bars
        if closed not in _CLOSERS[opened]:
            raise Unreadable(f"{opened} without its end")
        return _enclosed(opened, closed, members)

    def environment(self, name: str) -> Node:
        """The rows of a matrix; `array` states its columns first."""
        if name == "array" and self.accept("{"):
            while self.peek() is not END and self.take().text != "}":
                pass
        rows: list[Node] = []
        while self.peek().kind != "end":
            cells = [self.item()]
            while self.accept("&"):
                cells.append(self.item())
            rows.append(Call("row", tuple(cells)))
            if not self.accept("\\\\") and self.peek().kind != "end":
                raise Unreadable("a matrix row without its end")
        self.take()
        return Call("matrix" if name.endswith("matrix") or name == "array" else name, tuple(rows))


def _enclosed(opened: str, closed: str, members: list[Node]) -> Node:
    if opened == "\\{" or (opened == "{" and len(members) > 1):
        return Call("set", tuple(members))
    if opened == "langle":
        return Call("seq:()", tuple(members))
    if len(members) == 1 and (opened, closed) in (("(", ")"), ("[", "]"), ("{", "}")):
        return members[0]
    if opened == "{" or not members:
        raise Unreadable("an empty bracket")
    return Call(f"seq:{opened}{closed}", tuple(members))


def _unit_like(kind: str, text: str) -> bool:
    return kind == "text" or (kind == "name" and text in KNOWN)
