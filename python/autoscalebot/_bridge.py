"""What the engine calls: finds the classes that settings name, calls them, and sorts out what they return.

Nothing here decides anything. A value that is not what its stage needs is an exception with a sentence that says so, and
the engine makes a failure of it. Calls come from the engine's own threads, one at a time for each backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import os

    from autoscalebot._native import Context
    from autoscalebot.backends import BaseBackend
    from autoscalebot.backends.decision import BaseDecisionBackend
    from autoscalebot.backends.measurement import BaseMeasurementBackend
    from autoscalebot.backends.notification import BaseNotificationBackend
    from autoscalebot.backends.scaling import BaseScalingBackend

#: Classes that settings named as objects, by the name that stands for them. A test's class may be in no module, and the
#: next test's may have the same name.
_named: dict[str, type] = {}

#: Shipped backends that run in Python when there is Python, by stage and last part of the name.
_IN_PYTHON = {
    ("notification", "Logger"): "LoggerBackend",
    ("notification", "Memory"): "TestBackend",
    ("notification", "Test"): "TestBackend",
    ("notification", "DjangoEmail"): "DjangoEmailBackend",
}


#: What says whether one step is needed.
_STEPS = ("needs_scale_up", "needs_scale_down")


class WrongValue(TypeError):
    """A method of a backend returned something that its stage cannot use."""


class TookTooLong(TimeoutError):
    """An async method was not over at its limit."""


class NoSuchBackend(Exception):
    """A name in the settings that leads to no backend."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(found)
        self.found = found
        self.allowed = allowed


class Found(NamedTuple):
    """A backend class."""

    cls: type
    #: Its name in the engine's words.
    name: str
    #: The shipped backend whose settings it has as well.
    native: str | None
    #: The names and defaults that the Python classes say themselves, as JSON.
    defaults: str
    #: The first paragraph of its documentation.
    doc: str
    #: The unit of its readings, if it measures and says so.
    unit: str


# --- finding ---------------------------------------------------------------------------------------------------------


def name_of(cls: type) -> str:
    """The name under which settings may have a class as an object."""
    plain = name = f"{cls.__module__}.{cls.__qualname__}"
    if cls.__module__.startswith("autoscalebot.backends."):
        return name
    number = 1
    while _named.setdefault(name, cls) is not cls:
        number += 1
        name = f"{plain}#{number}"
    return name


def find(stage: str, name: str) -> Found | None:
    """The class that a name in the settings means; ``None`` when it is one of the engine's own."""
    import inspect
    import json

    from autoscalebot._defaults import own_defaults

    cls, shown = _class_of(stage, name)
    if cls is None:
        return None
    base = _base_of(stage)
    if not issubclass(cls, base):
        raise NoSuchBackend(f"{shown} is no {stage} backend", f"a subclass of {base.__module__}.{base.__qualname__}")
    missing = _missing(cls)
    if missing:
        raise NoSuchBackend(f"{shown} has no {missing}", f"one, as {base.__module__}.{base.__qualname__} says")
    try:
        defaults = json.dumps(own_defaults(cls), allow_nan=False)
    except Exception as error:
        said = in_one_line(error)
        raise NoSuchBackend(f"the default_settings of {shown} cannot be used: {said}", "plain values") from error
    doc = (inspect.getdoc(cls) or "").split("\n\n")[0]
    return Found(cls, shown, cls.native_backend, defaults, doc, str(getattr(cls, "unit", "")))


def _missing(cls: Any) -> str:
    """The method that a subclass must have and has not; empty when it has all."""
    # Of each list one is enough.
    bases = (
        ("measurement", "BaseMeasurementBackend", [["measure"]]),
        ("decision", "IncrementBasedDecisionBackend", [["get_num_of_processes_to_scale_to", *_STEPS]]),
        ("decision", "BaseDecisionBackend", [["get_num_of_processes_to_scale_to"]]),
        ("scaling", "BaseScalingBackend", [["get_num_processes"], ["scale_to"]]),
        ("notification", "BaseNotificationBackend", [["send_notification", "notify"]]),
    )
    for stage, name, rows in bases:
        base = getattr(_module(f"autoscalebot.backends.{stage}"), name)
        for methods in rows if issubclass(cls, base) else ():
            if all(getattr(cls, method) is getattr(base, method) for method in methods):
                wanted = [method for method in methods if not (name.startswith("Increment") and method not in _STEPS)]
                return "method " + " or ".join(f"{method}()" for method in wanted)
    return ""


