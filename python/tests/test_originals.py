"""What the original promised, through the Python base classes: bounds, history, increments, time tables, notices."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest

from autoscalebot.backends.decision import (
    AverageThresholdBackend,
    BaseDecisionBackend,
    ConsecutiveThresholdBackend,
    IncrementBasedDecisionBackend,
)
from autoscalebot.backends.measurement import BaseMeasurementBackend
from autoscalebot.backends.notification import BaseNotificationBackend, TestBackend
from autoscalebot.backends.scaling import BaseScalingBackend
from autoscalebot.testing import Fleet

from conftest import process


class Readings(BaseMeasurementBackend):
    """Reads what a test says; the last one again and again."""

    default_settings: ClassVar[Any] = {"READINGS": [0], "MEASUREMENT_INTERVAL_IN_SECONDS": 30}

    def setup(self) -> None:
        self.left = list(self.settings.READINGS)

    def measure(self) -> dict[str, Any]:
        data = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return {"backend": "Readings", "data": data, "success": True}


class NoMeasure(BaseMeasurementBackend):
    """Knows nothing."""

    def measure(self) -> None:
        return None


class Always(BaseDecisionBackend):
    """Wants what a test says."""

    default_settings: ClassVar[Any] = {"WANTED": 1}

    def get_num_of_processes_to_scale_to(self) -> int:
        return int(self.settings.WANTED)


class Platform(BaseScalingBackend):
    """A platform in memory that may refuse."""

    running: ClassVar[int] = 1
    refuses: ClassVar[bool] = False
    orders: ClassVar[list[int]] = []

    def get_num_processes(self) -> int:
        return Platform.running

    def scale_to(self, num_requested: int) -> None:
        if Platform.refuses:
            raise RuntimeError("no more dynos for you")
        Platform.running = num_requested
        Platform.orders.append(num_requested)


@pytest.fixture(autouse=True)
def _fresh_platform() -> None:
    Platform.running, Platform.refuses, Platform.orders = 1, False, []


def measuring(*readings: float, backend: type = Readings) -> dict[str, Any]:
    return {"BACKEND": backend, "SETTINGS": {"READINGS": list(readings)}}


def deciding(backend: object, **settings: object) -> dict[str, Any]:
    return {"BACKEND": backend, "SETTINGS": {"POST_SCALE_WAIT_TIME_SECONDS": 0, **settings}}


def on_platform(decision: dict[str, Any], *readings: float, **more: Any) -> dict[str, Any]:
    return process(MEASUREMENT=measuring(*readings), DECISION=decision, SCALING={"BACKEND": Platform}, **more)


def test_three_fails_scale_up_by_one_and_five_passes_scale_down_by_one() -> None:
    readings = [2000, 2000, 2000, 100, 100, 100, 100, 100]
    with Fleet(on_platform(deciding("ConsecutiveThresholdBackend"), *readings)) as fleet:
        orders = [tick.order for tick in fleet.run(ticks=8)]
    assert orders == [None, None, 2, None, None, None, None, 1]


def test_a_run_that_is_broken_starts_again() -> None:
    readings = [2000, 2000, 800, 2000, 2000, 2000]
    with Fleet(on_platform(deciding("ConsecutiveThresholdBackend"), *readings)) as fleet:
        assert [tick.order for tick in fleet.run(ticks=6)] == [None, None, None, None, None, 2]


def test_the_average_of_three_decides() -> None:
    decision = deciding("AverageThresholdBackend", MIN_MEASUREMENT_VALUE=0, MAX_MEASUREMENT_VALUE=10)
    with Fleet(on_platform(decision, 30, 3, 3, 0, 0, 0)) as fleet:
        # The mean of 30, 3 and 3 is 12; then the history is empty, until three are there again.
        assert [tick.order for tick in fleet.run(ticks=6)] == [None, None, 2, None, None, 1]


def test_the_increment_is_added_and_taken_away() -> None:
    settings = {"INCREMENT": 2, "MAX_PROCESSES": 10, "NUMBER_OF_PASSES_TO_SCALE_DOWN_AFTER": 3}
    readings = [2000, 2000, 2000, 100, 100, 100]
    with Fleet(on_platform(deciding("ConsecutiveThresholdBackend", **settings), *readings)) as fleet:
        fleet.run(ticks=6)
    assert Platform.orders == [3, 1]


def test_the_count_stays_within_the_bounds_whatever_a_backend_wants() -> None:
    for wanted, bounded, limit in ((99, 4, "max"), (0, 2, "min"), (3, 3, None)):
        Platform.running = 2 if wanted else 4
        decision = deciding(Always, WANTED=wanted, MIN_PROCESSES=2, MAX_PROCESSES=4)
        with Fleet(on_platform(decision, 0)) as fleet:
            tick = fleet.step()
        assert (tick.wanted, tick.limit, Platform.running) == (bounded, limit, bounded)


@pytest.mark.parametrize(("running", "bounded"), [(9, 4), (0, 2)])
def test_a_count_outside_the_bounds_goes_to_the_nearest_at_once(running: int, bounded: int) -> None:
    Platform.running = running
    decision = deciding("ConsecutiveThresholdBackend", MIN_PROCESSES=2, MAX_PROCESSES=4)
    with Fleet(on_platform(decision, 800)) as fleet:
        assert fleet.step().order == bounded


def test_bounds_by_time_of_day_hold_in_their_time_zone() -> None:
    table = {"0:00": 1, "8:00": 3, "18:00": 1}
    decision = deciding("ConsecutiveThresholdBackend", MIN_PROCESSES=table, MAX_PROCESSES=9)
    settings = {"AUTOSCALE_SETTINGS": on_platform(decision, 800), "TIME_ZONE": "America/Vancouver"}
    # 15:59 in UTC is 7:59 in Vancouver's winter.
    with Fleet(settings, start=datetime(2026, 1, 15, 15, 59, tzinfo=timezone.utc)) as fleet:
        orders = [tick.order for tick in fleet.run(ticks=4)]
        assert orders == [None, None, 3, None]
    Platform.running = 1
    with Fleet(settings, start=datetime(2026, 1, 16, 2, 0, tzinfo=timezone.utc)) as fleet:
        assert [tick.order for tick in fleet.run(ticks=2)] == [None, None]


class Remembers(BaseDecisionBackend):
    """Keeps what it was shown."""

    shown: ClassVar[list[list[Any]]] = []

    def get_num_of_processes_to_scale_to(self) -> int:
        Remembers.shown.append([result["data"] for result in self.results])
        return self.current_num_processes


def test_history_keeps_the_newest_results_oldest_first() -> None:
    Remembers.shown = []
    with Fleet(on_platform(deciding(Remembers, HISTORY_LENGTH=3), 1, 2, 3, 4)) as fleet:
        fleet.run(ticks=4)
    assert Remembers.shown == [[1], [1, 2], [1, 2, 3], [2, 3, 4]]


def test_history_is_empty_after_a_scale() -> None:
    with Fleet(on_platform(deciding("ConsecutiveThresholdBackend"), 2000)) as fleet:
        assert [tick.order for tick in fleet.run(ticks=6)] == [None, None, 2, None, None, 3]


def test_after_a_scale_it_waits_before_it_evaluates_again() -> None:
    decision = deciding(Always, WANTED=3) | {}
    decision["SETTINGS"]["POST_SCALE_WAIT_TIME_SECONDS"] = 100
    with Fleet(on_platform(decision, 0)) as fleet:
        assert fleet.step().order == 3
        Platform.running = 2
        held = [tick.held for tick in fleet.run(ticks=3)]
        assert held == [True, True, True]
        assert fleet.step().order == 3


def test_a_decision_backend_sees_what_runs_and_the_bounds_of_the_moment() -> None:
    seen: list[tuple[int, int, int, object]] = []

    class Looks(BaseDecisionBackend):
        def get_num_of_processes_to_scale_to(self) -> int:
            bounds = (self.min_num_processes, self.max_num_processes)
            seen.append((self.current_num_processes, *bounds, self.settings.MAX_PROCESSES))
            return self.current_num_processes

    Platform.running = 2
    with Fleet(on_platform(deciding(Looks, MIN_PROCESSES=1, MAX_PROCESSES={"0:00": 7}), 0)) as fleet:
        fleet.step()
    assert seen[0][:3] == (2, 1, 7)
    assert seen[0][3] == {"0:00": 7}


@pytest.mark.parametrize(
    ("up", "down", "order"), [(True, True, 4), (True, False, 4), (False, True, 2), (False, False, None)]
)
def test_an_increment_based_backend_says_only_up_or_down(up: bool, down: bool, order: int | None) -> None:
    class Says(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> bool:
            return up

        # A property does as well, as in the original.
        @property
        def needs_scale_down(self) -> bool:  # type: ignore[override]
            return down

    Platform.running = 3
    with Fleet(on_platform(deciding(Says, MIN_PROCESSES=1, MAX_PROCESSES=9), 0)) as fleet:
        assert fleet.step().order == order


def test_the_shipped_rules_answer_by_hand_too() -> None:
    rule = ConsecutiveThresholdBackend(max_measurement_value=10, min_measurement_value=5)
    rule.results = [{"backend": "x", "data": 11, "success": True}] * 3
    rule.current_num_processes = 2
    assert (rule.needs_scale_up(), rule.needs_scale_down()) == (True, False)
    assert rule.get_num_of_processes_to_scale_to() == 3
    assert "3 readings in a row above 10" in rule.reason

    mean = AverageThresholdBackend({"MAX_MEASUREMENT_VALUE": 10})
    mean.results = [{"backend": "x", "data": 0, "success": True}] * 3
    mean.current_num_processes = 2
    assert mean.get_num_of_processes_to_scale_to() == 1


def test_all_backends_of_a_process_are_told() -> None:
    class Other(BaseNotificationBackend):
        told: ClassVar[list[str]] = []

        def send_notification(self, message: str) -> None:
            Other.told.append(message)

    settings = on_platform(deciding(Always, WANTED=2), 0)
    settings["web"]["NOTIFICATION"] = {
        "BACKENDS": ["autoscalebot.backends.notification.TestBackend", Other],
        "SETTINGS": {"NOTIFY_ON_EVERY_SCALE": True},
    }
    with Fleet(settings) as fleet:
        fleet.step()
    assert len(TestBackend.messages) == 1
    assert TestBackend.messages == Other.told


@pytest.mark.parametrize(
    ("setting", "is_on", "event"),
    [
        ("NOTIFY_ON_EVERY_MEASUREMENT", False, "measured"),
        ("NOTIFY_ON_EVERY_SCALE", False, "scaled_up"),
        ("NOTIFY_IF_NEEDS_EXCEED_MAX", True, "needs_exceeded_max"),
        ("NOTIFY_IF_NEEDS_BELOW_MIN", False, "needs_below_min"),
        ("NOTIFY_IF_SCALE_FAILS", True, "scale_failed"),
        ("NOTIFY_IF_MEASUREMENT_FAILS", True, "measurement_failed"),
        ("NOTIFY_IF_COUNT_CHANGES_ELSEWHERE", True, "count_changed_elsewhere"),
    ],
)
def test_each_notice_has_its_switch_and_its_default(setting: str, is_on: bool, event: str) -> None:
    def told(notify: dict[str, Any]) -> bool:
        TestBackend.clear()
        Platform.running, Platform.refuses = 2, event == "scale_failed"
        wanted = {"needs_exceeded_max": 9, "needs_below_min": 0, "scaled_up": 3, "scale_failed": 3}.get(event, 2)
        least = {"MIN_PROCESSES": 2, "MAX_PROCESSES": 3} if event.startswith("needs") else {}
        settings = on_platform(deciding(Always, WANTED=wanted, **least), 0, notify=notify)
        if event == "measurement_failed":
            settings["web"]["MEASUREMENT"] = {"BACKEND": NoMeasure}
        with Fleet(settings) as fleet:
            fleet.step()
            if event == "count_changed_elsewhere":
                Platform.running = 1
            fleet.step()
        return any(told["event"] == event for told in TestBackend.events)

    assert told({}) is is_on
    assert told({setting: True})
    assert not told({setting: False})


def test_too_many_scales_in_a_minute_are_told() -> None:
    notify = {"NOTIFY_IF_SCALING_IS_TOO_RAPID": True, "NOTIFY_IF_SCALING_IS_TOO_RAPID_NUM_SCALES": 2}

    class Onwards(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> bool:
            return True

    settings = on_platform(deciding(Onwards, MAX_PROCESSES=99), 0, notify=notify)
    settings["web"]["MEASUREMENT"]["SETTINGS"]["MEASUREMENT_INTERVAL_IN_SECONDS"] = 1
    with Fleet(settings) as fleet:
        fleet.run(ticks=4)
    assert [told["event"] for told in TestBackend.events] == ["scaling_too_rapid"]


def test_a_scale_that_fails_is_told_and_tried_again_and_changes_nothing() -> None:
    Platform.refuses = True
    with Fleet(on_platform(deciding(Always, WANTED=2), 0)) as fleet:
        tick = fleet.step()
        assert (tick.order, tick.settled) == (2, "failed")
        assert "no more dynos for you" in TestBackend.messages[0]
        assert Platform.running == 1
        Platform.refuses = False
        fleet.run(seconds=600)
    assert Platform.running == 2


def test_failed_measurements_never_shrink_and_break_a_run_of_lows() -> None:
    class Fails(Readings):
        def measure(self) -> dict[str, Any]:
            result = super().measure()
            return result if result["data"] != -1 else {"backend": "Fails", "data": None, "success": False}

    Platform.running = 2
    settings = on_platform(deciding("ConsecutiveThresholdBackend"), 1)
    settings["web"]["MEASUREMENT"] = measuring(1, 1, 1, 1, -1, 1, 1, 1, 1, -1, -1, -1, -1, backend=Fails)
    with Fleet(settings) as fleet:
        fleet.run(ticks=20)
    assert Platform.orders == []
