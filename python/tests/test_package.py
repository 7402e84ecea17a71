"""The package itself: what importing it costs, and what it brings."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import autoscalebot


def test_importing_it_imports_nothing_heavy() -> None:
    imports = "before = set(sys.modules); import autoscalebot, autoscalebot.backends"
    code = f"import sys; {imports}; print(*sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    imported = set(ran.stdout.split())
    heavy = {"asyncio", "json", "logging", "inspect", "django", "celery", "autoscalebot._native", "importlib.metadata"}
    assert imported & heavy == set()


def test_it_needs_no_other_package() -> None:
    assert metadata.requires("autoscalebot") in (None, [])
    assert autoscalebot.__version__.replace("-alpha.", "a") == metadata.version("autoscalebot")


def test_it_is_typed() -> None:
    files = metadata.files("autoscalebot") or []
    names = {str(file) for file in files}
    assert {"autoscalebot/py.typed", "autoscalebot/_native.pyi"} <= names
