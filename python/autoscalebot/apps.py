"""Makes the package a Django app: ``INSTALLED_APPS += ["autoscalebot"]`` brings the command, the view, the checks."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["AutoscalebotConfig"]


class AutoscalebotConfig(AppConfig):
    """The app."""

    name = "autoscalebot"
    verbose_name = "Autoscalebot"
    # Its migrations must not depend on what the project prefers.
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Makes the system checks known."""
        from autoscalebot import checks  # noqa: F401 - importing it registers them
