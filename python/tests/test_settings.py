"""What values in Python settings mean, and what is said about wrong ones."""

from __future__ import annotations

import datetime
import enum
import importlib
from collections import OrderedDict
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from autoscalebot.backends.measurement import BaseMeasurementBackend
from autoscalebot.cli import Problem, check, run
from autoscalebot.testing import Fleet

from conftest import process


class Level(enum.Enum):
    """Something of a project's own."""

    MOST = 4


class Shows(BaseMeasurementBackend):
    """Returns a setting as its document."""

    default_settings: ClassVar[Any] = {"VALUE": None}

    def measure(self) -> dict[str, Any]:
        return {"value": self.settings.VALUE}


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (datetime.timedelta(minutes=2), 120),
        (datetime.time(8, 5), "8:05"),
        (Decimal("0.25"), 0.25),
        (PurePosixPath("/a/b"), "/a/b"),
        (Level.MOST, 4),
        (OrderedDict(a=(1, 2)), {"a": [1, 2]}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (frozenset([3]), [3]),
        (ZoneInfo("America/Vancouver"), "America/Vancouver"),
        (range(3), [0, 1, 2]),
        (2**63, 2**63),
        ("ü€", "ü€"),
        (True, True),
        ({1: "x"}, {"1": "x"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_other_types_mean_what_they_say(value: object, meant: object) -> None:
    with Fleet(process(MEASUREMENT={"BACKEND": Shows, "SETTINGS": {"VALUE": value}})) as fleet:
        assert fleet.step().results[0]["data"] == {"value": meant}


def test_time_tables_may_have_times_as_keys() -> None:
    decision = {"SETTINGS": {"MIN_PROCESSES": {datetime.time(0, 0): 2}, "MAX_PROCESSES": Level.MOST}}
    with Fleet(process(MEASUREMENT={"BACKEND": Shows}, DECISION=decision)) as fleet:
        assert fleet.step().wanted == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "an object of type object"),
        (b"abc", "an object of type bytes"),
        (float("nan"), "no finite number"),
        (2**70, "too large"),
        (lambda: 3, "an object of type function"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_value_of_settings_is_an_error_at_its_place(value: object, said: str) -> None:
    problems = check({"AUTOSCALE_SETTINGS": process(MEASUREMENT={"BACKEND": Shows, "SETTINGS": {"VALUE": value}})})
    assert [problem.path for problem in problems] == ["web.measurement.settings.value"]
    assert said in problems[0].found


def test_check_finds_every_problem_at_once_and_connects_to_nothing() -> None:
    settings = {
        "AUTOSCALE_SETTINGS": {
            "web": {
                "MEASUREMENT": {"BACKEND": "ResponseTimeBackend", "SETTINGS": {"MEASUREMENT_URL": 3}},
                "DECISION": {"SETTINGS": {"MIN_PROCESES": 1, "INCREMENT": 0}},
                "SCALING": {"BACKEND": "HerokuBackend", "SETTINGS": {"APP_NAME": "x", "API_KEY": "abcdef1234567890"}},
            },
        },
        "TIME_ZONE": "Mars/Olympus",
    }
    problems = check(settings, "project.settings")
    assert all(isinstance(problem, Problem) and not problem.is_warning for problem in problems)
    paths = {problem.path for problem in problems}
    assert "web.decision.settings.min_proceses" in paths
    assert "web.decision.settings.increment" in paths
    assert any("Mars/Olympus" in problem.found for problem in problems)
    assert "abcdef1234567890" not in str(problems)


def test_what_works_but_should_be_known_is_a_warning() -> None:
    measurement = {"BACKEND": "ResponseTimeBackend", "SETTINGS": {"MIN_TIME_MS": 500, "MAX_TIME_MS": 1000}}
    problems = check({"AUTOSCALE_SETTINGS": process(MEASUREMENT=measurement)})
    assert problems
    assert all(problem.is_warning for problem in problems)


def test_secrets_of_a_backend_of_ones_own_are_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    class Keyed(Shows):
        default_settings: ClassVar[Any] = {"API_KEY": "hunter2-default", "SMTP_PASSWORD": "", "OPTIONS": {}}

    own = {"SMTP_PASSWORD": "hunter2-given", "OPTIONS": {"a": {"token": "hunter2"}}}
    settings = process(MEASUREMENT={"BACKEND": Keyed, "SETTINGS": own})
    assert run(["check"], {"AUTOSCALE_SETTINGS": settings}, "here") == 0
    printed = capfd.readouterr()
    assert "smtp_password" in printed.out
    assert "hunter2" not in printed.out + printed.err


@pytest.mark.parametrize("stage", ["measurement", "decision", "scaling", "notification"])
def test_the_dotted_path_of_every_shipped_class_is_known(stage: str) -> None:
    module = importlib.import_module(f"autoscalebot.backends.{stage}")
    for name in module.__all__:
        if name.startswith(("Base", "IncrementBased")) or not name.endswith("Backend"):
            continue
        path = f"autoscalebot.backends.{stage}.{name}"
        block: dict[str, Any] = {"BACKENDS": [path]} if stage == "notification" else {"BACKEND": path}
        settings = {"web": {"SCALING": {"BACKEND": "DryRun"}, stage.upper(): block}}
        found = [problem.found for problem in check({"AUTOSCALE_SETTINGS": settings})]
        assert not [text for text in found if "no backend" in text], (name, found)


def test_the_default_of_a_class_for_its_stage_is_shown_once_and_as_a_default(capfd: pytest.CaptureFixture[str]) -> None:
    class Often(Shows):
        default_settings: ClassVar[Any] = {"MEASUREMENT_INTERVAL_IN_SECONDS": 7}

    assert run(["check"], {"AUTOSCALE_SETTINGS": process(MEASUREMENT={"BACKEND": Often})}, "here") == 0
    lines = [line.split() for line in capfd.readouterr().out.splitlines() if "measurement_interval" in line]
    assert lines == [["measurement.settings.measurement_interval_in_seconds", "7", "default"]]
