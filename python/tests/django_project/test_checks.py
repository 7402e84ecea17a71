"""What ``manage.py check`` says about the bot's settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import django
import pytest
import sample
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings

DRY = {"BACKEND": "DryRun"}
GOOD: dict[str, Any] = {"web": {"SCALING": DRY}}


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    sample.set_up()
    monkeypatch.delenv("HEROKU_APP_NAME", raising=False)


def said(deploy: bool = False, **settings: Any) -> list[CheckMessage]:
    with override_settings(**settings):
        return run_checks(tags=["autoscalebot"], include_deployment_checks=deploy)


def ids(deploy: bool = False, **settings: Any) -> list[str]:
    return [str(message.id).removeprefix("autoscalebot.") for message in said(deploy, **settings)]


def test_good_settings_are_passed_over_in_silence() -> None:
    assert ids(AUTOSCALE_SETTINGS=GOOD) == []


def test_each_wrong_setting_is_an_error_with_its_place_and_a_way_out() -> None:
    wrong = {
        "web": {
            "MEASUREMENT": {"SETTINGS": {"MEASUREMENT_INTERVAL_IN_SECONDS": "often"}},
            "DECISION": {"SETTINGS": {"MAX_PROCESES": 3}},
            "SCALING": DRY,
        }
    }
    messages = said(AUTOSCALE_SETTINGS=wrong)
    assert [message.id for message in messages] == ["autoscalebot.E001"] * 2
    assert all(message.is_serious() and message.hint for message in messages)
    text = "\n".join(message.msg for message in messages)
    assert "web.measurement.settings.measurement_interval_in_seconds" in text
    assert "max_processes" in text


@pytest.mark.parametrize("settings", [[], "web", 7, ("web",)])
def test_settings_that_are_no_dictionary_are_their_own_error(settings: Any) -> None:
    assert ids(AUTOSCALE_SETTINGS=settings) == ["E002"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"web": None},
        {"web": []},
        {"web": {"MEASUREMENT": 7, "NOTIFICATION": "mail"}},
        {"web": {"MEASUREMENT": {"BACKEND": 7, "SETTINGS": {"MEASUREMENT_URL": 7, "HEADERS": 7}}}},
        {"web": {"SIGNALS": [7, {"MEASUREMENT": {"BACKEND": object()}}]}},
        {7: {"NOTIFICATION": {"BACKENDS": [7, None]}}},
    ],
)
def test_nonsense_is_told_and_breaks_nothing(settings: Any) -> None:
    assert "E001" in ids(AUTOSCALE_SETTINGS=settings)


def test_a_variable_that_is_not_set_here_may_be_set_where_the_bot_runs() -> None:
    heroku = {"BACKEND": "Heroku", "SETTINGS": {"APP_NAME": "dancing-forest-1234", "API_KEY": "${NOT_SET_HERE}"}}
    assert ids(AUTOSCALE_SETTINGS={"web": {"SCALING": heroku}}) == ["W003"]


def test_what_the_engine_remarks_is_a_warning() -> None:
    original = {"MEASUREMENT": {"SETTINGS": {"MIN_TIME_MS": 500, "MAX_TIME_MS": 1000}}, "SCALING": DRY}
    assert set(ids(AUTOSCALE_SETTINGS={"web": original})) == {"W001"}


class TestWithoutSettings:
    """Heroku says enough to do without; a desk does not, and needs no bot."""

    def test_nothing_is_said_at_a_desk(self) -> None:
        assert ids() == []

    def test_a_deployment_that_cannot_run_the_bot_is_warned(self) -> None:
        assert ids(deploy=True) == ["W004"]

    def test_a_dyno_knows_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HEROKU_APP_NAME", "dancing-forest-1234")
        assert ids(deploy=True) == []

    @override_settings(AUTOSCALEBOT_MEASUREMENT_SECRET="hunter2")
    def test_the_secret_is_known_and_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert ids() == []
        monkeypatch.setenv("HEROKU_APP_NAME", "dancing-forest-1234")
        assert ids(deploy=True) == []

    @override_settings(ROOT_URLCONF="no.such.module")
    def test_a_broken_urlconf_is_told_by_django_and_not_here(self) -> None:
        assert ids() == []
        assert ids(AUTOSCALE_SETTINGS=GOOD) == []

    @override_settings(ROOT_URLCONF="bare_urls")
    def test_a_project_without_the_view_is_warned(self) -> None:
        assert ids() == ["W002"]


@pytest.fixture(autouse=True)
def _bare_urls() -> Iterator[None]:
    """URLconfs with nothing in it, and with a page of the project's own at the usual place."""
    from types import ModuleType

    from django.http import HttpResponse
    from django.urls import path

    bare: Any = ModuleType("bare_urls")
    bare.urlpatterns = []
    own: Any = ModuleType("own_urls")
    own.urlpatterns = [path("autoscalebot/measurement/", lambda _: HttpResponse("mine"))]
    sys.modules |= {"bare_urls": bare, "own_urls": own}
    yield
    del sys.modules["bare_urls"], sys.modules["own_urls"]


