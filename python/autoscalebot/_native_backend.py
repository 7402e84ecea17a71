"""The engine's own backends, for the Python classes that stand for them.

A class such as ``ResponseTimeBackend`` has no Python of its own: its methods ask the engine, so that a subclass can
change one and keep the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoscalebot import _native
    from autoscalebot.backends import BaseBackend
    from autoscalebot.backends.decision import BaseDecisionBackend


def _native_of(backend: BaseBackend) -> Any:
    """The engine's backend for an object, made when first asked for."""
    native, name = backend.__dict__.get("_native"), backend.native_backend
    if native is None:
        import json

        from autoscalebot import _native

        makers = {
            "measurement": _native.Measurement,
            "scaling": _native.Scaling,
            "notification": _native.Notification,
        }
        settings = json.dumps(dict(backend.settings))
        native = makers[backend.stage](str(name), settings, backend.process, backend._context)
        backend.__dict__["_native"] = native
    return native


def measure(backend: BaseBackend) -> dict[str, Any]:
    """Measures with the engine's backend."""
    import json

    result: dict[str, Any] = json.loads(_native_of(backend).measure())
    return result


def decide(backend: BaseDecisionBackend) -> tuple[str, str]:
    """What the engine's backend makes of the results in hand: ``up``, ``down`` or ``stay``, and why."""
    import json

    from autoscalebot import _native

    settings, results = json.dumps(dict(backend.settings)), json.dumps(backend.results)
    name = str(backend.native_backend)
    return _native.decide(name, settings, results, backend.current_num_processes, backend._context)


def scaling(backend: BaseBackend) -> _native.Scaling:
    """The engine's platform."""
    native: _native.Scaling = _native_of(backend)
    native.order = backend.__dict__.get("_order")
    return native


def deliver(backend: BaseBackend) -> None:
    """Delivers what is being told with the engine's backend."""
    notice = backend.__dict__.get("_notice")
    if notice is None:
        raise RuntimeError("there is nothing to deliver: only the engine's notices can be sent")
    _native_of(backend).notify(notice)
