"""Writes into each Celery task when it was sent.

Celery itself does not, and without it nobody can say for how long the oldest task of a queue has waited
(``METRIC: 'latency'``). Two lines, wherever tasks are sent from::

    from autoscalebot.contrib.celery import stamp
    stamp(app)

Workers need nothing, and take no notice of it.
"""

from __future__ import annotations

from importlib import import_module
from time import time
from typing import Any

__all__ = ["HEADER", "stamp"]

#: The header that the engine looks for in Redis, in seconds since 1970. In RabbitMQ it is the property ``timestamp``.
HEADER = "published_at"


def stamp(app: object = None) -> None:
    """Stamps every task that this program sends from now on. Calling it again changes nothing.

    Celery's signal is one for all apps of a program, so ``app`` is there for the reader only, and may be left out.
    """
    del app
    # Not at the top: who only wants to know the header need not have Celery. Celery has no types.
    signals: Any = import_module("celery.signals")
    signals.before_task_publish.connect(_stamp, weak=False, dispatch_uid="autoscalebot.contrib.celery.stamp")


def _stamp(
    headers: dict[str, object] | None = None, properties: dict[str, object] | None = None, **_signal: object
) -> None:
    # Always anew: a retried task brings the headers of its first try along.
    if headers is not None:
        headers[HEADER] = time()
    # Of a message that nobody takes, RabbitMQ tells nothing but this, in whole seconds.
    if properties is not None:
        properties["timestamp"] = int(time())
