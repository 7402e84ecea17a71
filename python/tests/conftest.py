"""What tests share: a clean ``TestBackend``, the command as a process of its own, and a fake Heroku."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscalebot.backends.notification import TestBackend

#: However slow the machine is, what a test waits for comes within this time, or never.
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _nothing_told_yet() -> None:
    TestBackend.clear()


class Program:
    """A program that runs beside the test, with all that it has printed so far."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._lines: list[str] = []
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        """Everything that it has printed, standard error included."""
        return "".join(self._lines)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Waits until something is so; fails when it never becomes so."""
        end = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < end, f"it did not happen:\n{self.output}"
            time.sleep(0.02)

    def prints(self, words: str, times: int = 1) -> None:
        """Waits until it has printed these words so often."""
        self.until(lambda: self.output.count(words) >= times or self.process.poll() is not None)
        assert self.output.count(words) >= times, f"{words!r} was not printed:\n{self.output}"

    def end(self, with_signal: int = signal.SIGTERM) -> int:
        """Sends a signal; returns the exit code, and how long it took is the caller's to judge."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        """Ends it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts programs, and ends them with the test."""
    started: list[Program] = []

    def begin(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Program:
        started.append(Program(command, folder, environment or {}))
        return started[-1]

    yield begin
    for program in started:
        program.kill()


@pytest.fixture
def autoscalebot(start: Start, tmp_path: Path) -> Callable[..., Program]:
    """Starts the command in a folder of the test."""

    def begin(*arguments: str, **environment: str) -> Program:
        return start([*command(), *arguments], tmp_path, environment)

    return begin


def command() -> list[str]:
    """The console command beside the Python that runs the tests."""
    return [str(Path(sys.executable).parent / "autoscalebot")]


class FakeHeroku:
    """Heroku's Platform API on this machine: the project's own fake, which strangers' clients have tried."""

    TOKEN = "test-token"
    APP = "dancing-forest-1234"

    def __init__(self, start: Start, folder: Path, web_url: str | None, web: int) -> None:
        program = os.environ.get("AUTOSCALEBOT_FAKE_HEROKU")
        assert program, "AUTOSCALEBOT_FAKE_HEROKU names the fake's program; `cargo xtask python` sets it"
        upstream = ["--web-url", web_url] if web_url else []
        self._program = start([program, "--formation", f"web={web},celery=1", *upstream], folder)
        self._program.until(lambda: "router " in self._program.output)
        self.url = self._program.output.splitlines()[0].strip()

    @property
    def patches(self) -> list[str]:
        """Orders that it got, with their bodies."""
        return [line for line in self._program.output.splitlines() if line.startswith("PATCH ")]

    def until(self, is_so: Callable[[], bool]) -> None:
        """Waits until something is so."""
        self._program.until(is_so)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program take this for Heroku."""
        return {"HEROKU_API_URL": self.url, "HEROKU_API_KEY": self.TOKEN, "HEROKU_APP_NAME": self.APP}


@pytest.fixture
def heroku(start: Start, tmp_path: Path) -> Callable[..., FakeHeroku]:
    """Starts a fake Heroku."""

    def begin(web_url: str | None = None, web: int = 1) -> FakeHeroku:
        return FakeHeroku(start, tmp_path, web_url, web)

    return begin


def process(**stages: Any) -> dict[str, Any]:
    """Settings of the process ``web`` with an imaginary platform and the test's ears; stages as given."""
    notification = {"BACKENDS": ["TestBackend"], "SETTINGS": stages.pop("notify", {})}
    return {"web": {"SCALING": {"BACKEND": "DryRun"}, "NOTIFICATION": notification, **stages}}
