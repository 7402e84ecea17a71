"""``manage.py autoscalebot``: the command ``autoscalebot``, with the settings of the Django project.

Everything that Django has no option for is passed on, so ``manage.py autoscalebot check --online`` and
``manage.py autoscalebot eval --json`` are what they are without Django, and new options need nothing here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from autoscalebot import cli
from autoscalebot._django import NoSettingsError, names_for_the_engine, origin

__all__ = ["Command"]

#: What can be asked without any settings.
_NEEDS_NO_SETTINGS = {"demo", "example", "schema", "help", "--help", "--version", "-V"}


class PassingOnParser(CommandParser):
    """Takes what Django knows, and keeps the rest, in its order, as ``args``."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Never refuses what it does not know."""
        known, others = self.parse_known_args(args, namespace)
        # What stands behind it is for the engine even if Django has an option of the same name.
        if "--" in others:
            others.remove("--")
        known.args = others
        return known


class Command(BaseCommand):
    """Runs the bot, or one of its other commands, until it is over."""

    help = (
        "Measures, decides, scales and notifies, as AUTOSCALE_SETTINGS say, until stopped. Also: check [--online], "
        "eval [--json] [--samples N], demo, example, schema; all that is possible is told by: help"
    )
    # The engine says itself what is wrong with the settings. The rest of the project may be in trouble, and its app
    # needs scaling all the same.
    requires_system_checks: tuple[str, ...] = ()

    _is_the_program = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, which then passes on what it does not know."""
        # An abbreviation would take options of the engine's for Django's.
        parser = super().create_parser(prog_name, subcommand, allow_abbrev=False, **kwargs)
        # Django makes it, and has no place to name another class.
        parser.__class__ = PassingOnParser
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """Runs it as the program, and not within another one."""
        self._is_the_program = True
        super().run_from_argv(argv)

    def handle(self, *arguments: str, **_options: Any) -> None:
        """Runs the engine. When it did not end well, its exit code is that of the program."""
        command_line = _command_line(arguments)
        if not self._is_the_program:
            if code := cli.run(*command_line):
                raise SystemExit(code)
            return
        # Without LOGGING for it, Django leaves nothing of what LoggerBackend says but the warnings.
        if not logging.getLogger("autoscalebot").hasHandlers():
            cli.show_log_when_nobody_else_does()
        cli.leave(cli.run(*command_line))


def _command_line(arguments: Sequence[str]) -> tuple[list[str], dict[str, object] | None, str]:
    """What the engine is asked, with which settings."""
    command = next(iter(arguments), "run")
    if command in _NEEDS_NO_SETTINGS:
        # Of all formats, a Django project wants Django's.
        return ["example", "django"] if list(arguments) == ["example"] else list(arguments), None, ""
    try:
        return list(arguments), names_for_the_engine(), origin()
    except NoSettingsError as error:
        raise CommandError(str(error), returncode=2) from error
