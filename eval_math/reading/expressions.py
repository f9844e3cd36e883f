r"""Recursive descent over tokens: sums, products, powers and atoms.

Spellings follow common usage where TeX and plain text differ: x^10 is the tenth power, 2\frac{1}{3} and 2
1/3 are mixed numbers, 1/2x is (1/2)x. Each rule is a method whose docstring states its grammar.
"""

from __future__ import annotations

from fractions import Fraction

from eval_math.reading.commands import CommandParser
from eval_math.reading.cursor import ENDS, FRACTIONS
from eval_math.reading.functions import product_of, ratio_of
from eval_math.reading.matrices import divided, negated
from eval_math.reading.tokens import FUNCTIONS
from eval_math.reading.tree import Call, Node, Num, Sym, TooLarge, Unreadable

MAX_SIGNS = 8
"""Factorials, primes, percent and degree signs behind one value."""


class ExpressionParser(CommandParser):
    """Arithmetic; every method raises Unreadable or TooLarge."""

    def sum(self) -> Node:
        r"""Term (('+' | '-' | '\pm' | '\mp') term)*, as one n-ary sum."""
        total: list[Node] = []
        left = self.signed()
        while operator := self.accept("+", "-", "pm", "mp"):
            right = self.signed()
            if operator in ("pm", "mp"):
                left = Call(operator, (Call("add", (*total, left)) if total else left, right))
                total = []
                continue
            total.append(left)
            left = Call("neg", (right,)) if operator == "-" else right
        return Call("add", (*total, left)) if total else left

    def signed(self) -> Node:
        """Any number of signs before a product."""
        negative = False
        while sign := self.accept("+", "-", "pm", "mp"):
            if sign in ("pm", "mp"):
                return Call(sign, (Num(Fraction(0)), self.signed_once()))
            negative ^= sign == "-"
        return negated(self.product()) if negative else self.product()

    def signed_once(self) -> Node:
        """A product with at most one minus before it: the operand of a leading plus-minus."""
        return Call("neg", (self.product(),)) if self.accept("-") else self.product()

    def product(self) -> Node:
        """Factor (('*' | '/')? factor)*, left to right; products parted by ':' are a ratio."""
        mixed = self.mixed()
        factors: list[Node] = [self.postfix(mixed) if mixed else self.power()]
        parts: list[Node] = []
        while True:
            if self.accept(":") or self.accept_text("to"):
                parts.append(product_of(factors))
                factors = [self.power()]
                continue
            operator = self.accept("*", "/")
            if operator:
                negative = bool(self.accept("-"))
                right = self.power()
                right = negated(right) if negative else right
                if operator == "*":
                    factors.append(right)
                else:
                    factors = [divided(product_of(factors), right)]
            elif self.starts_factor():
                factors.append(self.power())
            else:
                return ratio_of([*parts, product_of(factors)])

    def mixed(self) -> Node | None:
        r"""2\frac{1}{3} or 2 1/3 as one number; None, with nothing consumed, for anything else."""
        whole, start = self.peek().num, self.at
        if whole is None or whole.decimals is not None or whole.value.denominator != 1:
            return None
        following = self.peek(1)
        if following.kind == "cmd" and following.text in FRACTIONS:
            self.at += 1
            part = self.atom()
            above, below = part.args if isinstance(part, Call) and part.head == "div" else (None, None)
        elif following.num and following.spaced and self.peek(2).text == "/" and self.peek(3).num:
            above, below = following.num, self.peek(3).num
            self.at += 4
        else:
            return None
        if isinstance(above, Num) and isinstance(below, Num) and 0 < above.value < below.value:
            return Num(whole.value + above.value / below.value)
        if isinstance(above, Num) and isinstance(below, Num) and 0 < below.value <= above.value:
            # As a mixed number 1\frac{9}{5} is none, and as a product nobody writes it so.
            raise Unreadable("an improper fraction behind a whole number")
        self.at = start
        return None

    def power(self) -> Node:
        """Atom postfix* ('^' exponent)?"""
        node = self.postfix(self.atom())
        if isinstance(node, Num) and self.accept("_"):
            return self.in_base(node)
        if not self.accept("^"):
            return node
        node = Call("pow", (node, self.exponent()))
        return self.postfix(node)

    def exponent(self) -> Node:
        """A signed atom, itself perhaps raised: powers group to the right."""
        self.enter()
        negative = False
        while sign := self.accept("-", "+"):
            negative ^= sign == "-"
        node = self.atom()
        if self.accept("^"):
            node = Call("pow", (node, self.exponent()))
        self.depth -= 1
        return Call("neg", (node,)) if negative else node

    def postfix(self, node: Node) -> Node:
        """The node with factorials, primes, percent and degree signs applied."""
        signs = 0
        while sign := self.accept("!", "'", "%", "\u00b0"):
            signs += 1
            if signs > MAX_SIGNS:
                raise TooLarge(f"more than {MAX_SIGNS} signs behind a value")
            if sign == "!" and self.accept("!"):
                node = Call("dfact", (node,))
            elif sign == "'":
                if not isinstance(node, Sym):
                    raise Unreadable("a prime on an expression")
                node = Sym(node.name + "'")
            else:
                node = Call({"!": "fact", "%": "percent", "\u00b0": "deg"}[sign], (node,))
        return node

    def atom(self) -> Node:
        """A number, a name, a bracket, a command or a function with its argument."""
        token = self.take()
        if token.num is not None:
            return self.based(token.num)
        if token.kind == "name":
            return self.function(token.text) if token.text in FUNCTIONS else self.named(token.text)
        if token.kind == "cmd":
            return self.command(token.text)
        if token.kind == "begin":
            return self.nested(lambda: self.environment(token.text))
        if token.kind == "op" and token.text in ENDS:
            return self.nested(lambda: self.bracket(token.text))
        raise Unreadable(f"{token.kind} {token.text[:20]!r}")

    def based(self, literal: Num) -> Node:
        """52_8 as digits and base, or the literal itself."""
        spelled = self.peek().kind == "text" and self.peek().text.lower() == "base" and self.peek(1).num is not None
        self.at += spelled
        if not spelled and not self.accept("_"):
            return literal
        return self.in_base(literal)

    def in_base(self, digits: Node) -> Node:
        """The digits with the base that follows."""
        base = self.argument()
        if not isinstance(base, Num):
            raise Unreadable("a base that is no number")
        return Call("based", (digits, base))
