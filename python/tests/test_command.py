"""The command, as a user types it: settings modules of any kind, a fake Heroku, signals, and what is never held up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import FakeHeroku, Program, Start, command

Autoscalebot = Callable[..., Program]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


#: The load of an app is what stands in a file; as fast as a test wants it.
APP = """
    from pathlib import Path

    from autoscalebot.backends.measurement import BaseMeasurementBackend


    class LoadInAFile(BaseMeasurementBackend):
        default_settings = {"FILE": "load"}

        def measure(self):
            return {"backend": "LoadInAFile", "data": float(Path(self.settings.FILE).read_text()), "success": True}
"""

SETTINGS = """
    import os

    INTERVAL = 60 / 1200

    AUTOSCALE_SETTINGS = {
        process: {
            "MEASUREMENT": {
                "BACKEND": "app.LoadInAFile",
                "SETTINGS": {"MEASUREMENT_INTERVAL_IN_SECONDS": INTERVAL},
            },
            "DECISION": {
                "BACKEND": "autoscalebot.backends.decision.ConsecutiveThresholdBackend",
                "SETTINGS": {"POST_SCALE_WAIT_TIME_SECONDS": 0.1},
            },
            "SCALING": {
                "BACKEND": "autoscalebot.backends.scaling.HerokuBackend",
                "SETTINGS": {"APP_NAME": os.environ["HEROKU_APP_NAME"], "API_KEY": os.environ["HEROKU_API_KEY"]},
            },
            "NOTIFICATION": {
                "BACKENDS": [
                    "autoscalebot.backends.notification.LoggerBackend",
                    "autoscalebot.backends.notification.ConsoleBackend",
                ],
                "SETTINGS": {"NOTIFY_ON_EVERY_SCALE": True},
            },
        }
        for process in ("web",)
    }
