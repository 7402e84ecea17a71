"""Settings that are Python: modules that are run, and what their values mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoscalebot._finding import name_of

if TYPE_CHECKING:
    import os


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
