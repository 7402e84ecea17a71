"""``manage.py autoscalebot`` is the bot with the project's settings."""

from __future__ import annotations

import email
import json
import signal
from email import policy
from pathlib import Path

import pytest
import sample

from conftest import Start

#: One reading, always high, is enough to grow; the platform is a number in memory.
GROWING = """
AUTOSCALE_SETTINGS = {
    'web': {
        'MEASUREMENT': {
            'BACKEND': 'Command',
            'SETTINGS': {'COMMAND': 'echo 5000', 'MEASUREMENT_INTERVAL_IN_SECONDS': 0.2},
        },
        'DECISION': {'SETTINGS': {'NUMBER_OF_FAILS_TO_SCALE_UP_AFTER': 1, 'POST_SCALE_WAIT_TIME_SECONDS': 0.1}},
        'SCALING': {'BACKEND': 'DryRun'},
        'NOTIFICATION': {
            'BACKENDS': [BACKENDS],
            'SETTINGS': {'NOTIFY_ON_EVERY_SCALE': True},
        },
    },
}
"""
CONSOLE = GROWING.replace("BACKENDS]", "'autoscalebot.backends.notification.ConsoleBackend']")


@pytest.mark.parametrize("name", ["autoscalebot", "run_autoscalebot"])
@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_it_is_told_to_stop_and_ends_well(
    name: str, with_signal: int, start: Start, tmp_path: Path
) -> None:
    program = start(sample.command(name), tmp_path, sample.environment(tmp_path, CONSOLE))
    program.prints("web: scaled up from 2 to 3")
    assert program.end(with_signal) == 0
    assert "Traceback" not in program.output


def test_options_reach_the_engine(start: Start, tmp_path: Path) -> None:
    program = start(sample.command("autoscalebot", "--dry-run"), tmp_path, sample.environment(tmp_path, CONSOLE))
    program.prints("dry run")
    assert program.end() == 0


def test_admins_are_mailed_by_the_projects_own_mail(start: Start, tmp_path: Path) -> None:
    settings = GROWING.replace("BACKENDS]", "'autoscalebot.backends.notification.DjangoEmailBackend']")
    program = start(sample.command("autoscalebot"), tmp_path, sample.environment(tmp_path, settings))
    program.until(lambda: len(list((tmp_path / "mail").glob("*.log"))) >= 1 or program.process.poll() is not None)
    assert program.end() == 0, program.output
    first = sorted((tmp_path / "mail").glob("*.log"))[0]
    mail = email.message_from_bytes(first.read_bytes().split(b"-" * 79)[0], policy=policy.default)
    assert (mail["From"], mail["To"]) == ("bot@example.com", "ops@example.com")
    assert mail["Subject"].startswith("[Django] ")
    assert "web" in mail["Subject"]
    body = mail.get_body()
    assert body is not None
    assert "5000" in body.get_content()


LOGGING = """
LOGGING = {
    'version': 1,
    'formatters': {'short': {'format': 'told %(levelname)s %(process_name)s: %(message)s'}},
    'handlers': {'file': {'class': 'logging.FileHandler', 'filename': 'bot.log', 'formatter': 'short'}},
    'loggers': {'autoscalebot': {'handlers': ['file'], 'level': 'INFO'}},
}
"""
LOGGER = GROWING.replace("BACKENDS]", "'autoscalebot.backends.notification.LoggerBackend']")


def test_what_is_logged_goes_where_the_projects_logging_says(start: Start, tmp_path: Path) -> None:
    program = start(sample.command("autoscalebot"), tmp_path, sample.environment(tmp_path, LOGGER + LOGGING))
    log = tmp_path / "bot.log"
    program.until(lambda: (log.exists() and "told INFO web: " in log.read_text()) or program.process.poll() is not None)
    assert program.end() == 0, program.output
    assert "scaled up from 1 to 2" in log.read_text()


