"""System checks: ``manage.py check`` says what the bot would say about the project's settings, and what it cannot know.

All are cheap and connect to nothing. What only the place where the bot runs can tell (variables of its environment) is
a warning at most: settings that are right there must not stop ``manage.py runserver`` on somebody's desk.

======== ==========================================================================
E001     a setting is wrong
E002     AUTOSCALE_SETTINGS is no dictionary
E003     ADMINS has a form that this Django cannot mail to
E009     the native part of autoscalebot does not work
W001     the engine has a remark about the settings
W002     the default measurement URL is used, and the URLconf has nothing there
W003     the settings name an environment variable that is not set here
W004     no AUTOSCALE_SETTINGS, and nothing to make some of (``--deploy`` only)
W005     mail is asked for, and ADMINS is empty
W006     the measurement view asks for a secret that a measurement does not send
======== ==========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register
from django.urls import Resolver404, resolve

from autoscalebot import cli
from autoscalebot._django import (
    DEFAULT_MEASUREMENT_URL,
    SECRET_HEADER,
    NoSettingsError,
    autoscale_settings,
    measurement_secret,
    names_for_the_engine,
    origin,
    suggested_measurement,
)

__all__ = ["check_deployment", "check_mail", "check_measurement_view", "check_settings"]

_TAG = "autoscalebot"


@register(_TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """What the engine says about the settings."""
    try:
        names = names_for_the_engine()
    except NoSettingsError:
        # Nothing to run is no mistake where nothing is to be run; `--deploy` asks for more.
        return []
    if not isinstance(names["AUTOSCALE_SETTINGS"], dict):
        found = type(names["AUTOSCALE_SETTINGS"]).__name__
        hint = "Write AUTOSCALE_SETTINGS = {'web': {…}}; `manage.py autoscalebot example` prints one to begin with."
        return [_error("E002", f"AUTOSCALE_SETTINGS is a {found}, not a dictionary of processes", hint)]
    try:
        return [_message(problem) for problem in cli.check(names, origin())]
    except Exception as error:  # noqa: BLE001 - a module of another version may fail anywhere
        hint = "Install it anew: pip install --force-reinstall autoscalebot"
        return [_error("E009", f"the native part of autoscalebot does not work: {error}", hint)]


def _message(problem: cli.Problem) -> CheckMessage:
    text = f"{problem.path}: {problem.found}" if problem.path else problem.found
    hint = f"Expected {problem.allowed}." if problem.allowed else None
    if problem.is_warning:
        return _warning("W001", text, hint)
    if re.search(r"environment variable \S+ is not set", problem.found):
        return _warning("W003", text, "Set it where the bot runs.")
    return _error("E001", text, hint)


@register(_TAG)
def check_measurement_view(**_: Any) -> list[CheckMessage]:
    """Whether the app answers where it will be measured."""
    return list(_about_urls())


def _about_urls() -> Iterator[CheckMessage]:
    for path, measurement in _response_times():
        url = measurement.get("measurement_url", DEFAULT_MEASUREMENT_URL)
        if not isinstance(url, str) or not url.startswith("/"):
            continue
        try:
            found = resolve(url).view_name
        except Resolver404:
            if url == DEFAULT_MEASUREMENT_URL:
                hint = (
                    "Add path('', include('autoscalebot.urls', namespace='autoscalebot')) to the URLconf, or set "
                    "MEASUREMENT_URL to a page of yours."
                )
                yield _warning("W002", f"{path}: the URLconf has nothing at {url}, which is to be measured", hint)
            continue
        except Exception:  # noqa: BLE001 - a broken URLconf has checks of its own
            return
        headers = measurement.get("headers")
        sent = {str(name).lower() for name in headers} if isinstance(headers, dict) else set()
        if found == "autoscalebot:measurement" and measurement_secret() and SECRET_HEADER.lower() not in sent:
            hint = f"Add 'HEADERS': {{'{SECRET_HEADER}': AUTOSCALEBOT_MEASUREMENT_SECRET}} to its SETTINGS."
            yield _warning("W006", f"{path}: the view at {url} asks for a secret, and it is not sent", hint)


@register(_TAG)
def check_mail(**_: Any) -> list[CheckMessage]:
    """Whether mail to the ADMINS, if it is asked for, can reach somebody."""
    if not any(_last_name(backend) == "DjangoEmail" for backend in _notification_backends()):
        return []
    if not settings.ADMINS:
        return [_warning("W005", "DjangoEmailBackend has nobody to mail to: ADMINS is empty", "Set ADMINS.")]
    is_pair = [isinstance(admin, (list, tuple)) and len(admin) == 2 for admin in settings.ADMINS]
    is_text = [isinstance(admin, str) for admin in settings.ADMINS]
    # Django finds out when it mails, and then it is too late.
    if all(is_pair) or (django.VERSION >= (6, 0) and all(is_text)):
        return []
    form = "['ops@example.com']" if django.VERSION >= (6, 0) else "[('Operations', 'ops@example.com')]"
    return [_error("E003", "ADMINS has a form that Django cannot mail to", f"Write it as in ADMINS = {form}.")]


@register(_TAG, deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    """Whether a bot that is started here has something to do."""
    try:
        autoscale_settings()
    except NoSettingsError as error:
        return [_warning("W004", error.found, f"{error.ways_out[0].upper()}{error.ways_out[1:]}.")]
    return []


# --- what stands in AUTOSCALE_SETTINGS, as far as it can be read -----------------------------------------------------


def _response_times() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each measurement of the app's own response time: its path, and its settings with their names in lower case."""
    for name, process in _processes():
        signals = process.get("signals")
        pairs = [_table(signal) for signal in signals] if isinstance(signals, (list, tuple)) else [process]
        for pair in pairs:
            measurement = _table(pair.get("measurement"))
            if _last_name(measurement.get("backend", "ResponseTime")) == "ResponseTime":
                yield f"{name}.measurement", _table(measurement.get("settings"))


def _notification_backends() -> Iterator[object]:
    for _, process in _processes():
        backends = _table(process.get("notification")).get("backends")
        yield from backends if isinstance(backends, (list, tuple)) else ()


def _processes() -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        given = autoscale_settings()
    except NoSettingsError:
        # A bot without settings will measure this.
        given = {"web": {"MEASUREMENT": {"SETTINGS": suggested_measurement()}}}
    processes = given if isinstance(given, dict) else {}
    return ((str(name), _table(process)) for name, process in processes.items())


def _table(value: object) -> dict[str, Any]:
    """The names in lower case, as the engine takes them; nothing when it is no table, which the engine will tell."""
    return {str(name).lower(): inner for name, inner in value.items()} if isinstance(value, dict) else {}


def _last_name(backend: object) -> str:
    name = backend.__name__ if isinstance(backend, type) else str(backend)
    return name.rpartition(".")[2].removesuffix("Backend")


def _error(key: str, text: str, hint: str | None) -> checks.Error:
    return checks.Error(text, hint=hint, obj=origin(), id=f"autoscalebot.{key}")


def _warning(key: str, text: str, hint: str | None) -> checks.Warning:
    return checks.Warning(text, hint=hint, obj=origin(), id=f"autoscalebot.{key}")
