"""What the engine calls: the one door between it and Python code.

Nothing here decides anything. A value that is not what its stage needs is an exception with a sentence that says so, and
the engine makes a failure of it. Calls come from the engine's own threads, one at a time for each backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscalebot._errors import TookTooLong, WrongValue, explain, in_one_line
from autoscalebot._finding import django_is_there, find
from autoscalebot._modules import find_module, plain, run_module
from autoscalebot._values import as_json, number, shown, whole_number

if TYPE_CHECKING:
    from autoscalebot._native import Context
    from autoscalebot.backends import BaseBackend
    from autoscalebot.backends.decision import BaseDecisionBackend
    from autoscalebot.backends.measurement import BaseMeasurementBackend
    from autoscalebot.backends.notification import BaseNotificationBackend
    from autoscalebot.backends.scaling import BaseScalingBackend

__all__ = [
    "count",
    "decide",
    "end",
    "explain",
    "find",
    "find_module",
    "in_one_line",
    "log",
    "make",
    "measure",
    "notify",
    "over",
    "plain",
    "run_module",
    "scale_to",
]


def make(cls: Any, settings: str, process: str, context: Context | None) -> BaseBackend:
    """An object of a class, with its settings (JSON, lower case) and what the engine's own backends need."""
    import json

    from autoscalebot.backends import Settings

    backend: BaseBackend = cls.__new__(cls)
    backend.settings = Settings({**backend.settings, **json.loads(settings)})
    backend.process = process
    backend._context = context
    cls.__init__(backend)
    return backend


def measure(backend: BaseMeasurementBackend) -> tuple[float | None, str | None, str | None, str | None]:
    """Measures: a number, or a document as JSON, or a failed result as JSON; and more for people, as JSON."""
    from autoscalebot.backends.measurement import MeasurementError

    try:
        _begin(backend)
        said = answer(backend, "measure")
    except MeasurementError as error:
        return None, None, _failure(error.key, error.message, error.counts_as), None
    detail = None
    if isinstance(said, dict) and _is_result(said):
        success = said.get("success", True)
        if not isinstance(success, bool):
            raise WrongValue(f"measure() returned a result whose success is {shown(success)}, not True or False")
        if not success:
            return None, None, _said_failure(said), None
        detail = as_json(said["detail"], "measure()") if said.get("detail") is not None else None
        said = said.get("data")
    if isinstance(said, (dict, list)):
        return None, as_json(said, "measure()"), None, detail
    return number(said, "measure()"), None, None, detail


def decide(backend: BaseDecisionBackend, results: str, current: int, least: int, most: int) -> tuple[int, str]:
    """How many processes are wanted, and why, if the backend says."""
    import json

    backend.results = json.loads(results)
    backend.current_num_processes = current
    backend.min_num_processes, backend.max_num_processes = least, most
    backend.reason = ""
    _begin(backend)
    wanted = whole_number(answer(backend, "get_num_of_processes_to_scale_to"), "get_num_of_processes_to_scale_to()")
    return wanted, str(backend.reason or "")


def count(backend: BaseScalingBackend) -> int:
    """How many processes run."""
    _begin(backend)
    return whole_number(answer(backend, "get_num_processes"), "get_num_processes()")


def scale_to(backend: BaseScalingBackend, wanted: int, order: str) -> None:
    """Makes so many run. The whole order, for the engine's own platforms, as JSON."""
    backend.__dict__["_order"] = order
    try:
        _begin(backend)
        answer(backend, "scale_to", wanted)
    finally:
        backend.__dict__.pop("_order", None)


def notify(backend: BaseNotificationBackend, event: str, notice: Any) -> None:
    """Tells an event (JSON). ``notice`` is the engine's own form of it."""
    import json

    backend.__dict__["_notice"] = notice
    try:
        _begin(backend)
        answer(backend, "notify", json.loads(event))
    finally:
        backend.__dict__.pop("_notice", None)


def end(backend: BaseBackend) -> None:
    """After the last call."""
    try:
        if backend.__dict__.get("_is_set_up"):
            backend.__dict__["_is_set_up"] = False
            answer(backend, "teardown")
    finally:
        loop = backend.__dict__.pop("_loop", None)
        if loop is not None:
            loop.close()


def over() -> None:
    """After each call, on its thread, which for Python ends here: what is kept per thread is not found again.

    Django keeps a connection to each database that way. Left to itself it would stay open until somebody collects it.
    """
    import sys

    database = sys.modules.get("django.db")
    if database is not None and django_is_there():
        database.connections.close_all()


def log(line: str) -> None:
    """A line of the engine's log (JSON) to Python's logging, logger ``autoscalebot.engine``."""
    import json
    import logging

    try:
        fields = json.loads(line)
    except ValueError:
        fields = {"message": line.rstrip()}
    levels = {"ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO}
    level = levels.get(str(fields.pop("level", "INFO")), logging.DEBUG)
    fields.pop("timestamp", None)
    message = str(fields.pop("message", ""))
    fields.pop("target", None)
    shown = " ".join(f"{name}={value}" for name, value in fields.items())
    first, *rest = message.split("\n")
    text = "\n".join([f"{first} {shown}".strip(), *rest])
    logging.getLogger("autoscalebot.engine").log(level, "%s", text, extra={"fields": fields})


def answer(backend: BaseBackend, name: str, *arguments: Any) -> Any:
    """What a method, an async method or a property says."""
    said = getattr(backend, name)
    if callable(said):
        said = said(*arguments)
    # Cheaper than asking `inspect`, which is only needed for the few that are.
    return _awaited(backend, said) if hasattr(said, "__await__") else said


def _awaited(backend: BaseBackend, said: Any) -> Any:
    """Each backend has a loop of its own: what it keeps open stays usable, and one that blocks holds up no other."""
    import asyncio

    loop = backend.__dict__.get("_loop")
    if loop is None or loop.is_closed():
        loop = backend.__dict__["_loop"] = asyncio.new_event_loop()
    limit = float(backend.settings.timeout_seconds)

    async def within_limit() -> Any:
        return await asyncio.wait_for(said, limit)

    try:
        return loop.run_until_complete(within_limit())
    except (TimeoutError, asyncio.TimeoutError) as error:  # before Python 3.11 these are two
        # It may be one of the method's own, and then has something to say.
        if str(error):
            raise
        raise TookTooLong(f"it was not over after {limit:g} s") from None


def _begin(backend: BaseBackend) -> None:
    if not backend.__dict__.get("_is_set_up"):
        answer(backend, "setup")
        backend.__dict__["_is_set_up"] = True
    answer(backend, "heartbeat_start")


def _is_result(said: dict[Any, Any]) -> bool:
    """Whether it is a result in the original's form, and not a document of the app's own."""
    if "data" in said:
        return "success" in said or set(said) <= {"backend", "data", "detail"}
    return "success" in said and set(said) <= {"backend", "success", "error", "detail"}


def _said_failure(said: dict[str, Any]) -> str:
    error = said.get("error")
    if isinstance(error, dict):
        message = str(error.get("message") or "measure() returned a result without success")
        return _failure(str(error.get("key") or "failed"), message, str(error.get("counts_as") or "unknown"))
    why = error or said.get("data")
    return _failure("failed", f"measure() returned a result without success{f': {why}' if why else ''}", "unknown")


def _failure(key: str, message: str, counts_as: str) -> str:
    import json

    return json.dumps({"key": key, "message": message, "counts_as": counts_as})
