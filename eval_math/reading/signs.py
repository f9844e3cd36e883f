r"""Plus-minus signs, written out: the members of 1 \pm 2 are 3 and -1."""

from __future__ import annotations

from eval_math.reading.tree import Call, Node, heads, is_call

_LISTS = ("list", "or", "set")


def has_alternatives(node: Node) -> bool:
    """Whether the node is one item with a plus-minus in it."""
    if not isinstance(node, Call) or node.head in _LISTS:
        return False
    return node.head in ("pm", "mp") or any(has_alternatives(argument) for argument in node.args)


def alternatives(node: Node) -> tuple[Node, ...]:
    """The members of a list or set with each plus-minus written out; upper signs go together in one value.

    The coordinates of a tuple take their signs independently: (±1, ±2) is four points.
    """
    if isinstance(node, Call) and node.head in _LISTS:
        return tuple(
            each for member in node.args for each in ((member,) if is_call(member, *_LISTS) else alternatives(member))
        )
    if _has_independent_signs(node):
        assert isinstance(node, Call)
        points: list[tuple[Node, ...]] = [()]
        for argument in node.args:
            points = [(*point, each) for point in points for each in alternatives(argument)][:64]
        return tuple(Call(node.head, point) for point in points)
    return (_signed(node, True), _signed(node, False)) if has_alternatives(node) else (node,)


def _has_independent_signs(node: Node) -> bool:
    """Whether several coordinates carry a plus-minus, and no minus-plus ties them together."""
    return (
        isinstance(node, Call)
        and node.head.startswith("seq:")
        and sum(map(has_alternatives, node.args)) > 1
        and "mp" not in heads(node)
    )


def _signed(node: Node, upper: bool) -> Node:
    if not isinstance(node, Call):
        return node
    arguments = tuple(_signed(argument, upper) for argument in node.args)
    if node.head in ("pm", "mp"):
        minus = upper == (node.head == "mp")
        return Call("add", (arguments[0], Call("neg", (arguments[1],)) if minus else arguments[1]))
    return Call(node.head, arguments)