"""


def test_a_settings_module_with_a_measurement_of_ones_own_scales_heroku(
    autoscalebot: Autoscalebot, heroku: Callable[..., FakeHeroku], tmp_path: Path
) -> None:
    platform = heroku(web=1)
    write(tmp_path, "app.py", APP)
    write(tmp_path, "autoscale_settings.py", SETTINGS)
    load = write(tmp_path, "load", "2000")
    program = autoscalebot("--settings=autoscale_settings", **platform.environment)
    program.prints("scaled up from 2 to 3")
    program.prints("needs more than its max of 3")
    load.write_text("10")
    program.prints("scaled down from 2 to 1")
    platform.until(lambda: len(platform.patches) >= 4)
    assert program.end() == 0
    output = program.output
    assert "INFO autoscalebot web: scaled up from 1 to 2" in output
    assert FakeHeroku.TOKEN not in output


def test_a_module_is_found_in_the_python_path_and_in_packages(autoscalebot: Autoscalebot, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    text = 'AUTOSCALE_SETTINGS = {"web": {"SCALING": {"BACKEND": "DryRun"}}}'
    write(elsewhere, "conf/__init__.py", "")
    write(elsewhere, "conf/scale.py", text)
    program = autoscalebot("check", "--settings", "conf.scale", PYTHONPATH=str(elsewhere))
    assert program.process.wait(60) == 0, program.output
    # An installed package is found as well.
    write(elsewhere, "installed.pth", "")
    program = autoscalebot("check", "--settings", "nowhere.to.be.found")
    assert program.process.wait(60) == 2
    program.prints("there is no such file or module")


def test_a_module_that_cannot_be_run_says_where(autoscalebot: Autoscalebot, tmp_path: Path) -> None:
    for text, words in (
        ("import no_such_package", "No module named 'no_such_package'"),
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("x = 1", "does not assign AUTOSCALE_SETTINGS"),
        ("AUTOSCALE_SETTINGS = 3", "a table of processes"),
        (
            "AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'no_such.Thing'}}}",
            "there is no Python module no_such",
        ),
        ("AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'json.Thing'}}}", "Thing is nothing in the module json"),
        ("AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'json.JSONDecoder'}}}", "is no scaling backend"),
        (
            "AUTOSCALE_SETTINGS = {'web': {'SCALING': {'BACKEND': 'DryRun', 'SETTINGS': {'PROCESSES': object()}}}}",
            "type object",
        ),
        ("a = {}; a['a'] = a; AUTOSCALE_SETTINGS = a", "levels"),
    ):
        write(tmp_path, "autoscale_settings.py", text)
        program = autoscalebot("check")
        assert program.process.wait(60) == 2, program.output
        program.prints(words)


def test_changed_settings_are_read_again_and_wrong_ones_are_told(autoscalebot: Autoscalebot, tmp_path: Path) -> None:
    def settings(most: object) -> str:
        return f"""
            PAST = [1]
            AUTOSCALE_SETTINGS = {{"web": {{
                "MEASUREMENT": {{"BACKEND": "app.LoadInAFile", "SETTINGS": {{"MEASUREMENT_INTERVAL_IN_SECONDS": 0.05}}}},
                "DECISION": {{"SETTINGS": {{"MAX_PROCESSES": {most}, "POST_SCALE_WAIT_TIME_SECONDS": 0}}}},
                "SCALING": {{"BACKEND": "DryRun"}},
            }}}}
        """

    write(tmp_path, "app.py", APP)
    write(tmp_path, "load", "5000")
    write(tmp_path, "autoscale_settings.py", settings(2))
    program = autoscalebot()
    program.prints("needs exceed max")
    write(tmp_path, "autoscale_settings.py", settings("[][1]"))
    program.prints("IndexError")
    write(tmp_path, "autoscale_settings.py", settings(4))
    program.prints("to=4")
    assert program.end(signal.SIGINT) == 0, program.output
    assert "KeyboardInterrupt" not in program.output


def test_a_backend_that_hangs_for_ever_does_not_hold_up_the_end(autoscalebot: Autoscalebot, tmp_path: Path) -> None:
    write(
        tmp_path,
        "app.py",
        """
        import time

        from autoscalebot.backends.measurement import BaseMeasurementBackend


        class Hangs(BaseMeasurementBackend):
            def measure(self):
                print("hanging", flush=True)
                while True:
                    time.sleep(0.01)


        class Fine(BaseMeasurementBackend):
            def measure(self):
                print("fine", flush=True)
                return 1

            def teardown(self):
                print("torn down", flush=True)
        """,
    )
    write(
        tmp_path,
        "autoscale_settings.py",
        """
        AUTOSCALE_SETTINGS = {
            name: {
                "MEASUREMENT": {"BACKEND": f"app.{name}", "SETTINGS": {"MEASUREMENT_INTERVAL_IN_SECONDS": 0.1}},
                "SCALING": {"BACKEND": "DryRun"},
            }
            for name in ("Hangs", "Fine")
        }
        """,
    )
    program = autoscalebot()
    program.prints("hanging")
    program.prints("fine", times=3)
    asked = time.monotonic()
    assert program.end() == 0, program.output
    # Five seconds are promised; a loaded machine gets some more to take the program down.
    assert time.monotonic() - asked < 10
    assert "torn down" in program.output


def test_the_engines_log_goes_to_pythons_logging_when_asked(autoscalebot: Autoscalebot, tmp_path: Path) -> None:
    write(
        tmp_path,
        "autoscale_settings.py",
        """
        import logging

        logging.basicConfig(level=logging.INFO, format="MINE %(levelname)s %(name)s %(message)s")
        AUTOSCALE_SETTINGS = {"web": {"MEASUREMENT": {"BACKEND": "app.Fails"}, "SCALING": {"BACKEND": "DryRun"}}}
        """,
    )
    write(
        tmp_path,
        "app.py",
        """
        from autoscalebot.backends.measurement import BaseMeasurementBackend


        class Fails(BaseMeasurementBackend):
            def measure(self):
                return 1 / 0
        """,
    )
    program = autoscalebot(AUTOSCALEBOT_LOG="python")
    program.prints("MINE WARNING autoscalebot.engine measurement failed")
    assert program.end() == 0
    assert "MINE INFO autoscalebot.engine started" in program.output
    assert "ZeroDivisionError: division by zero" in program.output
    assert "Traceback" in program.output


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["schema"], ["example", "python"], ["run", "--help"]], ids=" ".join
)
def test_every_subcommand_is_there(words: list[str], tmp_path: Path) -> None:
    for program in (command(), [sys.executable, "-m", "autoscalebot"]):
        ran = subprocess.run([*program, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout


def test_the_example_in_python_is_fine(autoscalebot: Autoscalebot, tmp_path: Path) -> None:
    ran = subprocess.run([*command(), "example", "python"], capture_output=True, text=True, timeout=60, check=True)
    write(tmp_path, "autoscale_settings.py", ran.stdout)
    program = autoscalebot(
        "check", HEROKU_API_KEY="k", DATABASE_URL="postgres://localhost/x", REDIS_URL="redis://localhost"
    )
    assert program.process.wait(60) == 0, program.output


def test_the_demo_runs_here_too(start: Start, tmp_path: Path) -> None:
    program = start([*command(), "demo", "--plain", "--seconds", "10"], tmp_path)
    assert program.process.wait(120) == 0, program.output
    assert "2" in program.output


def test_eval_prints_json_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "app.py", APP)
    write(tmp_path, "load", "17")
    settings = '{"web": {"MEASUREMENT": {"BACKEND": "app.LoadInAFile"}, "SCALING": {"BACKEND": "DryRun"}}}'
    write(tmp_path, "autoscale_settings.py", f"AUTOSCALE_SETTINGS = {settings}")
    ran = subprocess.run(
        [*command(), "eval", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    rows = json.loads(ran.stdout)
    assert rows[0]["sample"] == {"backend": "app.LoadInAFile", "data": 17, "success": True}


def test_toml_names_python_backends_too(tmp_path: Path) -> None:
    write(tmp_path, "app.py", APP)
    write(tmp_path, "load", "17")
    write(
        tmp_path,
        "autoscale_settings.toml",
        '[web]\nmeasurement = {backend = "app.LoadInAFile"}\nscaling = {backend = "DryRun"}\n',
    )
    ran = subprocess.run([*command(), "eval"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "app.LoadInAFile: 17" in ran.stdout


def test_a_measurement_url_is_enough_on_heroku(
    autoscalebot: Autoscalebot, heroku: Callable[..., FakeHeroku], tmp_path: Path
) -> None:
    platform = heroku(web=3)
    write(
        tmp_path,
        "autoscale_settings.py",
        """
        AUTOSCALE_SETTINGS = {"web": {"MEASUREMENT": {"SETTINGS": {
            "MEASUREMENT_URL": "/", "MEASUREMENT_INTERVAL_IN_SECONDS": 0.1,
        }}}}
        """,
    )
    program = autoscalebot("--settings=autoscale_settings", **platform.environment)
    # The fake's router answers quickly.
    platform.until(lambda: len(platform.patches) >= 1)
    assert '"quantity":2' in platform.patches[0].replace(" ", "")
    assert program.end() == 0


@pytest.mark.parametrize(
    "measure",
    [
        "async def measure(self): await asyncio.to_thread(time.sleep, 1000)",
        "def measure(self): ThreadPoolExecutor().submit(time.sleep, 1000).result(timeout=0.01)",
        "def measure(self): threading.Thread(target=time.sleep, args=(1000,)).start(); return 1",
    ],
    ids=["to_thread", "executor", "thread"],
)
def test_threads_that_backends_leave_behind_do_not_hold_up_the_end(
    measure: str, autoscalebot: Autoscalebot, tmp_path: Path
) -> None:
    write(
        tmp_path,
        "app.py",
        f"""
        import asyncio, threading, time
        from concurrent.futures import ThreadPoolExecutor

        from autoscalebot.backends.measurement import BaseMeasurementBackend


        class Leaves(BaseMeasurementBackend):
            default_settings = {{"TIMEOUT_SECONDS": 0.1, "MEASUREMENT_INTERVAL_IN_SECONDS": 0.2}}

            {measure}
        """,
    )
    settings = '{"web": {"MEASUREMENT": {"BACKEND": "app.Leaves"}, "SCALING": {"BACKEND": "DryRun"}}}'
    write(tmp_path, "autoscale_settings.py", f"AUTOSCALE_SETTINGS = {settings}")
    program = autoscalebot(AUTOSCALEBOT_LOG="debug")
    program.prints("backend=app.Leaves" if measure.startswith("async") else "measured")
    asked = time.monotonic()
    assert program.end() == 0, program.output
    assert time.monotonic() - asked < 15


def test_eval_waits_for_a_farewell(tmp_path: Path) -> None:
    write(
        tmp_path,
        "app.py",
        """
        import time

        from autoscalebot.backends.measurement import BaseMeasurementBackend


        class Slow(BaseMeasurementBackend):
            def measure(self):
                return 1

            def teardown(self):
                time.sleep(0.5)
                print("torn down", flush=True)
        """,
    )
    settings = '{"web": {"MEASUREMENT": {"BACKEND": "app.Slow"}, "SCALING": {"BACKEND": "DryRun"}}}'
    write(tmp_path, "autoscale_settings.py", f"AUTOSCALE_SETTINGS = {settings}")
    for arguments in (["eval"], ["check", "--online"]):
        ran = subprocess.run(
            [*command(), *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert "torn down" in ran.stdout


def test_settings_may_have_the_name_of_the_package(tmp_path: Path) -> None:
    write(tmp_path, "autoscalebot.py", 'AUTOSCALE_SETTINGS = {"web": {"SCALING": {"BACKEND": "DryRun"}}}')
    ran = subprocess.run([*command(), "check"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "autoscalebot.py" in ran.stdout


def test_a_closed_output_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, "autoscale_settings.py", 'AUTOSCALE_SETTINGS = {"web": {"SCALING": {"BACKEND": "DryRun"}}}')
    words = ["sh", "-c", f"{command()[0]} check >&-"]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in (0, 1)
    assert "Traceback" not in ran.stderr