def _class_of(stage: str, name: str) -> tuple[Any, str]:
    if name in _named:
        return _named[name], name
    module, _, last = name.rpartition(".")
    ours = module in ("", f"autoscalebot.backends.{stage}")
    short = last.removesuffix("Backend")
    if ours and (stage, short) in _IN_PYTHON:
        if short == "DjangoEmail" and not _django_is_there():
            return None, name
        return vars(_module(f"autoscalebot.backends.{stage}"))[_IN_PYTHON[stage, short]], short
    if not module or module.startswith("autoscalebot.backends"):
        return None, name
    return _imported(module, last, name), name


def _imported(module: str, last: str, name: str) -> Any:
    try:
        home = _module(module)
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            raise NoSuchBackend(
                f"there is no Python module {error.name} for {name}", "a dotted path that Python can import"
            ) from error
        raise NoSuchBackend(f"{name} cannot be imported: {in_one_line(error)}", "") from error
    cls = getattr(home, last, None)
    if not isinstance(cls, type):
        what = "nothing" if cls is None else "no class"
        raise NoSuchBackend(f"{last} is {what} in the module {module}", "the dotted path of a class")
    return cls


def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(name)


def _base_of(stage: str) -> Any:
    names = {
        "measurement": "BaseMeasurementBackend",
        "decision": "BaseDecisionBackend",
        "scaling": "BaseScalingBackend",
        "notification": "BaseNotificationBackend",
    }
    return getattr(_module(f"autoscalebot.backends.{stage}"), names[stage])


def _django_is_there() -> bool:
    """Whether a Django project is set up in this program. Asks nobody who is not there."""
    import sys

    if "django" not in sys.modules:
        return False
    from django.conf import settings

    return bool(settings.configured)


# --- calling ---------------------------------------------------------------------------------------------------------


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


def over() -> None:
    """After each call, on its thread, which for Python ends here: what is kept per thread is not found again.

    Django keeps a connection to each database that way. Left to itself it would stay open until somebody collects it.
    """
    import sys

    database = sys.modules.get("django.db")
    if database is not None and _django_is_there():
        database.connections.close_all()


def _begin(backend: BaseBackend) -> None:
    if not backend.__dict__.get("_is_set_up"):
        answer(backend, "setup")
        backend.__dict__["_is_set_up"] = True
    answer(backend, "heartbeat_start")


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
            raise WrongValue(f"measure() returned a result whose success is {_shown(success)}, not True or False")
        if not success:
            return None, None, _said_failure(said), None
        detail = _json(said["detail"], "measure()") if said.get("detail") is not None else None
        said = said.get("data")
    if isinstance(said, (dict, list)):
        return None, _json(said, "measure()"), None, detail
    return number(said, "measure()"), None, None, detail


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


def number(said: Any, whose: str) -> float:
    """A finite number, of any type that is one."""
    from math import isfinite

    # The usual case first, and a bool is an int.
    if type(said) is not float and type(said) is not int and not _is_number(said):
        raise WrongValue(f"{whose} returned {_shown(said)}, not a number")
    try:
        value = float(said)
    except Exception as error:
        raise WrongValue(f"{whose} returned {_shown(said)}, not a number: {error}") from error
    if not isfinite(value):
        raise WrongValue(f"{whose} returned {_shown(said)}, which is no finite number")
    return value


def _is_number(said: Any) -> bool:
    if said is None or isinstance(said, (bool, str, bytes, complex)):
        return False
    return hasattr(type(said), "__float__") or hasattr(type(said), "__index__")


