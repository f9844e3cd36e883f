"""A hyperparameter as the config has it becomes a value of its field's type, or one clear sentence."""

import math
from typing import Any, Literal, get_args, get_origin


def checked(objective: str, name: str, kind: Any, value: Any) -> Any:
    """Return `value` as `kind`. YAML reads 1e-3 as text, so text that is a number is one.

    Raises:
        ValueError: it is of another type, or not finite.
    """
    if get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        raise ValueError(f"objective {objective}: {name} is {value!r}; expected one of: {', '.join(get_args(kind))}")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError(f"objective {objective}: {name} is {value!r}; expected true or false")
    number = _number(value)
    if number is None:
        raise ValueError(f"objective {objective}: {name} is {value!r}; expected a finite number")
    return int(number) if int in (kind, *get_args(kind)) and number.is_integer() else number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
