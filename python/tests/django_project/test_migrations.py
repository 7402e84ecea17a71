"""The app's migrations are whole, whatever the project prefers."""

from __future__ import annotations

from pathlib import Path

import pytest
import sample


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'",
        "DEFAULT_AUTO_FIELD = 'django.db.models.SmallAutoField'",
    ],
)
def test_nothing_is_left_to_migrate(settings: str, tmp_path: Path) -> None:
    done = sample.manage(tmp_path, "makemigrations", "--check", "--dry-run", settings=settings)
    assert (done.returncode, done.stdout) == (0, "No changes detected\n"), done.stderr


def test_they_run_and_can_be_undone(tmp_path: Path) -> None:
    for arguments in (["migrate"], ["migrate", "autoscalebot", "zero"], ["migrate"]):
        done = sample.manage(tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
