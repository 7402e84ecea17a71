"""What all backends have in common: settings, a process, and the hooks around their calls.

A backend is one replaceable part of a bot. Subclass the base class of its stage (in the four modules beside this one),
name your class by its dotted path in the settings, and the engine calls it. Every method may be ``async def``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from autoscalebot._native import Context

__all__ = ["BaseBackend", "NotYetImplementedException", "Settings"]


class NotYetImplementedException(NotImplementedError):
    """A subclass left out a method that it must have."""


class Settings(Mapping[str, Any]):
    """Settings by name, in any case: ``settings.QUEUE_NAME``, ``settings["queue_name"]``.

    Read only: they come from the settings file and the class's defaults.
    """

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", {name.lower(): value for name, value in values.items()})

    def __getitem__(self, name: str) -> Any:
        return self._values[name.lower()]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            # What Python itself asks for, before there are values perhaps.
            raise AttributeError(name)
        try:
            return self._values[name.lower()]
        except KeyError:
            known = ", ".join(sorted(self._values)) or "none"
            raise AttributeError(f"there is no setting {name}; there are: {known}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings are read only; set {name} in the settings file")

    def __reduce__(self) -> tuple[type[Settings], tuple[dict[str, Any]]]:
        return Settings, (dict(self._values),)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Names only: values may be secrets.
        return f"Settings({', '.join(sorted(self._values))})"


class BaseBackend:
    """The base of all backends."""

    #: Names of settings with their defaults, in the original's upper case or in lower case. May also be a method or a
    #: property that returns them. A subclass adds to those of its base classes.
    default_settings: ClassVar[Any] = {"TIMEOUT_SECONDS": 30}

    #: The shipped backend that the engine runs for this class, for those that are the engine's own.
    native_backend: ClassVar[str | None] = None
    #: Its stage: ``measurement``, ``decision``, ``scaling`` or ``notification``.
    stage: ClassVar[str] = ""

    settings: Settings
    process: str
    _context: Context | None

    def __new__(cls, *_arguments: Any, **_settings: Any) -> Any:
        """Gives each object its defaults, also when a subclass's ``__init__`` calls no other."""
        backend = super().__new__(cls)
        from autoscalebot._defaults import defaults_of

        backend.settings = Settings(defaults_of(cls))
        backend.process = ""
        backend._context = None
        return backend

    def __init__(self, settings: Mapping[str, Any] | None = None, **more: Any) -> None:
        """For tests and scripts: settings by name, in any case. The engine calls it without arguments."""
        given = {**(settings or {}), **more}
        if given:
            known = set(self.settings)
            for name in given:
                if name.lower() not in known:
                    raise TypeError(f"there is no setting {name}; there are: {', '.join(sorted(known)) or 'none'}")
            self.settings = Settings({**self.settings, **{name.lower(): value for name, value in given.items()}})

    def setup(self) -> Any:
        """Runs once, before the first call. When it fails, it is tried again before the next one."""

    def teardown(self) -> Any:
        """Runs once, after the last call, if setup was run."""

    def heartbeat_start(self) -> Any:
        """Runs before each call."""
