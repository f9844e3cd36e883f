"""What is listed and enclosed: lists, sets, tuples, intervals, relations, matrices and definitions by cases."""

from __future__ import annotations

from eval_math.reading.cursor import END
from eval_math.reading.lists import listed
from eval_math.reading.matrices import is_matrix
from eval_math.reading.quantities import QuantityParser
from eval_math.reading.tree import Call, Node, Sym, Unreadable

MAX_ITEMS = 100
"""Members of one list, set or tuple."""

_RELATIONS = ("=", "<", ">", "<=", ">=", "!=", "in", "approx")
_CLOSERS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "\\{": ("\\}", "}"), "langle": ("rangle",)}
_SET_SIGNS = {"cup": "union", "cap": "intersection", "minus": "minus"}


class BracketParser(QuantityParser):
    """The grammar above single values."""

    def items(self) -> Node:
        """Item (',' item)* as one list, or as alternatives where "or" parts them; "2, and 3" has two members."""
        groups: list[list[Node]] = [[self.item()]]
        while signs := self.separators():
            if self.peek() is END and signs == {","}:
                break
            if "or" in signs:
                groups.append([])
            groups[-1].append(self.item())
            if sum(map(len, groups)) > MAX_ITEMS:
                raise Unreadable(f"more than {MAX_ITEMS} members")
        return listed(groups)

    def separators(self) -> set[str]:
        """The commas and words between two items."""
        signs: set[str] = set()
        while sign := self.accept(",", "and", "or"):
            signs.add(sign)
        return signs

    def item(self) -> Node:
        """Side (relation side)*, where the first side may be a function's name with its arguments."""
        sides = [self.defined() or self.side()]
        operators: list[str] = []
        while operator := self.accept(*_RELATIONS):
            operators.append(operator)
            sides.append(self.side())
        if "approx" in operators:
            operators, sides = _without_approximation(operators, sides)
        return Call("rel:" + ",".join(operators), tuple(sides)) if operators else sides[0]

    def defined(self) -> Node | None:
        """f(x) before an equals sign; None, with nothing consumed, for anything else."""
        start = self.at
        token = self.take()
        if token.kind in ("name", "cmd") and self.peek().text in ("(", "^", "'"):
            # A name and its arguments are a few tokens; what is longer is an expression.
            close = next((at for at in range(self.at, min(start + 12, len(self.tokens))) if self.peek_at(at) == "="), 0)
            if close and self.peek_at(close - 1) == ")" and self._is_name(start, close):
                self.at = close
                return Sym("".join(part.text for part in self.tokens[start:close]))
        elif token.kind == "text" and self.peek().text == "=":
            return Sym(token.text)
        self.at = start
        return None

    def peek_at(self, index: int) -> str:
        """The text of the token at this index."""
        return self.tokens[index].text

    def _is_name(self, start: int, close: int) -> bool:
        """Whether tokens[start:close] name a function with its arguments: f(x), P(a, b), f^{-1}(x), f'(x)."""
        texts = [token.text for token in self.tokens[start + 1 : close]]
        opened = texts.index("(") if "(" in texts else 0
        raised, arguments = texts[:opened], self.tokens[start + opened + 2 : close - 1]
        plain = all(token.kind in ("name", "num") or token.text == "," for token in arguments)
        primes = all(text == "'" for text in raised)
        power = bool(raised) and raised[0] == "^" and set(raised[1:]) <= {"{", "}", "-", "1", "2"}
        return plain and bool(arguments) and (primes or power)

    def side(self) -> Node:
        r"""Quantity (('\cup' | '\cap' | '\setminus') quantity)*."""
        node = self.modular()
        while operator := self.accept(*_SET_SIGNS):
            right = self.modular()
            head = _SET_SIGNS[operator]
            joined = node.args if isinstance(node, Call) and node.head == head == "union" else (node,)
            node = Call(head, (*joined, right))
        return node

    def modular(self) -> Node:
        """Quantity ('mod' modulus)?, the latter perhaps in brackets."""
        node = self.quantity()
        if self.peek().text == "(" and self.peek(1).text == "mod":
            self.at += 2
            node = Call("mod", (node, self.sum()))
            self.expect(")")
        elif self.accept("mod"):
            node = Call("mod", (node, self.sum()))
        return node

    def bracket(self, opened: str) -> Node:
        """The inside of a bracket: a group, a tuple, an interval, a set, an absolute value, a floor."""
        if opened == "|":
            self.bars += 1
            inner = self.sum()
            self.expect("|")
            self.bars -= 1
            return self.determinant(inner) if is_matrix(inner) else Call("abs", (inner,))
        if opened in ("lfloor", "lceil"):
            node = Call(opened[1:], (self.sum(),))
            self.expect(f"r{opened[1:]}")
            return node
        bars, self.bars = self.bars, 0
        node = self.condition_set() if opened == "\\{" else None
        if node is None:
            node = self.members(opened)
        self.bars = bars
        return node

    def condition_set(self) -> Node | None:
        """{x : x > 3} is its condition, and {x in R | ...} too; None, with nothing consumed, for anything else."""
        if self.peek().kind != "name":
            return None
        bar = 1 if self.peek(1).text in ("|", ":") else 3 if self.peek(1).text == "in" else 0
        if not bar or self.peek(bar).text not in ("|", ":"):
            return None
        self.at += bar + 1
        node = self.items()
        if self.take().text != "\\}":
            raise Unreadable("a set without its end")
        return node

    def members(self, opened: str) -> Node:
        """Items and the end of the bracket."""
        empty = self.peek().text in _CLOSERS[opened]
        inner = None if empty else self.items()
        if opened == "{" and inner is not None and self.peek().text == "choose" and self.take():
            inner = Call("binom", (inner, self.sum()))
        closed = self.take().text
        if closed not in _CLOSERS[opened]:
            raise Unreadable(f"{opened} without its end")
        return _enclosed(opened, closed, inner)


def _enclosed(opened: str, closed: str, inner: Node | None) -> Node:
    members = (
        inner.args if isinstance(inner, Call) and inner.head in ("list", "or") else () if inner is None else (inner,)
    )
    if (
        opened == "{"
        and inner is not None
        and all(isinstance(member, Call) and member.head.startswith("rel:") for member in members)
    ):
        return inner
    if opened == "\\{" or (opened == "{" and len(members) > 1):
        return Call("set", members)
    if opened == "langle":
        return Call("seq:()", members)
    if len(members) == 1 and (opened, closed) in (("(", ")"), ("[", "]"), ("{", "}")):
        return members[0]
    if opened == "{" or not members:
        raise Unreadable("an empty bracket")
    return Call(f"seq:{opened}{closed}", members)


def _without_approximation(operators: list[str], sides: list[Node]) -> tuple[list[str], list[Node]]:
    """What stands before the approximation, unless that is a bare name, whose value the approximation is then."""
    at = operators.index("approx")
    if at == 0 and isinstance(sides[0], Sym):
        return ["="], sides[:2]
    return operators[:at], sides[: at + 1]
