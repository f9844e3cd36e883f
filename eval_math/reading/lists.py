"""What a list of items says as a whole: values, alternatives, points given by their coordinates, residues."""

from __future__ import annotations

from eval_math.reading.tree import Call, Node, Sym, is_call


def listed(groups: list[list[Node]]) -> Node:
    """The list of all items; `or` parts the groups, commas and "and" the items of a group."""
    items = [item for group in groups for item in group]
    if len(items) == 1:
        return items[0]
    if len(groups) == 1:
        return Call("list", _with_modulus(items))
    points = [assignments(Call("list", tuple(group))) for group in groups]
    names = {tuple(sorted(point)) for point in points if point}
    if all(points) and len(names) == 1:
        # "x = 0, y = 0 or x = 1, y = -1" are two points.
        order = next(iter(names))
        return Call("list", tuple(Call("seq:()", tuple(point[name] for name in order)) for point in points if point))
    return Call("or", _with_modulus(items))


def _with_modulus(items: list[Node]) -> tuple[Node, ...]:
    r"""0, 1 \pmod 4 are two residue classes: the modulus of the last item holds for those before it."""
    last = items[-1]
    named = is_call(last, "rel:=")
    value = last.args[-1] if named and isinstance(last, Call) else last
    if not isinstance(value, Call) or value.head != "mod":
        return tuple(items)
    found: list[Node] = []
    for item in items:
        held = item.args[-1] if isinstance(item, Call) and item.head == "rel:=" else item
        found.append(held if is_call(held, "mod") else Call("mod", (held, value.args[1])))
    return tuple(found)


def assignments(node: Node) -> dict[str, Node] | None:
    """The values by name of `x = 1, y = 2`, of `x = y = 0` or of `(x, y) = (1, 2)`; at least two names, else None."""
    if is_call(node, "list", "set"):
        assert isinstance(node, Call)
        pairs = [each.args for each in node.args if isinstance(each, Call) and each.head == "rel:="]
        found = {pair[0].name: pair[1] for pair in pairs if isinstance(pair[0], Sym)}
        return found if len(found) == len(node.args) > 1 else None
    if not isinstance(node, Call) or not node.head.startswith("rel:=") or set(node.head[4:].split(",")) != {"="}:
        return None
    *names, value = node.args
    if len(names) > 1 and all(isinstance(name, Sym) for name in names) and len(set(names)) == len(names):
        return {name.name: value for name in names if isinstance(name, Sym)} if not isinstance(value, Sym) else None
    first = names[0]
    points = [each.args for each in (first, value) if isinstance(each, Call) and each.head == "seq:()"]
    if len(points) < 2 or len(points[0]) != len(points[1]) or not all(isinstance(name, Sym) for name in points[0]):
        return None
    return {name.name: part for name, part in zip(*points, strict=True) if isinstance(name, Sym)}
