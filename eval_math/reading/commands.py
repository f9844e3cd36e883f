r"""Names, TeX commands and functions with their arguments.

Where TeX and plain text differ, TeX decides for arguments: \sqrt23 is \sqrt{2} 3 and \frac43 is 4/3.
"""

from __future__ import annotations

from fractions import Fraction

from eval_math.cursor import END, ENDS, FRACTIONS, Cursor
from eval_math.tokens import CONSTANTS, FUNCTIONS, Token
from eval_math.tree import ONE, Call, Node, Num, Sym, Unreadable

_DECORATIONS = frozenset(
    {"overline", "vec", "hat", "bar", "tilde", "overrightarrow", "widehat", "dot", "ddot", "underline"}
)
_UNREADABLE = frozenset(
    {
        "circ",
        "quad",
        "cdots",
        "ldots",
        "dots",
        "therefore",
        "to",
        "rightarrow",
        "implies",
        "sum",
        "prod",
        "int",
        "lim",
    }
)
_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log10"}
_INVERTIBLE = ("sin", "cos", "tan", "cot", "sec", "csc")


class CommandParser(Cursor):
    """What begins with a letter or a backslash."""

    def starts_factor(self) -> bool:
        """Whether the token at the cursor can begin a factor that is multiplied without a sign."""
        token = self.peek()
        if token.kind == "name":
            return True
        if token.kind == "rest":
            return True
        if token.kind == "num":
            before = self.tokens[self.at - 1]
            return before.text in (")", "}", "]") or (before.kind in ("name", "cmd") and token.spaced)
        if token.kind == "cmd":
            return token.text not in ("rangle", "rfloor", "rceil", "choose", "over", "euro", "pounds")
        if token.kind == "op":
            return token.text in ("(", "{", "[", "\\{") or (token.text == "|" and self.bars == 0)
        return token.kind == "begin"

    def named(self, name: str) -> Node:
        """A constant, or a symbol with its subscript."""
        if name in CONSTANTS:
            return Call("pi", ()) if name == "pi" else Call("inf", ())
        if name in ("e", "i") and self.peek().text != "_":
            return Call(name, ())
        return Sym(name + self.subscript())

    def subscript(self) -> str:
        """The text of a subscript, or nothing."""
        if not self.accept("_"):
            return ""
        token = self.take()
        if token.text != "{":
            return "_" + token.text[:40]
        parts, depth = [], 1
        while depth and self.peek() is not END:
            token = self.take()
            depth += (token.text == "{") - (token.text == "}")
            parts.append(token.text)
        if depth:
            raise Unreadable("a subscript without its end")
        return "_" + "".join(parts[:-1])[:40]

    def command(self, name: str) -> Node:
        """A TeX command with its arguments."""
        if name in FRACTIONS:
            return Call("div", (self.argument(), self.argument()))
        if name in ("binom", "dbinom", "tbinom"):
            return Call("binom", (self.argument(), self.argument()))
        if name == "sqrt":
            return self.root()
        if name in FUNCTIONS:
            return self.function(name)
        if name in ENDS:
            return self.nested(lambda: self.bracket(name))
        if name in ("infty", "pi", "inf"):
            return self.named(name)
        if name in ("emptyset", "varnothing"):
            return Call("set", ())
        if name == "bbR":
            return Call("seq:()", (Call("neg", (Call("inf", ()),)), Call("inf", ())))
        if name in _UNREADABLE:
            raise Unreadable(f"\\{name}")
        if name in _DECORATIONS:
            start = self.at
            self.argument()
            inner = "".join(token.text for token in self.tokens[start : self.at] if token.text not in "{}")
            return Sym(f"\\{name}{inner}" + self.subscript())
        return Sym("\\" + name + self.subscript())

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
        return self.atom()

    def function(self, name: str) -> Node:
        r"""A function with its power, base and argument: \sin^2 x, \log_2 8, \cos(2t)."""
        name = _ALIASES.get(name, name)
        base = self.argument() if name == "log" and self.accept("_") else None
        raised = self.exponent() if self.accept("^") else None
        if base is None and name == "log" and self.accept("_"):
            base = self.argument()
        arguments = self.function_arguments()
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
    """The product of one factor or more."""
    return factors[0] if len(factors) == 1 else Call("mul", tuple(factors))
