"""What a Django project's settings mean for the bot. The command, the checks and the view all read them here.

Without ``AUTOSCALE_SETTINGS`` a bot on Heroku has all it needs from its surroundings, and gets settings made of them.
Anywhere else nothing is guessed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from django.conf import settings
from django.urls import reverse

__all__ = [
    "SECRET_HEADER",
    "NoSettingsError",
    "autoscale_settings",
    "measurement_secret",
    "names_for_the_engine",
    "origin",
    "suggested_measurement",
]

#: The header in which the measurement view looks for the secret, if one is set.
SECRET_HEADER = "X-Autoscalebot-Secret"

#: Where the engine looks when settings do not say where.
DEFAULT_MEASUREMENT_URL = "/autoscalebot/measurement/"

#: The variable in which Heroku tells a dyno the name of its app.
HEROKU_APP_NAME = "HEROKU_APP_NAME"


class NoSettingsError(Exception):
    """There are no settings, and the surroundings do not say enough to do without."""

    def __init__(self) -> None:
        self.found = f"{origin()} has no AUTOSCALE_SETTINGS, and the environment variable {HEROKU_APP_NAME} is not set"
        self.ways_out = (
            f"on Heroku, `heroku labs:enable runtime-dyno-metadata` sets {HEROKU_APP_NAME} from the next deploy on, and"
            " `heroku config:set HEROKU_API_KEY=…` gives the bot a key: then it needs no settings. Anywhere else, write"
            " AUTOSCALE_SETTINGS; `manage.py autoscalebot example` prints some to begin with"
        )
        super().__init__(f"{self.found}\n{self.ways_out}")


def names_for_the_engine() -> dict[str, object]:
    """The names that the engine is given, as a settings module assigns them.

    ``ADMINS``, ``EMAIL_*`` and their neighbours are not among them: here ``DjangoEmailBackend`` is Python and mails by
    Django's ``mail_admins``, which reads them itself, and ``MAILERS`` and any mail backend of the project's as well. A
    second reader could only disagree, and since Django 6.1 reading ``EMAIL_HOST`` is deprecated.
    """
    names: dict[str, object] = {"AUTOSCALE_SETTINGS": autoscale_settings()}
    # Django takes None for "the machine's time zone", which is what the engine does without one.
    if settings.TIME_ZONE:
        names["TIME_ZONE"] = settings.TIME_ZONE
    return names


def autoscale_settings() -> object:
    """The project's ``AUTOSCALE_SETTINGS``, whatever they are; without them, those that the surroundings suggest."""
    given: object = getattr(settings, "AUTOSCALE_SETTINGS", None)
    return _suggested(os.environ) if given is None else given


def _suggested(environment: Mapping[str, str]) -> dict[str, object]:
    """Settings for the web dynos of a Heroku app, all else left to the engine's defaults."""
    app_name = environment.get(HEROKU_APP_NAME)
    if not app_name:
        raise NoSettingsError
    # What is printed ends up in Heroku's log. Mail is for those who said that they want it.
    tellers = ["autoscalebot.backends.notification.ConsoleBackend"]
    if settings.ADMINS:
        tellers.append("autoscalebot.backends.notification.DjangoEmailBackend")
    return {
        "web": {
            "MEASUREMENT": {
                "BACKEND": "autoscalebot.backends.measurement.ResponseTimeBackend",
                "SETTINGS": suggested_measurement(),
            },
            "DECISION": {"BACKEND": "autoscalebot.backends.decision.ConsecutiveThresholdBackend"},
            "SCALING": {
                "BACKEND": "autoscalebot.backends.scaling.HerokuBackend",
                # The engine finds HEROKU_API_KEY by itself.
                "SETTINGS": {"APP_NAME": app_name},
            },
            "NOTIFICATION": {"BACKENDS": tellers},
        }
    }


def suggested_measurement() -> dict[str, object]:
    """Settings that measure the measurement view: where the project has it, with the secret if it asks for one."""
    try:
        url = reverse("autoscalebot:measurement")
    except Exception:  # noqa: BLE001 - not there, or a URLconf that raises whatever it likes; Django tells of that one
        url = DEFAULT_MEASUREMENT_URL
    secret = measurement_secret()
    return {"MEASUREMENT_URL": url, **({"HEADERS": {SECRET_HEADER: secret}} if secret else {})}


def measurement_secret() -> str:
    """What the measurement view asks for; empty when it answers everybody."""
    return str(getattr(settings, "AUTOSCALEBOT_MEASUREMENT_SECRET", None) or "")


def origin() -> str:
    """What to call the place that the settings come from."""
    return str(getattr(settings, "SETTINGS_MODULE", None) or "Django's settings")
