"""What the docs say about Python is run: a page's files are written into a folder, and its scripts and commands run there.

A block of Python whose first line is ``# file: NAME`` is added to that file; any other is a script. Of the commands in
blocks of ``sh``, those that :data:`TRIED` begins are run, and a block of ``text`` after them is part of what they print.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"

#: Pages that need nothing but the package.
PLAIN = ["python.md", "python-backends.md"]
#: Pages whose files belong to a Django project.
DJANGO = ["django.md", "getting-started-heroku-django.md"]

#: Commands that change nothing but their folder, ask nobody outside and come to an end.
TRIED = (
    "autoscalebot check",
    "autoscalebot eval",
    "mkdir ",
    "python -m pytest ",
    "python manage.py autoscalebot check",
    "python manage.py autoscalebot eval",
    "python manage.py check",
    "python manage.py migrate",
    "touch ",
)

#: What the reader of a page has in the environment. There is no Heroku at this address.
ENVIRONMENT = {
    "HEROKU_API_KEY": "0123456789abcdef",
    "HEROKU_API_URL": "http://127.0.0.1:9",
    "HEROKU_APP_NAME": "dancing-forest-1234",
}

#: However slow the machine is, what is run here ends by itself within this time, or never.
PATIENCE_SECONDS = 120.0


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that it is a part of."""
        named = re.match(r"# file: (\S+)\n", self.text) if self.language == "python" else None
        return named.group(1) if named else None


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)


class Reader:
    """Somebody who does what a page says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.here = folder, folder / "here"
        self.here.mkdir()
        (folder / "bin").mkdir()
        for name, words in (("python", ""), ("autoscalebot", "-m autoscalebot ")):
            program = folder / "bin" / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
            program.chmod(0o755)

    def run(self, *command: str) -> str:
        """Runs a command that must end well; returns what it prints."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", "")])
        done = subprocess.run(
            command,
            cwd=self.here,
            env={**os.environ, **ENVIRONMENT, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
        return done.stdout

    def follow(self, page: str) -> int:
        """Does all that a page says; returns in how many blocks it said something to do."""
        done, printed = 0, ""
        for block in blocks(page):
            if block.file is not None:
                with (self._inside(block.file)).open("a", encoding="utf-8") as file:
                    file.write(f"\n\n{block.text}")
                done += 1
        for block in blocks(page):
            if block.language == "python" and block.file is None:
                script = self._inside(f"{Path(page).stem}_line_{block.line}.py".replace("-", "_"))
                script.write_text(block.text, encoding="utf-8")
                self.run("python", script.name)
                done += 1
            elif block.language == "sh":
                lines = block.text.splitlines()
                commands = [line for line in lines if line.startswith(TRIED) and "--online" not in line]
                if commands:
                    printed = "".join(self.run("sh", "-c", command) for command in commands)
                    done += 1
            elif block.language == "text" and printed:
                assert block.text in printed, f"{page}:{block.line} shows what is not printed:\n{printed}"
        return done

    def _inside(self, name: str) -> Path:
        file = self.here / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


# Django is not there when the package is tested alone; then nothing can be said about its pages.
@pytest.mark.parametrize("page", PLAIN + (DJANGO if find_spec("django") else []))
def test_what_a_page_says_can_be_done(page: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    if page in DJANGO:
        reader.run("python", "-m", "django", "startproject", "mysite", ".")
    assert reader.follow(page) >= 5
