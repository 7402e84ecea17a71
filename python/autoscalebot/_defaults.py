"""Default settings of a backend class, put together from all its base classes."""

from __future__ import annotations

from typing import Any

__all__ = ["defaults_of", "own_defaults"]


def defaults_of(cls: type) -> dict[str, Any]:
    """All settings of a class with their defaults, in lower case: those of its stage, of the engine's backend, its own."""
    defaults: dict[str, Any] = {}
    stage, native = getattr(cls, "stage", ""), getattr(cls, "native_backend", None)
    if stage:
        import json

        from autoscalebot import _native

        defaults.update(json.loads(_native.defaults(stage, native)))
    defaults.update(own_defaults(cls))
    return defaults


def own_defaults(cls: type) -> dict[str, Any]:
    """What the Python classes say themselves: each base class's, and over it each subclass's.

    The very first base class is left out where a backend of the engine's has a time-out of its own.
    """
    from autoscalebot.backends import BaseBackend

    defaults: dict[str, Any] = {}
    for klass in reversed(cls.__mro__):
        if klass is BaseBackend and _has_timeout(cls):
            continue
        if "default_settings" in vars(klass):
            said = vars(klass)["default_settings"]
            # A method or a property needs an object; it gets one that knows nothing.
            bound = said.__get__(object.__new__(cls), cls) if hasattr(said, "__get__") else said
            values = bound() if callable(bound) else bound
            if not isinstance(values, dict):
                raise TypeError(f"default_settings of {klass.__qualname__} gives {type(values).__name__}, not a dict")
            defaults.update({str(name).lower(): value for name, value in values.items()})
    return defaults


def _has_timeout(cls: type) -> bool:
    stage, native = getattr(cls, "stage", ""), getattr(cls, "native_backend", None)
    if not (stage and native):
        return False
    import json

    from autoscalebot import _native

    return "timeout_seconds" in json.loads(_native.defaults(stage, native))
