"""Matrix arithmetic on trees, as far as answers need it: a scalar factor, a sum, a determinant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

from eval_math.reading.tree import Call, Node, is_call

MAX_DETERMINANT = 5


def is_matrix(node: Node) -> bool:
    """Whether the node is a matrix of cells."""
    return is_call(node, "matrix")


def scaled(factors: list[Node]) -> Node | None:
    """The product of scalars and one matrix, multiplied in; None unless exactly one factor is a matrix."""
    matrices = [factor for factor in factors if is_matrix(factor)]
    scalars = [factor for factor in factors if not is_matrix(factor)]
    if len(matrices) != 1 or not scalars:
        return None
    return _each(matrices[0], lambda cell: Call("mul", (*scalars, cell)))


def divided(above: Node, below: Node) -> Node:
    """The quotient; a matrix is divided cell by cell."""
    if is_matrix(above) and not is_matrix(below):
        return _each(above, lambda cell: Call("div", (cell, below)))
    return Call("div", (above, below))


def negated(node: Node) -> Node:
    """The negative; that of a matrix has negative cells."""
    return _each(node, lambda cell: Call("neg", (cell,))) if is_matrix(node) else Call("neg", (node,))


def determinant(node: Node) -> Node | None:
    """The determinant as a sum of products (Leibniz); None for what is no square matrix of at most 5 rows."""
    rows = [_args(row) for row in _args(node)] if is_matrix(node) else []
    size = len(rows)
    if not 0 < size <= MAX_DETERMINANT or any(len(row) != size for row in rows):
        return None
    terms: list[Node] = []
    for order in permutations(range(size)):
        inversions = sum(order[i] > order[j] for i in range(size) for j in range(i + 1, size))
        product = Call("mul", tuple(rows[at][column] for at, column in enumerate(order)))
        terms.append(Call("neg", (product,)) if inversions % 2 else product)
    return Call("add", tuple(terms))


def _args(node: Node) -> tuple[Node, ...]:
    assert isinstance(node, Call)
    return node.args


def _each(matrix: Node, change: Callable[[Node], Node]) -> Node:
    return Call("matrix", tuple(Call("row", tuple(change(cell) for cell in _args(row))) for row in _args(matrix)))
