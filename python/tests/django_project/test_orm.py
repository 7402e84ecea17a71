"""Backends of a project may use its models; nothing of that stays open on the engine's threads."""

from __future__ import annotations

import threading
from typing import Any

from sample import set_up

set_up()

from django.db import connection  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402

from autoscalebot.backends.measurement import BaseMeasurementBackend  # noqa: E402
from autoscalebot.testing import Fleet  # noqa: E402


def test_a_measurement_may_use_the_database_and_its_connection_is_closed_with_the_call() -> None:
    opened: list[Any] = []
    closed: list[Any] = []
    here = threading.get_ident()

    def created(connection: Any, **_: Any) -> None:
        if threading.get_ident() != here:
            opened.append(connection)
            # Django never really closes a database in memory, so it counts who is told to close.
            connection.close = lambda: closed.append(connection)

    class Asks(BaseMeasurementBackend):
        def measure(self) -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 7")
                row: tuple[int] = cursor.fetchone()
                return row[0]

    connection_created.connect(created)
    try:
        settings = {"web": {"MEASUREMENT": {"BACKEND": Asks}, "SCALING": {"BACKEND": "DryRun"}}}
        with Fleet(settings) as fleet:
            data = [tick.results[0]["data"] for tick in fleet.run(ticks=3)]
    finally:
        connection_created.disconnect(created)
        for one in opened:
            one.connection.close()
    assert data == [7, 7, 7]
    assert len(opened) == 3
    assert closed == opened