class TestTheMeasurementView:
    """Whether the app answers where it is measured."""

    @override_settings(ROOT_URLCONF="bare_urls")
    def test_the_usual_url_without_a_view_is_a_warning(self) -> None:
        assert ids(AUTOSCALE_SETTINGS=GOOD) == ["W002"]

    @override_settings(ROOT_URLCONF="bare_urls")
    def test_a_url_of_the_projects_own_is_its_own_affair(self) -> None:
        for url in ("/health/", "https://www.example.com/"):
            mine = {"MEASUREMENT": {"SETTINGS": {"MEASUREMENT_URL": url}}, "SCALING": DRY}
            assert "W002" not in ids(AUTOSCALE_SETTINGS={"web": mine})

    @override_settings(ROOT_URLCONF="bare_urls")
    def test_a_queue_needs_no_view(self) -> None:
        queue = {"MEASUREMENT": {"BACKEND": "CeleryRedisQueueSize"}, "SCALING": DRY}
        assert "W002" not in ids(AUTOSCALE_SETTINGS={"celery": queue})

    @override_settings(ROOT_URLCONF="own_urls", AUTOSCALEBOT_MEASUREMENT_SECRET="hunter2")
    def test_a_page_of_the_projects_own_will_do(self) -> None:
        assert ids(AUTOSCALE_SETTINGS=GOOD) == []

    @override_settings(AUTOSCALEBOT_MEASUREMENT_SECRET="hunter2")
    def test_a_secret_that_is_not_sent_is_a_warning(self) -> None:
        assert ids(AUTOSCALE_SETTINGS=GOOD) == ["W006"]
        sent = {"SETTINGS": {"HEADERS": {"x-autoscalebot-secret": "hunter2"}}}
        assert ids(AUTOSCALE_SETTINGS={"web": {"MEASUREMENT": sent, "SCALING": DRY}}) == []


class TestMail:
    """Whether mail to the ADMINS can reach somebody."""

    SETTINGS: ClassVar[dict[str, Any]] = {
        "web": {"SCALING": DRY, "NOTIFICATION": {"BACKENDS": ["DjangoEmail", "Console"]}}
    }

    def test_the_samples_admins_can_be_mailed(self) -> None:
        assert ids(AUTOSCALE_SETTINGS=self.SETTINGS) == []

    def test_nobody_to_mail_to_is_a_warning(self) -> None:
        assert ids(AUTOSCALE_SETTINGS=self.SETTINGS, ADMINS=[]) == ["W005"]
        assert ids(AUTOSCALE_SETTINGS=GOOD, ADMINS=[]) == []

    def test_what_this_django_cannot_mail_to_is_an_error(self) -> None:
        mixed = ["ops@example.com", ("Operations", "ops@example.com")]
        assert ids(AUTOSCALE_SETTINGS=self.SETTINGS, ADMINS=mixed) == ["E003"]
        texts = ids(AUTOSCALE_SETTINGS=self.SETTINGS, ADMINS=["ops@example.com"])
        assert texts == ([] if django.VERSION >= (6, 0) else ["E003"])


def test_a_native_module_that_does_not_work_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    import autoscalebot

    monkeypatch.delattr(autoscalebot, "_native", raising=False)
    monkeypatch.setitem(sys.modules, "autoscalebot._native", None)
    assert ids(AUTOSCALE_SETTINGS=GOOD) == ["E009"]


def test_manage_py_check_fails_on_errors_and_shows_no_secret(tmp_path: Path) -> None:
    wrong = (
        "AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'Heroku', 'SETTINGS': {'APP_NAME': 7, 'API_KEY': 'hunter2'}},"
        " 'DECISION': {'SETTINGS': {'MIN_PROCESSES': 5, 'MAX_PROCESSES': 2}}}}"
    )
    done = sample.manage(tmp_path, "check", settings=wrong)
    assert done.returncode == 1
    assert "autoscalebot.E001" in done.stderr
    assert "web.scaling.settings.app_name" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    done = sample.manage(tmp_path, "check", settings=f"AUTOSCALE_SETTINGS = {GOOD}")
    assert done.returncode == 0, done.stderr


def test_checks_connect_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a check connected to something")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection", refuse)
    assert ids(deploy=True, AUTOSCALE_SETTINGS=GOOD) == []
