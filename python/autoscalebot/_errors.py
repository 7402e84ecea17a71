"""Exceptions of backends, in words for the engine."""

from __future__ import annotations

#: What the names of the files begin with through which the engine comes. That it came says nothing about an error.
_ON_THE_WAY = __file__.rpartition("_errors")[0] + "_"


class WrongValue(TypeError):
    """A method of a backend returned something that its stage cannot use."""


class TookTooLong(TimeoutError):
    """An async method was not over at its limit."""


def explain(error: BaseException) -> tuple[str, str, str, float | None]:
    """A failure for the engine: a stable word, a sentence, the traceback, and after how long to ask again."""
    import traceback

    # Where it happened in somebody's code; that it was called from here says nothing.
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_ON_THE_WAY):
        frames = frames.tb_next
    trace = _text("".join(traceback.format_exception(type(error), error, frames)).rstrip())
    key = getattr(error, "key", None)
    if isinstance(key, str) and hasattr(error, "message"):
        retry_after = getattr(error, "retry_after", None)
        return key, _text(error.message), "", float(retry_after) if retry_after is not None else None
    if isinstance(error, WrongValue):
        return "bad_value", _text(error), "", None
    if isinstance(error, TookTooLong):
        return "timeout", _text(error), "", None
    if isinstance(error, TimeoutError):
        return "timeout", _text(error) or "it took too long", trace, None
    text = _text(error)
    return "exception", f"{type(error).__name__}{f': {text}' if text else ''}", trace, None


def in_one_line(error: BaseException) -> str:
    """An exception with the places in somebody's code that it went through, for a line of an error message."""
    import traceback

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_ON_THE_WAY)
    ]
    own = [frame for frame in frames if not frame.filename.startswith("<frozen ")]
    places = " → ".join(f"{frame.filename}, line {frame.lineno}" for frame in own[-4:])
    text = _text(error)
    said = f"{type(error).__name__}{f': {text}' if text else ''}"
    return f"{said} ({places})" if places else said


def _text(value: object) -> str:
    """As text that can be written anywhere; somebody's own ``__str__`` may raise, or hold half a letter."""
    try:
        text = str(value)
    except BaseException as error:  # noqa: BLE001 - it is only shown
        text = f"(its text cannot be had: {type(error).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()
