"""Measurement backends: how loaded is the app?

A subclass has ``measure()``. What it does not know it must not make up: raise :class:`MeasurementError`, or return a
result without success. A failure never counts as a number, and never shrinks anything.
"""

from __future__ import annotations

from typing import Any, ClassVar

from autoscalebot.backends import BaseBackend, NotYetImplementedException

__all__ = ["BaseMeasurementBackend", "MeasurementError"]


class MeasurementError(Exception):
    """There is no reading, and this is why.

    ``key`` is a stable word for the kind (``timeout``, ``bad_value``). With ``counts_as="high"`` the failure itself says
    that the app is overloaded, as a time-out of the app does; it may then grow the process. The default says nothing.
    """

    def __init__(self, message: str, key: str = "failed", counts_as: str = "unknown") -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.counts_as = counts_as


class BaseMeasurementBackend(BaseBackend):
    """The base of all measurement backends."""

    stage: ClassVar[str] = "measurement"

    #: The unit of the numbers, for sentences: ``ms``, ``tasks``.
    unit: ClassVar[str] = ""

    def measure(self) -> Any:
        """Measures once.

        Returns a number; or ``{'backend': name, 'data': number or document, 'success': bool}``; or any other dictionary
        or list, which is taken as a document for decisions that look inside.
        """
        raise NotYetImplementedException(f"{type(self).__qualname__} needs a method measure()")


class _NativeMeasurement(BaseMeasurementBackend):
    """A backend of the engine's."""

    def measure(self) -> dict[str, Any]:
        """Lets the engine measure, and returns ``{'backend', 'data', 'success'}``; more when it failed or knows more."""
        from autoscalebot._native_backend import measure

        return measure(self)


class ResponseTimeBackend(_NativeMeasurement):
    """How long a URL of the app takes to answer, in milliseconds."""

    native_backend = "ResponseTime"


class HerokuServiceTimeBackend(_NativeMeasurement):
    """How long the app itself worked on a request, by Heroku's router, in milliseconds."""

    native_backend = "HerokuServiceTime"


class AppDecisionBackend(_NativeMeasurement):
    """A JSON document, or a number in one, from a URL of the app."""

    native_backend = "AppDecision"


class CommandBackend(_NativeMeasurement):
    """What a program prints."""

    native_backend = "Command"


class CeleryRedisQueueSizeBackend(_NativeMeasurement):
    """Tasks that wait in a Celery queue on Redis."""

    native_backend = "CeleryRedisQueueSize"


class CeleryRabbitmqQueueSizeBackend(_NativeMeasurement):
    """Tasks that wait in a Celery queue on RabbitMQ."""

    native_backend = "CeleryRabbitmqQueueSize"


class RqBackend(_NativeMeasurement):
    """Jobs that wait in an RQ queue."""

    native_backend = "Rq"


class DramatiqBackend(_NativeMeasurement):
    """Messages that wait in a Dramatiq queue on Redis."""

    native_backend = "Dramatiq"


class DramatiqRabbitmqBackend(_NativeMeasurement):
    """Messages that wait in a Dramatiq queue on RabbitMQ."""

    native_backend = "DramatiqRabbitmq"


class HueyBackend(_NativeMeasurement):
    """Tasks that wait in a Huey queue on Redis."""

    native_backend = "Huey"


class ArqBackend(_NativeMeasurement):
    """Jobs that wait in an arq queue."""

    native_backend = "Arq"


class SaqBackend(_NativeMeasurement):
    """Jobs that wait in an SAQ queue on Redis."""

    native_backend = "Saq"


class BullmqBackend(_NativeMeasurement):
    """Jobs that wait in a BullMQ queue."""

    native_backend = "Bullmq"


class SidekiqBackend(_NativeMeasurement):
    """Jobs that wait in a Sidekiq queue."""

    native_backend = "Sidekiq"


class ProcrastinateBackend(_NativeMeasurement):
    """Jobs that wait in a Procrastinate queue."""

    native_backend = "Procrastinate"


class RabbitmqQueueBackend(_NativeMeasurement):
    """Messages that wait in a RabbitMQ queue."""

    native_backend = "RabbitmqQueue"


class NatsConsumerBackend(_NativeMeasurement):
    """Messages that wait for a JetStream consumer."""

    native_backend = "NatsConsumer"


class SqlQueryBackend(_NativeMeasurement):
    """The number that a query of a database gives."""

    native_backend = "SqlQuery"


class SqsQueueBackend(_NativeMeasurement):
    """Messages that wait in an SQS queue."""

    native_backend = "SqsQueue"


class RedisListBackend(_NativeMeasurement):
    """The length of a list in Redis."""

    native_backend = "RedisList"


class RedisSortedSetBackend(_NativeMeasurement):
    """The size of a sorted set in Redis."""

    native_backend = "RedisSortedSet"


class RedisStreamBackend(_NativeMeasurement):
    """Entries of a Redis stream that a consumer group has yet to read."""

    native_backend = "RedisStream"


__all__ += sorted(name for name in globals() if name.endswith("Backend") and not name.startswith(("_", "Base")))
