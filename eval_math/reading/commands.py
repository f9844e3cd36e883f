r"""Names, TeX commands and functions with their arguments.

Where TeX and plain text differ, TeX decides for arguments: \sqrt23 is \sqrt{2} 3 and \frac43 is 4/3.
"""

from __future__ import annotations

from eval_math.reading.cursor import END, ENDS, FRACTIONS
from eval_math.reading.functions import FunctionParser
from eval_math.reading.matrices import divided
from eval_math.reading.tokens import CONSTANTS, FUNCTIONS
from eval_math.reading.tree import AXIS, Call, Node, Sym, Unreadable

_DECORATIONS = frozenset(
    {"overline", "vec", "hat", "bar", "tilde", "overrightarrow", "widehat", "dot", "ddot", "underline"}
)
_UNREADABLE = frozenset({"circ", "quad", "therefore", "to", "rightarrow", "implies", "int", "lim"})
UNIT_VECTORS = {"i": "i", "j": "j", "k": "k", "imath": "i", "jmath": "j"}


class CommandParser(FunctionParser):
    """What begins with a letter or a backslash."""

    def starts_factor(self) -> bool:
        """Whether the token at the cursor can begin a factor that is multiplied without a sign."""
        token = self.peek()
        if token.kind in ("name", "rest"):
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
        if [self.peek(ahead).text for ahead in range(3)] == ["(", "0", ")"] and len(name) == 1:
            # I(0) is a value of I; as a product it would be nothing.
            self.at += 3
            return Sym(f"{name}(0)")
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
            above = self.argument()
            return divided(above, self.argument())
        if name == "det":
            return self.determinant(self.atom())
        if name in ("binom", "dbinom", "tbinom"):
            return Call("binom", (self.argument(), self.argument()))
        if name == "sqrt":
            return self.root()
        if name in ("sum", "prod"):
            return self.repeated(name)
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
        if name in ("ldots", "dots", "cdots"):
            return Sym("\\ldots")
        if name in _UNREADABLE:
            raise Unreadable(f"\\{name}")
        if name in _DECORATIONS:
            start = self.at
            self.argument()
            inner = "".join(token.text for token in self.tokens[start : self.at] if token.text not in "{}")
            if inner in UNIT_VECTORS:
                return Sym(AXIS + UNIT_VECTORS[inner])
            return Sym(f"\\{name}{inner}" + self.subscript())
        return Sym("\\" + name + self.subscript())