def _json(said: Any, whose: str) -> str:
    import json

    try:
        text = json.dumps(said, allow_nan=False, ensure_ascii=False)
        text.encode()
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongValue(f"{whose} returned a document that is no JSON: {error}") from error


def whole_number(said: Any, whose: str) -> int:
    """A count: a whole number, 0 or more."""
    value = number(said, whose)
    if value < 0 or not value.is_integer() or value > 2**32 - 1:
        raise WrongValue(f"{whose} returned {_shown(said)}, not a whole number from 0 on")
    return int(value)


def truth(said: Any, whose: str) -> bool:
    """True or false, of any type that means just that."""
    if isinstance(said, int) or type(said).__name__ in ("bool", "bool_"):
        return bool(said)
    raise WrongValue(f"{whose} returned {_shown(said)}, not True or False")


def _shown(said: Any) -> str:
    """A value as a person would point at it; somebody's own ``__repr__`` may raise or be long."""
    try:
        text = repr(said)
    except Exception:  # noqa: BLE001 - it is only shown
        text = f"an object of {type(said).__qualname__}"
    return text if len(text) <= 60 else text[:60] + "…"


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


def _text(value: object) -> str:
    """As text that can be written anywhere; somebody's own ``__str__`` may raise, or hold half a letter."""
    try:
        text = str(value)
    except BaseException as error:  # noqa: BLE001 - it is only shown
        text = f"(its text cannot be had: {type(error).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()


def explain(error: BaseException) -> tuple[str, str, str, float | None]:
    """A failure for the engine: a stable word, a sentence, the traceback, and after how long to ask again."""
    import traceback

    # Where it happened in somebody's code; that it was called from here says nothing.
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
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

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if not frame.filename.startswith("<frozen ")]
    places = " → ".join(f"{frame.filename}, line {frame.lineno}" for frame in own[-4:])
    text = _text(error)
    said = f"{type(error).__name__}{f': {text}' if text else ''}"
    return f"{said} ({places})" if places else said


# --- settings --------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """The plain value that something else in settings means. Raises ``TypeError`` with a sentence when it means none."""
    import datetime
    import enum
    import numbers
    import os
    from collections.abc import Mapping, Sequence, Set

    if isinstance(value, type):
        return name_of(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.time):
        return f"{value.hour}:{value.minute:02}"
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    # Decimals and fractions; and an address that Django translates only when somebody reads it.
    if isinstance(value, numbers.Number) or type(value).__name__ == "Decimal":
        return float(value)
    if any(base.__name__ == "Promise" for base in type(value).__mro__):
        return str(value)
    if type(value).__name__ == "ZoneInfo":
        return value.key
    raise TypeError(f"found an object of type {type(value).__qualname__}")


def run_module(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Runs a settings module and returns the names that it assigns. Each time afresh, so that a change is seen."""
    import importlib.util
    import os
    import sys

    path = os.fspath(path)
    folder, file = os.path.split(os.path.abspath(path))
    name = file.removesuffix(".py")
    if name == "__init__":
        folder, name = os.path.split(folder)
    if folder not in sys.path:
        # As Python does for the script that it runs: what stands beside the settings can be imported by them.
        sys.path.insert(0, folder)
    known = sys.modules.get(name)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") != os.path.abspath(path):
        # Settings may have the name of something that is imported already, such as this package.
        name = f"{name}_settings"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        # Not the loader's `exec_module`: its cache of compiled files only sees changes of whole seconds.
        with open(path, "rb") as source:
            exec(compile(source.read(), path, "exec"), module.__dict__)
    except BaseException:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
        raise
    return dict(vars(module))


def find_module(name: str) -> str | None:
    """The file of a module that Python can find."""
    import importlib.util

    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec.origin if spec is not None and spec.origin and spec.origin.endswith(".py") else None


# --- log -------------------------------------------------------------------------------------------------------------


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
