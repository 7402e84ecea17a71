"""Decision backends: how many processes are wanted?

A subclass answers ``get_num_of_processes_to_scale_to()``, or, with :class:`IncrementBasedDecisionBackend`, only whether
it needs more or fewer. Bounds, the wait after a scale and the order to the platform are the engine's business: whatever
is returned here is held to the bounds afterwards.
"""

from __future__ import annotations

from typing import Any, ClassVar

from autoscalebot.backends import BaseBackend, NotYetImplementedException

__all__ = [
    "AverageThresholdBackend",
    "BaseDecisionBackend",
    "ConsecutiveThresholdBackend",
    "IncrementBasedDecisionBackend",
]


class BaseDecisionBackend(BaseBackend):
    """The base of all decision backends."""

    stage: ClassVar[str] = "decision"

    #: The newest results of the measurement, oldest first: ``{'backend', 'data', 'success'}`` each. Failed ones have no
    #: data. After a scale there are none.
    results: list[dict[str, Any]]
    #: How many processes run, by the platform's word.
    current_num_processes: int
    #: The least and the most processes at this moment.
    min_num_processes: int
    max_num_processes: int
    #: Why, for people. Set it in your method, if you like; it is forgotten before each call.
    reason: str

    def __new__(cls, *arguments: Any, **settings: Any) -> Any:
        """Gives each object something to decide on, for tests and scripts."""
        backend = super().__new__(cls, *arguments, **settings)
        backend.results = []
        backend.current_num_processes = 1
        least, most = backend.settings.min_processes, backend.settings.max_processes
        backend.min_num_processes = least if isinstance(least, int) else 1
        backend.max_num_processes = most if isinstance(most, int) else 3
        backend.reason = ""
        return backend

    @property
    def outside_bounds(self) -> bool:
        """Whether more or fewer run than the bounds allow. The engine mends that before it asks a backend."""
        return not self.min_num_processes <= self.current_num_processes <= self.max_num_processes

    @property
    def nearest_bound(self) -> int:
        """The bound that is nearer to the running count."""
        above, below = (
            self.max_num_processes - self.current_num_processes,
            (self.current_num_processes - self.min_num_processes),
        )
        return self.min_num_processes if above > below else self.max_num_processes

    def get_num_of_processes_to_scale_to(self) -> Any:
        """How many processes are wanted, as a whole number; ``self.current_num_processes`` to stay."""
        raise NotYetImplementedException(f"{type(self).__qualname__} needs get_num_of_processes_to_scale_to()")


class IncrementBasedDecisionBackend(BaseDecisionBackend):
    """Steps of INCREMENT: a subclass only says whether it needs more, or fewer, or both; by methods or properties."""

    def get_num_of_processes_to_scale_to(self) -> Any:
        """One step up, one step down, or as many as now."""
        if self.outside_bounds:
            return min(max(self.current_num_processes, self.min_num_processes), self.max_num_processes)
        from autoscalebot._bridge import answer
        from autoscalebot._values import truth

        if truth(answer(self, "needs_scale_up"), "needs_scale_up()"):
            self.reason = self.reason or f"{type(self).__name__} needs more than {self.current_num_processes}"
            return self.current_num_processes + self.settings.increment
        if truth(answer(self, "needs_scale_down"), "needs_scale_down()"):
            self.reason = self.reason or f"{type(self).__name__} needs fewer than {self.current_num_processes}"
            return max(self.current_num_processes - self.settings.increment, 0)
        return self.current_num_processes

    def needs_scale_up(self) -> Any:
        """Whether more processes are needed."""
        return False

    def needs_scale_down(self) -> Any:
        """Whether fewer processes would do."""
        return False


class _NativeDecision(IncrementBasedDecisionBackend):
    """A backend of the engine's, on the results in hand."""

    def needs_scale_up(self) -> Any:
        """Whether the engine's rule says so."""
        return self._direction() == "up"

    def needs_scale_down(self) -> Any:
        """Whether the engine's rule says so."""
        return self._direction() == "down"

    def _direction(self) -> str:
        from autoscalebot._native_backend import decide

        direction, self.reason = decide(self)
        return direction


class ConsecutiveThresholdBackend(_NativeDecision):
    """So many results in a row beyond a threshold."""

    native_backend = "ConsecutiveThreshold"


class AverageThresholdBackend(_NativeDecision):
    """The average of the newest results beyond a threshold."""

    native_backend = "AverageThreshold"
