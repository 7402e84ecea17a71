"""What backends return, sorted out: a value that its stage can use, or an exception with a sentence that says why not."""

from __future__ import annotations

from typing import Any

from autoscalebot._errors import WrongValue


def number(said: Any, whose: str) -> float:
    """A finite number, of any type that is one."""
    from math import isfinite

    # The usual case first, and a bool is an int.
    if type(said) is not float and type(said) is not int and not _is_number(said):
        raise WrongValue(f"{whose} returned {shown(said)}, not a number")
    try:
        value = float(said)
    except Exception as error:
        raise WrongValue(f"{whose} returned {shown(said)}, not a number: {error}") from error
    if not isfinite(value):
        raise WrongValue(f"{whose} returned {shown(said)}, which is no finite number")
    return value


def whole_number(said: Any, whose: str) -> int:
    """A count: a whole number, 0 or more."""
    value = number(said, whose)
    if value < 0 or not value.is_integer() or value > 2**32 - 1:
        raise WrongValue(f"{whose} returned {shown(said)}, not a whole number from 0 on")
    return int(value)


def truth(said: Any, whose: str) -> bool:
    """True or false, of any type that means just that."""
    if isinstance(said, int) or type(said).__name__ in ("bool", "bool_"):
        return bool(said)
    raise WrongValue(f"{whose} returned {shown(said)}, not True or False")


def as_json(said: Any, whose: str) -> str:
    import json

    try:
        text = json.dumps(said, allow_nan=False, ensure_ascii=False)
        text.encode()
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongValue(f"{whose} returned a document that is no JSON: {error}") from error


def _is_number(said: Any) -> bool:
    if said is None or isinstance(said, (bool, str, bytes, complex)):
        return False
    return hasattr(type(said), "__float__") or hasattr(type(said), "__index__")


def shown(said: Any) -> str:
    """A value as a person would point at it; somebody's own ``__repr__`` may raise or be long."""
    try:
        text = repr(said)
    except Exception:  # noqa: BLE001 - it is only shown
        text = f"an object of {type(said).__qualname__}"
    return text if len(text) <= 60 else text[:60] + "…"
