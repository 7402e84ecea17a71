"""Bots that are stepped by hand, on a clock that stands still: for tests of settings and backends, and for scripts.

.. code-block:: python

    from autoscalebot.testing import Fleet

    with Fleet({"web": {"MEASUREMENT": {"BACKEND": MyMeasurement}, "SCALING": {"BACKEND": "DryRun"}}}) as fleet:
        ticks = fleet.run(seconds=300)
        assert ticks[-1].running == 3

These are the bots of the program: what they decide here, they decide there. Each tick goes the whole way, to the platform
and to whoever is told, and is over when everybody was; only time does not pass by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, NamedTuple

from autoscalebot import _native
from autoscalebot.backends.notification import TestBackend

__all__ = ["Fleet", "Tick"]

#: Where a fleet's clock stands in the beginning, unless a test says otherwise.
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Tick(NamedTuple):
    """What one tick of a process led to."""

    process: str
    #: Seconds since the fleet's start.
    at: float
    #: One for each signal that was measured: ``{'backend', 'data', 'success'}``, and more when it failed.
    results: list[dict[str, Any]]
    #: How many ran when it was decided; ``None`` when the platform did not say.
    running: int | None
    #: How many are wanted, within the bounds.
    wanted: int | None
    #: The bound that the wish hit: ``min``, ``max``, or ``None``.
    limit: str | None
    #: Whether an order was held back, by the wait after a scale or by somebody who works.
    held: bool
    #: How many the platform was told to run; ``None`` when it was told nothing.
    order: int | None
    #: What became of the order: ``scaled``, ``already_there``, ``failed``; ``None`` when there was none.
    settled: str | None
    #: Why, for programs: a stable word.
    key: str
    #: Why, for people.
    reason: str
    #: What happened, as notification backends are told it: ``{'event': 'scaled_up', 'data': {'from': 1, 'to': 2, …}, …}``.
    events: list[dict[str, Any]]


class Fleet:
    """All bots of some settings.

    ``settings`` is what ``AUTOSCALE_SETTINGS`` holds, or a dictionary with that name in it and others beside
    (``TIME_ZONE``). A backend may be a name or a class. ``start`` is when the clock stands in the beginning; without a time
    zone it is UTC. Raises ``ValueError`` with every problem when the settings are wrong.
    """

    def __init__(self, settings: Mapping[str, Any], start: datetime = START) -> None:
        if not isinstance(settings, Mapping):
            raise TypeError(f"settings are a dictionary, as AUTOSCALE_SETTINGS, not {type(settings).__name__}")
        names = dict(settings) if "AUTOSCALE_SETTINGS" in settings else {"AUTOSCALE_SETTINGS": dict(settings)}
        aware = start if start.tzinfo is not None else start.replace(tzinfo=timezone.utc)
        self._bots = _native.Bots(names, "the settings", aware.isoformat())

    @property
    def processes(self) -> list[str]:
        """The names of the processes."""
        return self._bots.processes()

    @property
    def seconds(self) -> float:
        """Seconds since the start, on the fleet's clock."""
        return self._bots.now()[0]

    @property
    def messages(self) -> list[str]:
        """What ``TestBackend`` was told: the same list as ``TestBackend.messages``."""
        return TestBackend.messages

    def step(self, process: str | None = None) -> Tick:
        """One tick: the next of this process, or of the one whose tick is due next. The clock moves on to it."""
        name = process if process is not None else self._next()[0]
        if name not in self.processes:
            raise ValueError(f"there is no process {name!r}; there are: {', '.join(self.processes)}")
        said = json.loads(self._bots.step(name))
        reason = said.pop("reason")
        return Tick(key=reason["key"], reason=reason["sentence"], **said)

    def run(self, *, ticks: int | None = None, seconds: float | None = None) -> list[Tick]:
        """So many ticks of the fleet, or all ticks of so many seconds; in order."""
        if (ticks is None) == (seconds is None):
            raise TypeError("run() takes either ticks or seconds")
        if (ticks or 0) < 0 or not 0 <= (seconds or 0) < float("inf"):
            raise ValueError("run() takes a number of ticks or seconds, 0 or more")
        if ticks is not None:
            return [self.step() for _ in range(ticks)]
        assert seconds is not None
        end, done = self.seconds + seconds, []
        while True:
            process, due = self._next()
            if due > end:
                break
            done.append(self.step(process))
        self._bots.advance(max(end - self.seconds, 0.0))
        return done

    def advance(self, seconds: float) -> None:
        """Lets time pass in which nobody ticks."""
        if not 0 <= seconds < float("inf"):
            raise ValueError("advance() takes a number of seconds, 0 or more")
        self._bots.advance(seconds)

    def close(self) -> None:
        """Ends the bots; backends that were set up are torn down."""
        self._bots.close()

    def _next(self) -> tuple[str, float]:
        due = self._bots.next_due()
        if due is None:
            raise RuntimeError("the fleet is closed")
        return due

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
