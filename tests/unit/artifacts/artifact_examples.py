"""Rows of every type, for examples and for hypothesis."""

from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from artifacts import Accepted, Grade, Group, Pair, Prompt, Ref, Rollout, Score, Store, TokenScores

ROW_TYPES = [Prompt, Rollout, Grade, Pair, Accepted, Group, TokenScores, Score]

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_PLAIN = {str: _TEXT, int: st.integers(-(2**63), 2**63 - 1), float: st.floats(), bool: st.booleans()}
_MARKED = {"int32": st.integers(-(2**31), 2**31 - 1), "float32": st.floats(width=32), "repeated": _TEXT}


def rows_of(row_type: type[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists of rows whose neighbours have different keys; field values follow the field's own type."""
    hints = get_type_hints(row_type, include_extras=True)
    row = st.builds(row_type, **{field.name: _values(hints[field.name]) for field in fields(row_type)})
    return st.lists(row, min_size=1, max_size=20, unique_by=lambda r: tuple(getattr(r, name) for name in r.KEY))


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return st.one_of(*(_values(argument) for argument in arguments))
    if origin is list:
        return st.lists(_values(arguments[0]), max_size=5)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is Annotated:
        return _MARKED[arguments[1]]
    return st.none() if hint is type(None) else _PLAIN[hint]


def rollout(index: int = 0, *, prompt_id: str = "p0", tokens: int = 3, text: str = "so 7") -> Rollout:
    """A rollout of one prompt."""
    return Rollout(
        prompt_id=prompt_id,
        sample_index=index,
        prompt_ids=[1, 2],
        completion_ids=list(range(tokens)),
        logprobs=[-0.5] * tokens,
        finish_reason="stop",
        seed=index,
        text=text,
    )


def write(store: Store, rows: list[Rollout], **origin: Any) -> Ref[Rollout]:
    """Store rollouts and return their ref."""
    with store.writer(Rollout, **origin) as writer:
        writer.write_many(rows)
    return writer.ref


def first_part(root: Path, ref: Ref[Any]) -> Path:
    """Path of an artifact's first Parquet file."""
    return root / ref.path / "part-00000.parquet"
