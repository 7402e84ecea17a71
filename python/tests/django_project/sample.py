"""The sample project, for tests: set up in this program, and run by its ``manage.py`` in others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import django
from django.apps import apps
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command

FOLDER = Path(__file__).resolve().parent

#: However slow the machine is, a command of `manage.py` that does not end by itself within this time never does.
PATIENCE_SECONDS = 60.0


def set_up() -> None:
    """Sets Django up with the project and its tables, if that was not done."""
    if not apps.ready:
        os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        django.setup()
        # Programs that tests start are not of the project unless they are told so.
        del os.environ["DJANGO_SETTINGS_MODULE"]
        call_command("migrate", verbosity=0)


def command(*arguments: str) -> list[str]:
    """The words that run ``manage.py``; a warning ends it."""
    return [sys.executable, "-W", "error", str(FOLDER / "project" / "manage.py"), *arguments]


def environment(folder: Path, settings: str = "", **more: str) -> dict[str, str]:
    """Variables for ``manage.py`` with the project's settings, and those of a test over them."""
    (folder / "case.py").write_text(f"from project.settings import *\n{settings}\n")
    path = os.pathsep.join(filter(None, [str(folder), str(FOLDER), os.environ.get("PYTHONPATH", "")]))
    database, mail = str(folder / "db.sqlite3"), str(folder / "mail")
    project = {"PROJECT_DATABASE": database, "PROJECT_MAIL_FOLDER": mail, "DJANGO_SETTINGS_MODULE": "case"}
    nothing_of_heroku = {"HEROKU_APP_NAME": "", "HEROKU_API_KEY": ""}
    return {**os.environ, **nothing_of_heroku, **project, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **more}


def manage(folder: Path, *arguments: str, settings: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Runs ``manage.py`` to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder, settings, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class BrokenCache(LocMemCache):
    """A cache whose server does not answer."""

    def set(self, *_: object, **__: object) -> None:
        raise ConnectionError("password=hunter2 was refused")


class ForgetfulCache(LocMemCache):
    """A cache that swallows that its server is gone, as several do when told to."""

    def set(self, *_: object, **__: object) -> None:
        pass
