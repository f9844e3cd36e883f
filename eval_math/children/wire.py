"""What crosses a pipe between this package's processes: messages, and trees as JSON.

A message is JSON with its length before it, four bytes, big-endian. JSON and not pickle: what comes out of a
process that has read hostile text is data and nothing else.
"""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from typing import IO, Any

from eval_math.reading.tree import Call, Node, Num, Quantity, Sym

READY = "ready"
"""A child's first message: everything is imported."""
STARTING = "starting"
"""A worker starts its computer algebra; that time is not the answer's."""


def pack(message: object) -> bytes:
    """The bytes of one message."""
    body = json.dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def unpack(buffer: bytearray) -> Any:
    """Take the first complete message off the buffer; None while there is none."""
    if len(buffer) < 4:
        return None
    (length,) = struct.unpack(">I", buffer[:4])
    if len(buffer) < 4 + length:
        return None
    message = json.loads(bytes(buffer[4 : 4 + length]))
    del buffer[: 4 + length]
    return message


def send(stream: IO[bytes], message: object) -> None:
    """Write one message."""
    stream.write(pack(message))
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message, or None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    body = stream.read(length)
    return json.loads(body) if len(body) == length else None


def to_json(node: Node) -> list[Any]:
    """The tree as nested lists; integers in hexadecimal, which has no limit on digits and is read in linear time."""
    if isinstance(node, Num):
        return ["num", hex(node.value.numerator), hex(node.value.denominator), node.decimals, node.digits]
    if isinstance(node, Sym):
        return ["sym", node.name]
    if isinstance(node, Call):
        return ["call", node.head, [to_json(argument) for argument in node.args]]
    scale = [hex(node.scale.numerator), hex(node.scale.denominator)]
    return ["quantity", to_json(node.value), [list(dim) for dim in node.dims], scale, node.known]


def from_json(row: list[Any]) -> Node:
    """The tree that `to_json` wrote."""
    kind, *rest = row
    if kind == "num":
        return Num(Fraction(int(rest[0], 16), int(rest[1], 16)), rest[2], rest[3])
    if kind == "sym":
        return Sym(rest[0])
    if kind == "call":
        return Call(rest[0], tuple(from_json(argument) for argument in rest[1]))
    if kind == "quantity":
        value, dims, (above, below), known = rest
        scale = Fraction(int(above, 16), int(below, 16))
        return Quantity(from_json(value), tuple((name, power) for name, power in dims), scale, known)
    raise ValueError(f"a tree node of kind {kind!r}; expected num, sym, call or quantity")
