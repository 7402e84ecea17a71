"""The whole: a Django project under gunicorn, measured by its view, grows under load and shrinks when it is over."""

from __future__ import annotations

import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import sample

from conftest import Program, Start

#: So many visitors ask for a page that takes 100 ms, each as soon as it has the last one: one gunicorn of one worker
#: lets the measurement wait for about 600 ms, two for half of that.
VISITORS = 6
#: The load is over after so many pages, whatever happens. Three processes need half a minute for them.
MOST_PAGES = 900

SETTINGS = """
AUTOSCALE_SETTINGS = {
    'web': {
        'MEASUREMENT': {
            'BACKEND': 'autoscalebot.backends.measurement.ResponseTimeBackend',
            'SETTINGS': {'MEASUREMENT_INTERVAL_IN_SECONDS': 0.2},
        },
        'DECISION': {
            'BACKEND': 'autoscalebot.backends.decision.ConsecutiveThresholdBackend',
            'SETTINGS': {
                'MIN_MEASUREMENT_VALUE': 80,
                'MAX_MEASUREMENT_VALUE': 160,
                'NUMBER_OF_FAILS_TO_SCALE_UP_AFTER': 2,
                'NUMBER_OF_PASSES_TO_SCALE_DOWN_AFTER': 3,
                'POST_SCALE_WAIT_TIME_SECONDS': 1,
            },
        },
        'SCALING': {
            'BACKEND': 'autoscalebot.backends.scaling.LocalBackend',
            'SETTINGS': {'PROCFILE': 'PROJECT/Procfile', 'ROUTER_PORT': 0},
        },
        'NOTIFICATION': {
            'BACKENDS': ['autoscalebot.backends.notification.ConsoleBackend'],
            'SETTINGS': {'NOTIFY_ON_EVERY_SCALE': True},
        },
    },
}
"""


class Load:
    """Visitors, as long as the block lasts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pages_left = MOST_PAGES
        self._lock = threading.Lock()
        self._visitors = [threading.Thread(target=self._visit) for _ in range(VISITORS)]
        self.answers: list[int] = []

    def __enter__(self) -> Load:
        for visitor in self._visitors:
            visitor.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._pages_left = 0
        for visitor in self._visitors:
            visitor.join()

    def _visit(self) -> None:
        while True:
            with self._lock:
                if not self._pages_left:
                    return
                self._pages_left -= 1
            try:
                with urllib.request.urlopen(self._url, timeout=30) as answer:
                    self.answers.append(answer.status)
            except urllib.error.HTTPError as error:
                self.answers.append(error.code)
                error.close()


def test_a_project_under_gunicorn_grows_under_load_and_shrinks_after_it(start: Start, tmp_path: Path) -> None:
    assert sample.manage(tmp_path, "migrate").returncode == 0
    port = sample.free_port()
    settings = SETTINGS.replace("PROJECT", str(sample.FOLDER / "project")).replace(": 0}", f": {port}}}")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Without more words gunicorn would leave a socket in the home folder.
    variables = sample.environment(tmp_path, settings, PATH=path, GUNICORN_CMD_ARGS="--no-control-socket")
    program = start(sample.command("autoscalebot"), tmp_path, variables)
    program.prints("local[web.1]: up after")
    with Load(f"http://127.0.0.1:{port}/page/") as load:
        program.prints("web: scaled up from 1 to 2")
        program.prints("web: scaled up from 2 to 3")
        program.prints("local[web.3]: up after")
    program.prints("web: scaled down from 3 to 2")
    program.prints("web: scaled down from 2 to 1")
    # The router's line says why somebody was turned away.
    assert set(load.answers) == {200}, program.output
    assert program.end() == 0
    left_nothing(program, port, tmp_path)


def left_nothing(program: Program, port: int, folder: Path) -> None:
    """All that the program started is gone; each of them knew where the database is."""
    program.until(lambda: not processes_that_know(str(folder / "db.sqlite3")))
    with socket.socket() as visitor:
        assert visitor.connect_ex(("127.0.0.1", port)) != 0


def processes_that_know(words: str) -> list[str]:
    """The processes that have these words in their environment."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if words.encode() in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            # It ended meanwhile, or is not ours.
            continue
    return found
