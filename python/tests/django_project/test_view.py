"""What the measurement view says, to whom, and what it costs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sample
from django.apps import apps
from django.core import mail
from django.core.cache import cache, caches
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

URL = "/autoscalebot/measurement/"


@pytest.fixture(autouse=True)
def _project() -> None:
    sample.set_up()


@pytest.fixture
def _unmigrated() -> Iterator[None]:
    call_command("migrate", "autoscalebot", "zero", verbosity=0)
    yield
    call_command("migrate", verbosity=0)


def rows() -> Any:
    return apps.get_model("autoscalebot", "Measurement")._default_manager


def details(**headers: str) -> Any:
    return Client().get(URL, headers={"Accept": "application/json", **headers}).json()


def only(backend: str) -> dict[str, Any]:
    return {"default": {"BACKEND": backend}}


def test_the_view_is_where_the_engine_looks_for_it() -> None:
    assert reverse("autoscalebot:measurement") == URL


def test_a_working_app_says_ok_in_plain_text() -> None:
    response = Client().get(URL)
    assert (response.status_code, response.content) == (200, b"ok")
    assert response["Content-Type"] == "text/plain; charset=utf-8"


def test_nobody_may_keep_the_answer() -> None:
    assert "no-store" in Client().get(URL)["Cache-Control"]


@pytest.mark.parametrize("accept", ["*/*", "text/html, */*;q=0.8", "image/png", ""])
def test_who_does_not_ask_for_json_gets_text(accept: str) -> None:
    assert Client().get(URL, headers={"Accept": accept}).content == b"ok"


def test_who_asks_for_json_learns_how_long_each_part_took() -> None:
    for response in (
        Client().get(URL, headers={"Accept": "application/json"}),
        Client().get(URL, {"format": "json"}),
    ):
        told = response.json()
        total = told.pop("total_ms")
        assert set(told) == {"cache", "database", "disk"}
        assert all(part["ok"] is True and 0 < part["ms"] < total for part in told.values())


def test_it_can_only_be_read() -> None:
    assert Client().head(URL).status_code == 200
    assert Client().post(URL).status_code == 405


def test_the_database_keeps_one_row_and_is_written_at_most_once_a_second() -> None:
    rows().all().delete()
    Client().get(URL)
    first = rows().get().written_at
    with CaptureQueriesContext(connection) as queries:
        Client().get(URL)
    # A clock that stands a second further by now would write.
    assert len(queries) <= 2
    rows().update(written_at=first - timedelta(hours=1))
    Client().get(URL)
    assert rows().get().written_at >= first
    rows().update(written_at=first + timedelta(hours=1))
    Client().get(URL)
    assert rows().get().written_at < first + timedelta(hours=1), "a clock that was put back ends nothing"


def test_nothing_is_left_in_the_cache() -> None:
    cache.clear()
    Client().get(URL)
    locmem: Any = caches["default"]
    assert not locmem._cache


@pytest.mark.usefixtures("_unmigrated")
def test_without_the_migrations_it_measures_the_connection_and_says_so() -> None:
    assert Client().get(URL).content == b"ok"
    assert details()["database"]["note"] == "only connected: the app's migrations were not run"


def test_a_failure_of_the_database_is_no_missing_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked() -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(apps.get_model("autoscalebot", "Measurement"), "touch", locked)
    response = Client().get(URL)
    assert (response.status_code, response.content) == (503, b"failed: database")


@pytest.mark.parametrize("backend", ["sample.BrokenCache", "sample.ForgetfulCache"])
def test_what_is_broken_is_named_to_strangers_and_explained_in_the_log(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(CACHES=only(backend)), caplog.at_level(logging.ERROR, "autoscalebot"):
        response = Client().get(URL)
        told = Client().get(URL, {"format": "json"})
    assert (response.status_code, response.content) == (503, b"failed: cache")
    assert told.status_code == 503
    assert told.json()["cache"].keys() == {"ms", "ok"}
    assert told.json()["database"]["ok"] is True
    assert "hunter2" not in told.content.decode()
    record = caplog.records[0]
    assert record.name == "autoscalebot"
    assert record.exc_info is not None


def test_a_failure_does_not_mail_the_admins_at_each_measurement() -> None:
    mail.outbox = []
    with override_settings(CACHES=only("sample.BrokenCache")):
        assert Client().get(URL).status_code == 503
    assert mail.outbox == []


def test_a_cache_that_is_meant_to_keep_nothing_is_not_broken() -> None:
    with override_settings(CACHES=only("django.core.cache.backends.dummy.DummyCache")):
        assert details()["cache"]["note"] == "the cache that is set up keeps nothing"


def test_a_disk_that_is_full_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert Client().get(URL).content == b"failed: disk"


@override_settings(AUTOSCALEBOT_MEASUREMENT_SECRET="hunter2 é")
def test_with_a_secret_only_who_sends_it_is_answered() -> None:
    assert Client().get(URL).status_code == 403
    assert Client().get(URL, headers={"X-Autoscalebot-Secret": "hunter3"}).status_code == 403
    assert Client().get(URL, headers={"X-Autoscalebot-Secret": "hunter2 é"}).content == b"ok"


@override_settings(AUTOSCALEBOT_MEASUREMENT_SECRET="")
def test_an_empty_secret_is_none() -> None:
    assert Client().get(URL).content == b"ok"


ASK = f"from django.test import Client;r = Client().get('{URL}?format=json');print(r.status_code, r.content.decode())"
AUTH = """
INSTALLED_APPS = [*INSTALLED_APPS, 'django.contrib.contenttypes', 'django.contrib.auth', 'django.contrib.sessions']
MIDDLEWARE = ['django.contrib.sessions.middleware.SessionMiddleware',
              'django.contrib.auth.middleware.AuthenticationMiddleware',
              'django.contrib.auth.middleware.LoginRequiredMiddleware']
"""


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ("", "200 "),
        ("DATABASES = {}", '200 {"cache": '),
        ("DATABASES['default']['NAME'] = '/nowhere/db.sqlite3'", "503 "),
        ("DATABASES['default']['ATOMIC_REQUESTS'] = True", "200 "),
        ("DATABASES['other'] = {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '/nowhere/db.sqlite3'}", "200 "),
        ("USE_TZ = False", "200 "),
        (AUTH, "200 "),
    ],
)
def test_projects_of_many_kinds_can_have_it(settings: str, answer: str, tmp_path: Path) -> None:
    done = sample.manage(tmp_path, "shell", "-v0", "-c", ASK, settings=settings)
    assert done.stdout.startswith(answer), done.stdout + done.stderr
