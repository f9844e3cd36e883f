"""The expression tree: numbers, symbols, operations and quantities; immutable and comparable.

Heads of `Call` by arity:  add mul ratio (n)  pi e i inf (0)  neg fact percent deg rad (1)  div pow root pm mp mod (2)
any function name (n)  based (digits, base)  sum prod (term, bound index, low, high)
set list or union intersection minus (n)  rel:OP,OP (n + 1 sides)  seq:OPEN CLOSE (n; tuples and intervals)
matrix cases (rows)  row (cells)  family (value, names of any integers)  free (value, names of any numbers).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple


class Num(NamedTuple):
    """An exact number as written."""

    value: Fraction
    decimals: int | None = None
    """Digits after the point when written as a decimal, else None."""
    digits: int = 0
    """Significant digits when written as a decimal."""


class Sym(NamedTuple):
    """A variable or an opaque name."""

    name: str


class Call(NamedTuple):
    """An operation `head` on `args`."""

    head: str
    args: tuple[Node, ...]


class Quantity(NamedTuple):
    """A value with a unit: dimensions with powers, and the factor to the base unit."""

    value: Node
    dims: tuple[tuple[str, int], ...]
    scale: Fraction
    known: bool
    """False for a counted thing ("apples"), which conflicts with nothing."""


Node = Num | Sym | Call | Quantity

ZERO, ONE = Num(Fraction(0)), Num(Fraction(1))
BOUND = "#"
"""First character of the name of a bound index, which is no variable of the expression."""
AXIS = "vec_"
"""First characters of the names of the unit vectors i, j, k."""
STRUCTURES = ("list", "or", "set", "union", "intersection", "minus", "matrix", "row", "cases")
"""Heads of what has members."""


class Unreadable(ValueError):
    """The text is not a form this grader reads."""


class TooLarge(ValueError):
    """A value beyond the limits on digits, exponents or depth."""


def walk(node: Node) -> Iterator[Node]:
    """Every node below and including `node`, without recursion."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        if isinstance(top, Call):
            stack.extend(top.args)
        elif isinstance(top, Quantity):
            stack.append(top.value)


def symbols(node: Node) -> frozenset[str]:
    """The names of all variables in the tree."""
    return frozenset(part.name for part in walk(node) if isinstance(part, Sym) and part.name[0] != BOUND)


def heads(node: Node) -> frozenset[str]:
    """The heads of all operations in the tree."""
    return frozenset(part.head for part in walk(node) if isinstance(part, Call))


def is_call(node: Node, *names: str) -> bool:
    """Whether the node is an operation with one of these heads."""
    return isinstance(node, Call) and node.head in names


def leaves(node: Node) -> Iterator[Node]:
    """The single values that a list, set, interval, matrix or relation is made of."""
    if isinstance(node, Call) and (node.head in STRUCTURES or node.head.startswith(("seq:", "rel:"))):
        for argument in node.args:
            yield from leaves(argument)
    else:
        yield node


def substitute(node: Node, old: Node, new: Node) -> Node:
    """The tree with every occurrence of `old` replaced; its depth is bounded by the parser."""
    if node == old:
        return new
    if isinstance(node, Call):
        return Call(node.head, tuple(substitute(argument, old, new) for argument in node.args))
    if isinstance(node, Quantity):
        return node._replace(value=substitute(node.value, old, new))
    return node
