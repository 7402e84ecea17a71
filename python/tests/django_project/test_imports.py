"""What is not used is not imported."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["autoscalebot", "autoscalebot.cli", "autoscalebot.backends.notification", "autoscalebot.contrib.celery"]
)
def test_the_package_needs_neither_django_nor_celery(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'django', 'celery', 'kombu'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
