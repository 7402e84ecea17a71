"""A dyno of a Django project runs the bot without any settings: the Heroku is a fake, the rest is real."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import sample

from conftest import FakeHeroku, Start

#: The bot finds it in the project's settings, and so does the view.
SECRET = "AUTOSCALEBOT_MEASUREMENT_SECRET = 'hunter2'"


def test_without_settings_the_view_is_measured_and_the_dynos_are_counted(
    start: Start, heroku: Callable[..., FakeHeroku], tmp_path: Path
) -> None:
    port = sample.free_port()
    gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-b", f"127.0.0.1:{port}", "project.wsgi"]
    web = start(gunicorn, tmp_path, sample.environment(tmp_path, SECRET))
    web.prints("Booting worker")
    platform = heroku(f"http://127.0.0.1:{port}", 2)
    done = sample.manage(tmp_path, "autoscalebot", "eval", "--json", settings=SECRET, **platform.environment)
    assert done.returncode == 0, done.stderr
    (web_process,) = json.loads(done.stdout)
    assert web_process["process"] == "web"
    assert web_process["sample"]["backend"] == "ResponseTime"
    assert web_process["sample"]["success"] is True
    assert web_process["running"] == 2
    assert "hunter2" not in done.stdout + done.stderr


def test_a_bot_without_settings_runs_until_it_is_stopped(
    start: Start, heroku: Callable[..., FakeHeroku], tmp_path: Path
) -> None:
    platform = heroku()
    bot = start(sample.command("autoscalebot"), tmp_path, sample.environment(tmp_path, **platform.environment))
    platform.until(lambda: "/formation" in platform._program.output)
    assert bot.end() == 0
    assert FakeHeroku.TOKEN not in bot.output
