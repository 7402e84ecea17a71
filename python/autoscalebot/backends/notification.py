"""Notification backends: telling people.

A subclass has ``send_notification(message)``. What is told at all, the settings say (``NOTIFY_ON_EVERY_SCALE`` and its
neighbours), before a backend is asked. Whoever wants other words for one kind of event, or none, overrides its
``notify_…`` method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from autoscalebot.backends import BaseBackend, NotYetImplementedException

__all__ = [
    "BaseNotificationBackend",
    "ConsoleBackend",
    "DjangoEmailBackend",
    "EmailBackend",
    "Event",
    "LoggerBackend",
    "NotificationError",
    "SlackBackend",
    "TestBackend",
    "WebhookBackend",
]

#: What happened: ``event`` (its kind, such as ``scaled_up``), ``process``, ``message`` (one line), ``subject``, ``text``
#: (several lines), ``severity`` (``info``, ``warning``, ``error``), ``at``, ``id``, ``lost_before`` (how many could not be
#: delivered before this one), and ``data``, the kind's own fields.
Event = Mapping[str, Any]

#: Kinds of events that the original had a method for.
_ORIGINAL = {
    "scaled_up": "notify_scaled",
    "scaled_down": "notify_scaled",
    "scale_failed": "notify_scale_failed",
    "needs_exceeded_max": "notify_needs_above_max",
    "needs_below_min": "notify_needs_below_min",
    "scaling_too_rapid": "notify_scale_diff_too_big",
    "measured": "ping_complete",
}


class NotificationError(Exception):
    """A message was not delivered, and this is why.

    It is tried again a few times, unless ``key`` is ``lasting``: then that could not help. ``retry_after`` says after how
    many seconds the other side wants to be asked again. Any other exception is tried again too.
    """

    def __init__(self, message: str, key: str = "passing", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.retry_after = retry_after


class BaseNotificationBackend(BaseBackend):
    """The base of all notification backends."""

    stage: ClassVar[str] = "notification"

    #: What is being told right now.
    event: Event

    def __new__(cls, *arguments: Any, **settings: Any) -> Any:
        """Gives each object an event to tell, for tests and scripts."""
        backend = super().__new__(cls, *arguments, **settings)
        backend.event = {}
        return backend

    def notify(self, event: Event) -> Any:
        """Tells an event: by ``notify_<its kind>`` if there is such a method, else by the original's for it."""
        self.event = event
        kind = str(event.get("event", ""))
        method = getattr(self, f"notify_{kind}", None) or getattr(self, _ORIGINAL.get(kind, "notify_other"))
        return method(event)

    def notify_scaled(self, event: Event) -> Any:
        """Processes were started or stopped."""
        return self.send_notification(event["message"])

    def notify_scale_failed(self, event: Event) -> Any:
        """The platform did not take an order."""
        return self.send_notification(event["message"])

    def notify_needs_above_max(self, event: Event) -> Any:
        """More is called for, but the process is at its max."""
        return self.send_notification(event["message"])

    def notify_needs_below_min(self, event: Event) -> Any:
        """Less is called for, but the process is at its min."""
        return self.send_notification(event["message"])

    def notify_scale_diff_too_big(self, event: Event) -> Any:
        """The process is scaled too often in one direction."""
        return self.send_notification(event["message"])

    def ping_complete(self, event: Event) -> Any:
        """A measurement was made."""
        return self.send_notification(event["message"])

    def notify_other(self, event: Event) -> Any:
        """Anything that has no method of its own."""
        return self.send_notification(event["message"])

    def send_notification(self, message: str) -> Any:
        """Delivers one message. ``self.event`` has the whole event. An exception means that it was not delivered."""
        raise NotYetImplementedException(f"{type(self).__qualname__} needs send_notification(message)")


class ConsoleBackend(BaseNotificationBackend):
    """Prints messages to the console."""

    def send_notification(self, message: str) -> Any:
        """Prints the message."""
        print(message, flush=True)


class LoggerBackend(BaseNotificationBackend):
    """Sends messages to Python's logging, logger ``autoscalebot``, at the event's level."""

    def send_notification(self, message: str) -> Any:
        """Logs the message, with ``process`` and ``event`` as extra fields."""
        import logging

        levels = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
        level = levels.get(str(self.event.get("severity", "")), logging.INFO)
        extra = {"process_name": self.event.get("process", ""), "event": self.event.get("event", "")}
        logging.getLogger("autoscalebot").log(level, "%s", message, extra=extra)


class DjangoEmailBackend(BaseNotificationBackend):
    """Mails the ADMINS of a Django project, through Django's own mail settings."""

    def send_notification(self, message: str) -> Any:
        """Mails the message, with the event's facts as the body."""
        from django.core.mail import mail_admins

        subject = str(self.event.get("subject") or message)
        mail_admins(subject, str(self.event.get("text") or message))


class TestBackend(BaseNotificationBackend):
    """Adds messages to a list, for tests."""

    __test__ = False

    default_settings: ClassVar[Any] = {"NOTICES_TO_KEEP": 1000}

    #: All messages of all processes since :meth:`clear`, oldest first.
    messages: ClassVar[list[str]] = []
    #: The same as whole events.
    events: ClassVar[list[Event]] = []

    def send_notification(self, message: str) -> Any:
        """Keeps the message."""
        TestBackend.messages.append(message)
        if self.event:
            TestBackend.events.append(self.event)
        for kept in (TestBackend.messages, TestBackend.events):
            del kept[: -int(self.settings.NOTICES_TO_KEEP)]

    @classmethod
    def clear(cls) -> None:
        """Forgets all messages."""
        TestBackend.messages.clear()
        TestBackend.events.clear()

    #: The original's name for it.
    clear_messages = clear


class _NativeNotification(BaseNotificationBackend):
    """A way of telling people that the engine knows. It delivers the event; other words for it are not delivered."""

    def send_notification(self, message: str) -> Any:
        """Lets the engine deliver the event that is being told."""
        from autoscalebot._native_backend import deliver

        del message
        deliver(self)


class EmailBackend(_NativeNotification):
    """Mails through an SMTP server."""

    native_backend = "Email"


class SlackBackend(_NativeNotification):
    """Posts to a Slack channel."""

    native_backend = "Slack"


class WebhookBackend(_NativeNotification):
    """Posts JSON to a URL."""

    native_backend = "Webhook"
