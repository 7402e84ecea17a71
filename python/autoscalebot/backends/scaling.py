"""Scaling backends: how many processes run, and make it that many.

A subclass has ``get_num_processes()`` and ``scale_to(n)``. Both may be called again and again: the count is asked afresh
for every decision, and ``scale_to`` gets a number, not a difference, so that a repeated call does no harm.
"""

from __future__ import annotations

from typing import Any, ClassVar

from autoscalebot.backends import BaseBackend, NotYetImplementedException

__all__ = [
    "BaseScalingBackend",
    "CommandBackend",
    "DryRunBackend",
    "HerokuBackend",
    "HerokuScaleBackend",
    "LocalBackend",
    "ScalingError",
]


class ScalingError(Exception):
    """The platform did not answer or obey, and this is why.

    ``key`` is a stable word for the kind (``unauthorized``). When the platform asked for patience, ``retry_after`` says
    for how many seconds.
    """

    def __init__(self, message: str, key: str = "failed", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.retry_after = retry_after


class BaseScalingBackend(BaseBackend):
    """The base of all scaling backends."""

    stage: ClassVar[str] = "scaling"

    @property
    def num_processes(self) -> Any:
        """How many processes run now; asks the platform."""
        return self.get_num_processes()

    def get_num_processes(self) -> Any:
        """How many processes the platform is set to run now, as a whole number. Changes nothing."""
        raise NotYetImplementedException(f"{type(self).__qualname__} needs get_num_processes()")

    def scale_to(self, num_requested: int) -> Any:
        """Makes so many processes run. Raise an exception when the platform does not take it; what is returned is ignored."""
        raise NotYetImplementedException(f"{type(self).__qualname__} needs scale_to(n)")


class _NativeScaling(BaseScalingBackend):
    """A platform that the engine knows."""

    def get_num_processes(self) -> int:
        """Asks the platform."""
        from autoscalebot._native_backend import scaling

        return scaling(self).count()

    def scale_to(self, num_requested: int) -> None:
        """Tells the platform."""
        from autoscalebot._native_backend import scaling

        scaling(self).scale_to(num_requested)


class HerokuScaleBackend(_NativeScaling):
    """Dynos of a Heroku app."""

    native_backend = "Heroku"


#: The original uses both names.
HerokuBackend = HerokuScaleBackend


class LocalBackend(_NativeScaling):
    """The entries of a Procfile as processes of this machine."""

    native_backend = "Local"


class CommandBackend(_NativeScaling):
    """Programs of yours that count and scale."""

    native_backend = "Command"


class DryRunBackend(_NativeScaling):
    """No platform: a number in memory."""

    native_backend = "DryRun"
