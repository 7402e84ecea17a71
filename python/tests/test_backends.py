"""Backends of one's own: hooks, settings, async methods, and the shipped ones as base classes."""

from __future__ import annotations

import asyncio
import copy
import http.server
import json
import logging
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

import autoscalebot.backends.decision
import autoscalebot.backends.measurement
import autoscalebot.backends.notification
import autoscalebot.backends.scaling
from autoscalebot import NotYetImplementedException, _native
from autoscalebot.backends import BaseBackend
from autoscalebot.backends.decision import ConsecutiveThresholdBackend, IncrementBasedDecisionBackend
from autoscalebot.backends.measurement import AppDecisionBackend, BaseMeasurementBackend, ResponseTimeBackend
from autoscalebot.backends.notification import BaseNotificationBackend, LoggerBackend, TestBackend
from autoscalebot.backends.scaling import BaseScalingBackend, DryRunBackend
from autoscalebot.cli import check
from autoscalebot.testing import Fleet

from conftest import process


class Seven(BaseMeasurementBackend):
    """Always seven."""

    unit: ClassVar[str] = "dwarfs"

    def measure(self) -> Any:
        return 7


@pytest.fixture
def app() -> Iterator[str]:
    """A web app that answers a number after 50 ms."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.05)
            body = json.dumps({"queue": {"length": 12}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join(30)


def test_hooks_run_once_before_each_and_once_after() -> None:
    calls: list[str] = []

    class Hooked(Seven):
        def setup(self) -> None:
            calls.append("setup")

        async def heartbeat_start(self) -> None:
            calls.append("heartbeat_start")

        def measure(self) -> Any:
            calls.append("measure")
            return super().measure()

        def teardown(self) -> None:
            calls.append("teardown")

    with Fleet(process(MEASUREMENT={"BACKEND": Hooked})) as fleet:
        fleet.run(ticks=2)
    assert calls == ["setup", "heartbeat_start", "measure", "heartbeat_start", "measure", "teardown"]


def test_a_setup_that_fails_is_tried_again() -> None:
    class Late(Seven):
        tries: ClassVar[int] = 0

        def setup(self) -> None:
            Late.tries += 1
            if Late.tries < 3:
                raise ConnectionError("not yet")

    with Fleet(process(MEASUREMENT={"BACKEND": Late})) as fleet:
        ticks = fleet.run(ticks=4)
    assert [tick.results[0]["success"] for tick in ticks] == [False, False, True, True]
    assert Late.tries == 3


def test_settings_come_from_all_base_classes_and_in_any_case() -> None:
    class Base(Seven):
        default_settings: ClassVar[Any] = {"HOST": "localhost", "PORT": 1}

    class Derived(Base):
        def default_settings(self) -> dict[str, Any]:
            return {"port": 2, "LIMIT": 0.5}

        def measure(self) -> dict[str, Any]:
            settings = self.settings
            named = {"host": settings.HOST, "port": settings["port"], "limit": settings.limit}
            return named | {"interval": settings.MEASUREMENT_INTERVAL_IN_SECONDS, "process": self.process}

    block = {"BACKEND": Derived, "SETTINGS": {"LIMIT": 0.7, "MEASUREMENT_INTERVAL_IN_SECONDS": 9}}
    with Fleet(process(MEASUREMENT=block)) as fleet:
        data = fleet.step().results[0]["data"]
    assert data == {"host": "localhost", "port": 2, "limit": 0.7, "interval": 9, "process": "web"}


def test_a_misspelt_setting_is_an_error_that_guesses() -> None:
    class Named(Seven):
        default_settings: ClassVar[Any] = {"QUEUE_NAME": "celery"}

    with pytest.raises(ValueError, match="unknown setting, did you mean queue_name"):
        Fleet(process(MEASUREMENT={"BACKEND": Named, "SETTINGS": {"QUEUE_NAMES": "x"}}))


def test_reading_a_setting_that_is_not_there_says_which_there_are() -> None:
    with pytest.raises(AttributeError, match=r"there is no setting HOST; there are: .*timeout_seconds"):
        _ = Seven().settings.HOST
    with pytest.raises(AttributeError, match="read only"):
        Seven().settings.timeout_seconds = 3
    assert "30" not in repr(Seven().settings)
    with pytest.raises(TypeError, match=r"there is no setting TIMEOUT; there are: .*timeout_seconds"):
        Seven(TIMEOUT=3)


def test_a_backend_made_by_hand_can_be_copied() -> None:
    backend = Seven(TIMEOUT_SECONDS=3)
    assert copy.deepcopy(backend).settings == backend.settings
    assert pickle.loads(pickle.dumps(backend.settings)) == backend.settings


def test_every_method_may_be_async_and_keeps_its_loop() -> None:
    loops: list[int] = []

    class Measures(BaseMeasurementBackend):
        async def measure(self) -> float:
            loops.append(id(asyncio.get_running_loop()))
            await asyncio.sleep(0)
            return 5000

    class Decides(IncrementBasedDecisionBackend):
        async def needs_scale_up(self) -> bool:
            return True

    class Scales(BaseScalingBackend):
        count: ClassVar[int] = 1

        async def get_num_processes(self) -> int:
            return Scales.count

        async def scale_to(self, num_requested: int) -> None:
            Scales.count = num_requested

    class Tells(BaseNotificationBackend):
        told: ClassVar[list[str]] = []

        async def send_notification(self, message: str) -> None:
            Tells.told.append(message)

    settings = process(MEASUREMENT={"BACKEND": Measures}, DECISION={"BACKEND": Decides}, SCALING={"BACKEND": Scales})
    settings["web"]["NOTIFICATION"] = {"BACKENDS": [Tells], "SETTINGS": {"NOTIFY_ON_EVERY_SCALE": True}}
    with Fleet(settings) as fleet:
        fleet.run(ticks=1)
    assert Scales.count == 2
    assert Tells.told == ["web: scaled up from 1 to 2 (why: Decides needs more than 1)"]
    assert len(set(loops)) == 1


def test_numbers_of_other_libraries_are_numbers() -> None:
    from decimal import Decimal
    from fractions import Fraction

    for number in (Decimal("7.5"), Fraction(15, 2)):

        class Returns(BaseMeasurementBackend):
            value: ClassVar[Any] = number

            def measure(self) -> Any:
                return self.value

        with Fleet(process(MEASUREMENT={"BACKEND": Returns})) as fleet:
            assert fleet.step().results[0]["data"] == 7.5


def test_a_document_reaches_the_decision_as_it_is() -> None:
    class Document(BaseMeasurementBackend):
        def measure(self) -> dict[str, Any]:
            return {"jobs": [1, 2, 3], "note": "ü"}

    class CountsJobs(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> bool:
            return len(self.results[-1]["data"]["jobs"]) > 2

    with Fleet(process(MEASUREMENT={"BACKEND": Document}, DECISION={"BACKEND": CountsJobs})) as fleet:
        assert fleet.step().order == 2


def test_one_method_of_a_shipped_measurement_is_changed_and_the_rest_stays(app: str) -> None:
    class InSeconds(ResponseTimeBackend):
        unit: ClassVar[str] = "s"

        def measure(self) -> dict[str, Any]:
            result = super().measure()
            return {**result, "data": result["data"] / 1000}

    block = {"BACKEND": InSeconds, "SETTINGS": {"MEASUREMENT_URL": app}}
    decision = {"SETTINGS": {"MAX_MEASUREMENT_VALUE": 0.02, "MIN_MEASUREMENT_VALUE": 0.01}}
    with Fleet(process(MEASUREMENT=block, DECISION=decision)) as fleet:
        ticks = fleet.run(ticks=3)
    assert 0.05 <= ticks[0].results[0]["data"] < 5
    assert ticks[2].order == 2
    assert ticks[2].reason.startswith("3 readings in a row above 0.02 s")


def test_a_shipped_measurement_has_its_own_settings_and_time_out(app: str) -> None:
    class WithKey(AppDecisionBackend):
        default_settings: ClassVar[Any] = {"KEY": "$.queue.length"}

    assert (
        WithKey().settings.timeout_seconds
        == json.loads(_native.defaults("measurement", "AppDecision"))["timeout_seconds"]
    )
    with pytest.raises(ValueError, match="timeout_seconds"):
        Fleet(process(MEASUREMENT={"BACKEND": WithKey, "SETTINGS": {"TIMEOUT_SECONDS": -1, "MEASUREMENT_URL": app}}))


def test_a_shipped_measurement_can_be_asked_by_hand(app: str) -> None:
    result = ResponseTimeBackend(measurement_url=app).measure()
    assert (result["backend"], result["success"]) == ("ResponseTime", True)
    assert result["data"] >= 50
    refused = ResponseTimeBackend(MEASUREMENT_URL="http://127.0.0.1:9/").measure()
    assert (refused["success"], refused["data"], refused["error"]["key"]) == (False, None, "refused")


def test_a_shipped_decision_as_base_class_keeps_what_it_looks_back() -> None:
    class Patient(ConsecutiveThresholdBackend):
        default_settings: ClassVar[Any] = {"NUMBER_OF_FAILS_TO_SCALE_UP_AFTER": 12}

    with pytest.raises(ValueError, match=r"history_length: 10 samples are kept, and the decision looks back 12"):
        Fleet(process(DECISION={"BACKEND": Patient}))


def test_a_shipped_decision_as_base_class_decides_like_its_original() -> None:
    class NeverDown(ConsecutiveThresholdBackend):
        def needs_scale_down(self) -> bool:
            return False

    class Falls(BaseMeasurementBackend):
        readings: ClassVar[list[int]] = [2000] * 3 + [1] * 20

        def measure(self) -> int:
            return Falls.readings.pop(0)

    with Fleet(process(MEASUREMENT={"BACKEND": Falls}, DECISION={"BACKEND": NeverDown})) as fleet:
        orders = [tick.order for tick in fleet.run(ticks=20)]
    assert orders == [None, None, 2] + [None] * 17


def test_a_shipped_platform_as_base_class_scales() -> None:
    class Doubles(DryRunBackend):
        def scale_to(self, num_requested: int) -> None:
            super().scale_to(num_requested * 2)

    class Wants(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> bool:
            return True

    settings = process(MEASUREMENT={"BACKEND": Seven}, DECISION={"BACKEND": Wants}, SCALING={"BACKEND": Doubles})
    with Fleet(settings) as fleet:
        counts = [tick.running for tick in fleet.run(ticks=2)]
    assert counts == [1, 4]
    by_hand = DryRunBackend(processes=5)
    by_hand.scale_to(9)
    assert by_hand.num_processes == 9


def test_each_kind_of_event_has_its_method_and_the_originals_too() -> None:
    class Loud(TestBackend):
        def notify_scaled(self, event: Any) -> None:
            self.send_notification(f"{event['process']}: {event['data']['from']} to {event['data']['to']}!")

        def notify_needs_exceeded_max(self, event: Any) -> None:
            self.send_notification(f"MAX {event['data']['max']}")

    class Wants(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> bool:
            return True

    settings = process(MEASUREMENT={"BACKEND": Seven}, DECISION={"BACKEND": Wants, "SETTINGS": {"MAX_PROCESSES": 2}})
    settings["web"]["NOTIFICATION"] = {"BACKENDS": [Loud], "SETTINGS": {"NOTIFY_ON_EVERY_SCALE": True}}
    with Fleet(settings) as fleet:
        fleet.run(ticks=2)
        assert fleet.messages == ["web: 1 to 2!", "MAX 2"]


def test_the_logger_backend_logs_at_the_events_level(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(BaseMeasurementBackend):
        def measure(self) -> str:
            return "much"

    settings = process(MEASUREMENT={"BACKEND": Broken})
    settings["web"]["NOTIFICATION"] = {"BACKENDS": ["autoscalebot.backends.notification.LoggerBackend"]}
    with caplog.at_level(logging.INFO), Fleet(settings) as fleet:
        fleet.step()
    told = [record for record in caplog.records if record.name == "autoscalebot"]
    assert [(record.levelname, record.event) for record in told] == [("WARNING", "measurement_failed")]  # type: ignore[attr-defined]
    assert "returned 'much', not a number" in told[0].getMessage()
    assert issubclass(LoggerBackend, BaseNotificationBackend)


def test_bots_with_python_backends_run_side_by_side() -> None:
    together = threading.Barrier(8, timeout=30)

    class Meets(BaseMeasurementBackend):
        def measure(self) -> int:
            return together.wait()

    signals = [{"MEASUREMENT": {"BACKEND": Meets}} for _ in range(8)]
    settings = process()
    settings["web"]["SIGNALS"] = signals
    with Fleet(settings) as fleet:
        results = fleet.step().results
    # Nobody gets past the barrier alone.
    assert sorted(result["data"] for result in results) == list(range(8))


def test_a_base_class_says_what_is_missing() -> None:
    with pytest.raises(NotYetImplementedException, match=r"BaseMeasurementBackend needs a method measure\(\)"):
        BaseMeasurementBackend().measure()


@pytest.mark.parametrize(
    "module",
    [
        autoscalebot.backends.measurement,
        autoscalebot.backends.decision,
        autoscalebot.backends.scaling,
        autoscalebot.backends.notification,
    ],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_every_backend_of_the_engine_has_its_class(module: Any) -> None:
    stage = module.__name__.rpartition(".")[2]
    shipped = {
        cls.native_backend for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, BaseBackend)
    }
    block: dict[str, Any] = {"BACKENDS": ["Nobody"]} if stage == "notification" else {"BACKEND": "Nobody"}
    problems = check({"AUTOSCALE_SETTINGS": {"web": {"SCALING": {"BACKEND": "DryRun"}, stage.upper(): block}}})
    listed = problems[0].allowed.removeprefix("one of ").split(", ")
    in_python = {"Console", "Logger", "DjangoEmail", "Memory"} if stage == "notification" else set()
    assert set(listed) - in_python == shipped - {None}


def test_a_class_may_have_other_defaults_for_what_its_whole_stage_has() -> None:
    class Strides(ConsecutiveThresholdBackend):
        default_settings: ClassVar[Any] = {"INCREMENT": 2, "MAX_PROCESSES": 9, "NUMBER_OF_FAILS_TO_SCALE_UP_AFTER": 1}

    class Often(Seven):
        default_settings: ClassVar[Any] = {"MEASUREMENT_INTERVAL_IN_SECONDS": 5}

        def measure(self) -> int:
            return 5000

    with Fleet(process(MEASUREMENT={"BACKEND": Often}, DECISION={"BACKEND": Strides})) as fleet:
        ticks = fleet.run(ticks=2)
    assert [(tick.at, tick.order) for tick in ticks] == [(0, 3), (5, 5)]
    settings = process(DECISION={"BACKEND": Strides, "SETTINGS": {"INCREMENT": 4}}, MEASUREMENT={"BACKEND": Often})
    with Fleet(settings) as fleet:
        assert fleet.step().order == 5


def test_a_decision_knows_its_process() -> None:
    class Named(IncrementBasedDecisionBackend):
        def needs_scale_up(self) -> bool:
            self.reason = f"it is {self.process}"
            return True

    with Fleet(process(MEASUREMENT={"BACKEND": Seven}, DECISION={"BACKEND": Named})) as fleet:
        assert fleet.step().reason == "it is web"


def test_messages_are_kept_up_to_a_number() -> None:
    settings = process(
        MEASUREMENT={"BACKEND": Seven}, notify={"NOTIFY_ON_EVERY_MEASUREMENT": True, "NOTICES_TO_KEEP": 2}
    )
    with Fleet(settings) as fleet:
        fleet.run(ticks=5)
    assert len(TestBackend.messages) == 2