def test_what_is_logged_is_seen_when_the_project_says_nothing_about_it(start: Start, tmp_path: Path) -> None:
    program = start(sample.command("autoscalebot"), tmp_path, sample.environment(tmp_path, LOGGER))
    program.prints("INFO autoscalebot web: scaled up from 1 to 2")
    assert program.end() == 0


def test_eval_measures_with_a_backend_of_the_project(tmp_path: Path) -> None:
    settings = """
AUTOSCALE_SETTINGS = {
    'web': {
        'MEASUREMENT': {'BACKEND': 'project.backends.RowsBackend', 'SETTINGS': {'PER_ROW': 7}},
        'SCALING': {'BACKEND': 'DryRun'},
    },
}
"""
    fill = "from autoscalebot.models import Measurement; Measurement.touch()"
    for arguments in (["migrate"], ["shell", "-c", fill]):
        assert sample.manage(tmp_path, *arguments, settings=settings).returncode == 0
    done = sample.manage(tmp_path, "autoscalebot", "eval", "--json", settings=settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["sample"]["data"] == 7


def test_check_says_where_values_come_from_and_the_projects_time_zone_is_used(tmp_path: Path) -> None:
    done = sample.manage(tmp_path, "autoscalebot", "check", settings=CONSOLE)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["decision.settings.time_zone", '"America/Vancouver"', "case"] in lines
    assert ["decision.settings.max_processes", "3", "default"] in lines


def test_a_project_without_a_time_zone_has_the_machines(tmp_path: Path) -> None:
    done = sample.manage(tmp_path, "autoscalebot", "check", settings=f"{CONSOLE}\nTIME_ZONE = None")
    assert done.returncode == 0, done.stderr
    assert ["decision.settings.time_zone", "-", "default"] in [line.split() for line in done.stdout.splitlines()]


def test_wrong_settings_and_wrong_usage_are_exit_code_2(tmp_path: Path) -> None:
    wrong = CONSOLE.replace("'COMMAND'", "'COMAND'")
    for arguments, settings in ((["check"], wrong), ([], wrong), (["--dry-rum"], CONSOLE), (["czech"], CONSOLE)):
        done = sample.manage(tmp_path, "autoscalebot", *arguments, settings=settings)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
    assert "comand" in sample.manage(tmp_path, "autoscalebot", settings=wrong).stderr


def test_a_broken_project_is_scaled_all_the_same(start: Start, tmp_path: Path) -> None:
    broken = f"{CONSOLE}\nROOT_URLCONF = 'no.such.module'\nDATABASES['default']['NAME'] = '/nowhere/db.sqlite3'"
    program = start(sample.command("autoscalebot"), tmp_path, sample.environment(tmp_path, broken))
    program.prints("web: scaled up from 1 to 2")
    assert program.end() == 0


def test_what_needs_no_settings_needs_none(tmp_path: Path) -> None:
    for arguments, words in (
        (["example"], "AUTOSCALE_SETTINGS = {"),
        (["example", "toml"], "[web.measurement]"),
        (["schema"], "$schema"),
        (["help"], "Usage: autoscalebot"),
        (["--", "--version"], "autoscalebot "),
    ):
        done = sample.manage(tmp_path, "autoscalebot", *arguments)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout


def test_djangos_own_options_stay_djangos(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(f"from project.settings import *\n{CONSOLE}\n")
    arguments = ["check", "--settings=other", "--no-color", "-v", "2", "--pythonpath", str(tmp_path)]
    done = sample.manage(tmp_path, "autoscalebot", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("other\n")


class TestWithoutSettings:
    """On Heroku the surroundings say enough."""

    def test_a_desk_is_told_both_ways_out(self, tmp_path: Path) -> None:
        for arguments in ([], ["--dry-run"], ["check"], ["eval"]):
            done = sample.manage(tmp_path, "autoscalebot", *arguments)
            assert done.returncode == 2
            assert "heroku labs:enable runtime-dyno-metadata" in done.stderr
            assert "AUTOSCALE_SETTINGS" in done.stderr
            assert "Traceback" not in done.stderr

    def effective(self, folder: Path, settings: str = "") -> dict[str, str]:
        """What each setting is, by its name."""
        heroku = {"HEROKU_APP_NAME": "dancing-forest-1234", "HEROKU_API_KEY": "hunter2"}
        done = sample.manage(folder, "autoscalebot", "check", settings=settings, **heroku)
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout
        rows = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
        return {row[0]: row[1].strip('"') for row in rows if len(row) > 2}

    def test_a_dyno_scales_web_by_the_measurement_view(self, tmp_path: Path) -> None:
        effective = self.effective(tmp_path)
        assert effective["measurement.backend"] == "ResponseTime"
        assert effective["measurement.settings.measurement_url"] == "/autoscalebot/measurement/"
        assert effective["decision.backend"] == "ConsecutiveThreshold"
        assert effective["scaling.backend"] == "Heroku"
        assert effective["scaling.settings.app_name"] == "dancing-forest-1234"
        assert effective["notification.backends[0].backend"] == "Console"
        assert effective["notification.backends[1].backend"] == "DjangoEmail"

    def test_nobody_is_mailed_when_there_is_nobody_to_mail_to(self, tmp_path: Path) -> None:
        assert "notification.backends[1].backend" not in self.effective(tmp_path, "ADMINS = []")

    def test_the_view_is_measured_where_the_project_has_it(self, tmp_path: Path) -> None:
        (tmp_path / "deeper.py").write_text(
            "from django.urls import include, path\n"
            "urlpatterns = [path('internal/', include('autoscalebot.urls', namespace='autoscalebot'))]\n"
        )
        effective = self.effective(tmp_path, "ROOT_URLCONF = 'deeper'")
        assert effective["measurement.settings.measurement_url"] == "/internal/autoscalebot/measurement/"

    def test_without_the_view_the_usual_url_is_measured(self, tmp_path: Path) -> None:
        (tmp_path / "bare.py").write_text("urlpatterns = []\n")
        effective = self.effective(tmp_path, "ROOT_URLCONF = 'bare'")
        assert effective["measurement.settings.measurement_url"] == "/autoscalebot/measurement/"

    def test_the_views_secret_is_sent_and_not_shown(self, tmp_path: Path) -> None:
        effective = self.effective(tmp_path, "AUTOSCALEBOT_MEASUREMENT_SECRET = 'hunter2'")
        assert effective["measurement.settings.headers"] == "(secret)"


class TestCalledByAProgram:
    """``call_command`` is not a program: it returns, or raises."""

    def outcome(self, folder: Path, call: str, settings: str) -> str:
        """What a call led to, told by the program that made it and lives on."""
        code = f"""
from django.core.management import CommandError, call_command
try:
    call_command({call})
except (CommandError, SystemExit) as error:
    print(f"raised {{type(error).__name__}}: {{error}}")
else:
    print("returned")
"""
        done = sample.manage(folder, "shell", "-v0", "-c", code, settings=settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_it_returns_when_all_is_well(self, tmp_path: Path) -> None:
        assert self.outcome(tmp_path, "'autoscalebot', 'check'", CONSOLE).endswith("returned\n")
        assert self.outcome(tmp_path, "'autoscalebot', 'eval', '--json'", CONSOLE).endswith("returned\n")

    def test_the_exit_code_is_raised(self, tmp_path: Path) -> None:
        wrong = CONSOLE.replace("DryRun", "NoSuch")
        assert self.outcome(tmp_path, "'run_autoscalebot', 'check'", wrong).endswith("raised SystemExit: 2\n")

    def test_missing_settings_are_a_command_error(self, tmp_path: Path) -> None:
        assert "raised CommandError: case has no AUTOSCALE_SETTINGS" in self.outcome(tmp_path, "'autoscalebot'", "")
