r"""Functions with their arguments: \\sin^2 x, \\log_2 8, \\sqrt[3]{x}, \\sum_{k=1}^{n} k, and products of factors."""

from __future__ import annotations

from fractions import Fraction

from eval_math.reading.cursor import Cursor
from eval_math.reading.matrices import determinant, scaled
from eval_math.reading.tokens import FUNCTIONS, Token
from eval_math.reading.tree import BOUND, ONE, Call, Node, Num, Sym, Unreadable, is_call, substitute, symbols

_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log10"}
SEVERAL = frozenset({"max", "min", "gcd", "lcm"})
"""Functions of any number of arguments."""
_INVERTIBLE = ("sin", "cos", "tan", "cot", "sec", "csc")


class FunctionParser(Cursor):
    """What takes arguments; `starts_factor` is added by the class below."""

    def starts_factor(self) -> bool:
        """Whether the token at the cursor can begin a factor that is multiplied without a sign."""
        raise NotImplementedError

    def repeated(self, name: str) -> Node:
        r"""\sum_{k=1}^{n} and \prod: the term is the product that follows; the index is renamed, for it is bound."""
        self.expect("_")
        self.expect("{")
        index = self.take()
        self.expect("=")
        low = self.sum()
        self.expect("}")
        self.expect("^")
        high = self.exponent()
        self.enter()
        first = self.at
        factors: list[Node] = [self.power()]
        while self.starts_factor() or self.peek().text in ("*", "/"):
            divided = self.accept("*", "/") == "/"
            factor = self.power()
            factors = [Call("div", (product_of(factors), factor))] if divided else [*factors, factor]
        self.depth -= 1
        if index.kind != "name" or self.at == first:
            raise Unreadable(f"{name} without an index")
        bound = Sym(f"{BOUND}{self.depth}")
        term = substitute(product_of(factors), Sym(index.text), bound)
        if index.text in ("e", "i"):
            term = substitute(term, Call(index.text, ()), bound)
        return Call(name, (term, bound, low, high))

    def determinant(self, matrix: Node) -> Node:
        """The determinant of a matrix, written out."""
        value = determinant(matrix)
        if value is None:
            raise Unreadable("a determinant of what is no small square matrix")
        return value

    def root(self) -> Node:
        r"""\sqrt{x} or \sqrt[n]{x}."""
        degree: Node = Num(Fraction(2))
        if self.accept("["):
            degree = self.sum()
            self.expect("]")
        return Call("root", (self.argument(), degree))

    def argument(self) -> Node:
        """One TeX argument: a group, or a single digit or command. TeX takes one digit of a number."""
        token = self.peek()
        if token.num is not None and len(token.text) > 1 and token.text.isdigit():
            first, rest = token.text[0], token.text[1:]
            digit = Token("num", first, Num(Fraction(int(first))))
            self.tokens[self.at : self.at + 1] = [digit, Token("rest", rest, Num(Fraction(int(rest))))]
        if token.kind != "cmd":
            return self.atom()
        # \frac\frac\frac... takes commands for arguments without end.
        return self.nested(self.atom)

    def function(self, name: str) -> Node:
        r"""A function with its power, base and argument: \sin^2 x, \log_2 8, \cos(2t)."""
        name = _ALIASES.get(name, name)
        base = self.argument() if name == "log" and self.accept("_") else None
        raised = self.exponent() if self.accept("^") else None
        if base is None and name == "log" and self.accept("_"):
            base = self.argument()
        arguments = self.function_arguments()
        if name == "binom" and len(arguments) == 1 and self.peek().text == "{":
            arguments = (*arguments, self.argument())
        if len(arguments) != (2 if name == "binom" else 1) and name not in SEVERAL:
            raise Unreadable(f"{name} of {len(arguments)} arguments")
        if name == "sqrt":
            node = Call("root", (*arguments, Num(Fraction(2))))
        elif raised == Call("neg", (ONE,)) and name in _INVERTIBLE:
            node, raised = Call("arc" + name, arguments), None
        elif name == "log" and base is not None:
            node = Call("logb", (*arguments, base))
        else:
            node = Call(name, arguments)
        return Call("pow", (node, raised)) if raised is not None else node

    def function_arguments(self) -> tuple[Node, ...]:
        """A bracket's members, or the product that follows up to a sign or another function."""
        token = self.peek()
        if token.kind == "op" and token.text in ("(", "{", "["):
            self.at += 1
            inner = self.nested(lambda: self.bracket(token.text))
            if is_call(inner, "seq:[)", "seq:(]"):
                raise Unreadable("brackets that do not match")
            return inner.args if isinstance(inner, Call) and inner.head.startswith("seq") else (inner,)
        self.enter()
        negative = bool(self.accept("-"))
        factors = [self.power()]
        while self.starts_factor() and self.peek().text not in FUNCTIONS and self.peek().text != "\\{":
            factors.append(self.power())
        self.depth -= 1
        node = product_of(factors)
        return (Call("neg", (node,)) if negative else node,)


def product_of(factors: list[Node]) -> Node:
    """The product of one factor or more; a matrix takes its scalars in, and P(1, 2) is a point with a name."""
    if len(factors) == 1:
        return factors[0]
    if len(factors) == 2 and isinstance(factors[0], Sym) and factors[0].name.isupper() and _is_point(factors[1]):
        return factors[1]
    return scaled(factors) or Call("mul", tuple(factors))


def _is_point(node: Node) -> bool:
    return isinstance(node, Call) and node.head == "seq:()" and len(node.args) > 1 and not symbols(node)


def ratio_of(parts: list[Node]) -> Node:
    """3:4 is the quotient; a ratio of three parts or more has no value but can be compared."""
    if len(parts) > 2:
        return Call("ratio", tuple(parts))
    return Call("div", tuple(parts)) if len(parts) == 2 else parts[0]
