"""Finds the classes that settings name."""

from __future__ import annotations

from typing import Any, NamedTuple

from autoscalebot._errors import in_one_line

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
        if short == "DjangoEmail" and not django_is_there():
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


def django_is_there() -> bool:
    """Whether a Django project is set up in this program. Asks nobody who is not there."""
    import sys

    if "django" not in sys.modules:
        return False
    from django.conf import settings

    return bool(settings.configured)
