"""``manage.py run_autoscalebot``, another name for ``manage.py autoscalebot``."""

from __future__ import annotations

from autoscalebot.management.commands.autoscalebot import Command

__all__ = ["Command"]
