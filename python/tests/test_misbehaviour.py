"""Backends that misbehave harm themselves and nobody else."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from autoscalebot.backends.decision import BaseDecisionBackend, IncrementBasedDecisionBackend
from autoscalebot.backends.measurement import BaseMeasurementBackend, MeasurementError
from autoscalebot.backends.notification import BaseNotificationBackend, NotificationError, TestBackend
from autoscalebot.backends.scaling import BaseScalingBackend, ScalingError
from autoscalebot.testing import Fleet, Tick

from conftest import process


class Unprintable(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def _raises(error: BaseException) -> Any:
    raise error


def one_tick(backend: type, stage: str = "MEASUREMENT") -> Tick:
    with Fleet(process(**{stage: {"BACKEND": backend}})) as fleet:
        return fleet.step()


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (float("nan"), "nan, which is no finite number"),
        (float("inf"), "inf, which is no finite number"),
        ("12", "'12', not a number"),
        (None, "None, not a number"),
        (True, "True, not a number"),
        (b"1", "b'1', not a number"),
        (1j, "1j, not a number"),
        (object, "not a number"),
        (10**400, "not a number"),
        ({"backend": "x", "data": None, "success": True}, "None, not a number"),
        ({"backend": "x", "data": "much", "success": True}, "'much', not a number"),
        ({"backend": "x", "data": {"a": float("nan")}, "success": True}, "no JSON"),
        ({1, 2}, "not a number"),
        ({"success": "no", "data": 1}, "whose success is 'no', not True or False"),
        ({"half a letter": "\udc80"}, "no JSON"),
    ],
)
def test_what_is_no_reading_is_a_failure_with_a_sentence(returned: object, said: str) -> None:
    class Returns(BaseMeasurementBackend):
        def measure(self) -> object:
            return returned

    result = one_tick(Returns).results[0]
    assert (result["success"], result["data"], result["error"]["key"]) == (False, None, "bad_value")
    assert said in result["error"]["message"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        Unprintable(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_raised_is_a_failure_of_that_one(error: BaseException) -> None:
    class Raises(BaseMeasurementBackend):
        def measure(self) -> object:
            return _raises(error)

    tick = one_tick(Raises)
    assert (tick.results[0]["success"], tick.results[0]["error"]["key"]) == (False, "exception")
    assert tick.order is None


def test_sys_exit_in_any_hook_of_any_stage_ends_nobody() -> None:
    class Leaves(BaseMeasurementBackend):
        def setup(self) -> None:
            sys.exit(1)

        def measure(self) -> int:
            return 1

    class LeavesToo(BaseDecisionBackend):
        def get_num_of_processes_to_scale_to(self) -> int:
            return 9

        def heartbeat_start(self) -> None:
            sys.exit(1)

        def teardown(self) -> None:
            sys.exit(1)

    class LeavesAsWell(BaseNotificationBackend):
        def send_notification(self, message: str) -> None:
            sys.exit(1)

    settings = process(MEASUREMENT={"BACKEND": Leaves}, DECISION={"BACKEND": LeavesToo})
    settings["web"]["NOTIFICATION"]["BACKENDS"] = ["TestBackend", LeavesAsWell]
    settings["web"]["NOTIFICATION"]["SETTINGS"] = {"NOTIFY_ON_EVERY_MEASUREMENT": True}
    with Fleet(settings) as fleet:
        tick = fleet.step()
    assert tick.key == "backend_failed"
    assert "SystemExit" in tick.reason
    assert TestBackend.messages


@pytest.mark.parametrize("wanted", [None, "3", -1, 2.5, float("nan"), True, 2**40, [3]], ids=repr)
def test_a_decision_that_is_no_count_changes_nothing(wanted: object) -> None:
    class Wants(BaseDecisionBackend):
        def get_num_of_processes_to_scale_to(self) -> object:
            return wanted

    class Zero(BaseMeasurementBackend):
        def measure(self) -> int:
            return 0

    with Fleet(process(MEASUREMENT={"BACKEND": Zero}, DECISION={"BACKEND": Wants})) as fleet:
        tick = fleet.step()
    assert (tick.key, tick.wanted, tick.order) == ("backend_failed", 1, None)
    assert "get_num_of_processes_to_scale_to() returned" in tick.reason


@pytest.mark.parametrize("count", [None, "1", -1, 1.5], ids=repr)
def test_a_count_that_is_none_is_unknown_and_nothing_is_ordered(count: object) -> None:
    class Counts(BaseScalingBackend):
        orders: ClassVar[list[int]] = []

        def get_num_processes(self) -> object:
            return count

        def scale_to(self, num_requested: int) -> None:
            Counts.orders.append(num_requested)

    settings = process(SCALING={"BACKEND": Counts}, MEASUREMENT={"BACKEND": Measures})
    with Fleet(settings) as fleet:
        ticks = fleet.run(ticks=4)
    assert {tick.running for tick in ticks} == {None}
    assert Counts.orders == []


class Measures(BaseMeasurementBackend):
    def measure(self) -> int:
        return 99999


class Hangs(BaseMeasurementBackend):
    """Hangs until the test lets it go."""

    default_settings: ClassVar[Any] = {"TIMEOUT_SECONDS": 0.2}
    go_on: ClassVar[threading.Event] = threading.Event()
    calls: ClassVar[int] = 0

    def measure(self) -> int:
        Hangs.calls += 1
        Hangs.go_on.wait(60)
        return 5


@pytest.fixture
def hanging() -> Iterator[type[Hangs]]:
    Hangs.go_on.clear()
    Hangs.calls = 0
    yield Hangs
    Hangs.go_on.set()


def test_a_hang_is_a_failure_and_is_not_called_again_until_it_came_back(hanging: type[Hangs]) -> None:
    with Fleet(process(MEASUREMENT={"BACKEND": hanging})) as fleet:
        keys = [tick.results[0]["error"]["key"] for tick in fleet.run(ticks=3)]
        assert keys == ["timeout", "busy", "busy"]
        assert hanging.calls == 1
        hanging.go_on.set()
        end = time.monotonic() + 30
        while not fleet.step().results[0]["success"]:
            assert time.monotonic() < end
        assert hanging.calls == 2


def test_hanging_bots_do_not_hold_up_the_others(hanging: type[Hangs]) -> None:
    class HangingDecision(BaseDecisionBackend):
        default_settings: ClassVar[Any] = {"TIMEOUT_SECONDS": 0.2}

        def get_num_of_processes_to_scale_to(self) -> int:
            hanging.go_on.wait(60)
            return 1

    settings: dict[str, Any] = {}
    for number in range(8):
        settings |= {f"m{number}": process(MEASUREMENT={"BACKEND": hanging})["web"]}
        settings |= {
            f"d{number}": process(MEASUREMENT={"BACKEND": Measures}, DECISION={"BACKEND": HangingDecision})["web"]
        }
    settings |= {"good": process(MEASUREMENT={"BACKEND": Measures})["web"]}
    with Fleet(settings) as fleet:
        for name in fleet.processes:
            fleet.step(name)
        # Sixteen calls hang by now.
        assert fleet.step("good").results[0]["data"] == 99999
        assert fleet.step("d3").key == "backend_failed"
        hanging.go_on.set()


def test_an_async_method_is_cancelled_at_its_time_out() -> None:
    class Slow(BaseMeasurementBackend):
        default_settings: ClassVar[Any] = {"TIMEOUT_SECONDS": 0.1}
        cancelled: ClassVar[threading.Event] = threading.Event()

        async def measure(self) -> int:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                Slow.cancelled.set()
                raise
            return 1

    with Fleet(process(MEASUREMENT={"BACKEND": Slow})) as fleet:
        assert fleet.step().results[0]["error"]["key"] == "timeout"
        assert Slow.cancelled.wait(30)


def test_errors_of_our_own_keep_their_words() -> None:
    class Overloaded(BaseMeasurementBackend):
        def measure(self) -> int:
            raise MeasurementError("the app was too slow", key="timeout", counts_as="high")

    class Refuses(BaseScalingBackend):
        def get_num_processes(self) -> int:
            return 1

        def scale_to(self, num_requested: int) -> None:
            raise ScalingError("come back later", key="rate_limited", retry_after=600)

    with Fleet(process(MEASUREMENT={"BACKEND": Overloaded}, SCALING={"BACKEND": Refuses})) as fleet:
        ticks = fleet.run(ticks=4)
    assert ticks[2].order == 2
    failed = next(event for event in ticks[2].events if event["event"] == "scale_failed")
    assert failed["data"]["failure"]["key"] == "rate_limited"
    assert failed["data"]["failure"]["message"].endswith("come back later")
    # Ten minutes were asked for.
    assert ticks[3].held


def test_a_notification_that_cannot_help_is_not_tried_again() -> None:
    class Gone(BaseNotificationBackend):
        calls: ClassVar[int] = 0

        def send_notification(self, message: str) -> None:
            Gone.calls += 1
            raise NotificationError("the channel is gone", key="lasting")

    settings = process(MEASUREMENT={"BACKEND": Measures}, notify={"NOTIFY_ON_EVERY_MEASUREMENT": True})
    settings["web"]["NOTIFICATION"]["BACKENDS"] = [Gone]
    with Fleet(settings) as fleet:
        fleet.step()
    assert Gone.calls == 1


def test_the_traceback_is_logged_when_it_is_new(caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(BaseMeasurementBackend):
        def measure(self) -> int:
            return self.deeper()

        def deeper(self) -> int:
            raise ValueError("broken inside")

    with caplog.at_level(logging.INFO, "autoscalebot"), Fleet(process(MEASUREMENT={"BACKEND": Breaks})) as fleet:
        fleet.run(ticks=5)
    traced = [record.getMessage() for record in caplog.records if "Traceback" in record.getMessage()]
    assert len(traced) == 1
    assert "in deeper" in traced[0]
    assert "broken inside" in traced[0]
    assert "_bridge" not in traced[0]
    assert {record.name for record in caplog.records} == {"autoscalebot.engine"}


def test_a_class_that_cannot_be_made_is_an_error_of_the_settings() -> None:
    class Cannot(BaseMeasurementBackend):
        def __init__(self) -> None:
            raise OSError("no such device")

        def measure(self) -> int:
            return 1

    with pytest.raises(ValueError, match=r"web\.measurement: .*Cannot cannot be made: OSError: no such device"):
        Fleet(process(MEASUREMENT={"BACKEND": Cannot}))


def test_a_result_without_success_is_a_failure_with_or_without_data() -> None:
    class Fails(BaseMeasurementBackend):
        def measure(self) -> dict[str, Any]:
            return {"success": False, "error": "the sensor is off"}

    result = one_tick(Fails).results[0]
    assert (result["success"], result["error"]["key"]) == (False, "failed")
    assert "the sensor is off" in result["error"]["message"]


def test_text_that_cannot_be_written_does_not_hide_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    class Breaks(BaseMeasurementBackend):
        def measure(self) -> int:
            raise ValueError("half a letter: \udc80")

    with caplog.at_level(logging.INFO, "autoscalebot"):
        result = one_tick(Breaks).results[0]
    assert "ValueError: half a letter: \\udc80" in result["error"]["message"]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("said", [None, "x", float("nan"), []], ids=repr)
def test_what_is_neither_true_nor_false_scales_nothing(said: object) -> None:
    class Says(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> object:
            return said

        def needs_scale_down(self) -> object:
            return said

    with Fleet(process(MEASUREMENT={"BACKEND": Measures}, DECISION={"BACKEND": Says})) as fleet:
        tick = fleet.step()
    assert (tick.key, tick.order) == ("backend_failed", None)


def test_a_class_without_its_method_is_an_error_of_the_settings() -> None:
    class NoMeasure(BaseMeasurementBackend):
        pass

    class Neither(IncrementBasedDecisionBackend):
        pass

    with pytest.raises(ValueError, match=r"NoMeasure has no method measure\(\)"):
        Fleet(process(MEASUREMENT={"BACKEND": NoMeasure}))
    with pytest.raises(ValueError, match=r"Neither has no method needs_scale_up\(\) or needs_scale_down\(\)"):
        Fleet(process(DECISION={"BACKEND": Neither}))


def test_a_fleet_says_what_it_cannot_do() -> None:
    wrong: Any
    for wrong in (None, [], "web"):
        with pytest.raises(TypeError, match="settings are a dictionary"):
            Fleet(wrong)
    with Fleet(process(MEASUREMENT={"BACKEND": Measures})) as fleet:
        with pytest.raises(ValueError, match="there is no process 'nope'; there are: web"):
            fleet.step("nope")
        for seconds in (float("inf"), float("nan"), -1.0):
            with pytest.raises(ValueError, match="0 or more"):
                fleet.run(seconds=seconds)
            with pytest.raises(ValueError, match="0 or more"):
                fleet.advance(seconds)


def test_a_forked_process_is_told_that_it_cannot_go_on_with_the_engine(tmp_path: Path) -> None:
    with Fleet(process(MEASUREMENT={"BACKEND": Measures})) as fleet:
        fleet.step()
    code = (
        "import os\n"
        "from autoscalebot.testing import Fleet\n"
        "settings = {'web': {'MEASUREMENT': {'BACKEND': 'Command', 'SETTINGS': {'COMMAND': 'true'}},"
        " 'SCALING': {'BACKEND': 'DryRun'}}}\n"
        "fleet = Fleet(settings)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        fleet.step()\n"
        "    except BaseException as error:\n"
        "        print(error, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print('parent', fleet.step().process)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert "before this process was forked" in ran.stdout
    assert "parent web" in ran.stdout
