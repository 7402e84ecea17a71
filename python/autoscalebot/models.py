"""The one row that the measurement view reads and, now and then, writes.

The view is public, so what it does to the database has an end: one row in all, and about one write a second in all,
however often and from wherever it is asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, models
from django.utils import timezone

__all__ = ["Measurement"]

#: Writes closer together than this say nothing new, and would make a busy view a burden.
WRITE_AT_MOST_EVERY = timedelta(seconds=1)


class Measurement(models.Model):
    """When the measurement view last wrote to the database."""

    #: The key of the only row.
    THE_ROW = 1

    # Counts nothing, so it depends on no DEFAULT_AUTO_FIELD.
    id: models.PositiveSmallIntegerField[int, int] = models.PositiveSmallIntegerField(primary_key=True)
    written_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()

    objects: models.Manager[Measurement] = models.Manager()

    def __str__(self) -> str:
        return f"written at {self.written_at}"

    @classmethod
    def touch(cls) -> None:
        """Reads the row, and writes it if that was not just done.

        Each query is a transaction of its own: in SQLite, one that reads and then writes fails at once when another one
        does the same, instead of waiting its turn.
        """
        rows, now = cls.objects.using(DEFAULT_DB_ALIAS).filter(pk=cls.THE_ROW), timezone.now()
        written_at = rows.values_list("written_at", flat=True).first()
        if written_at is None:
            cls.objects.using(DEFAULT_DB_ALIAS).get_or_create(pk=cls.THE_ROW, defaults={"written_at": now})
        elif abs(now - written_at) >= WRITE_AT_MOST_EVERY:
            # Of several that saw the same, one writes.
            rows.filter(written_at=written_at).update(written_at=now)
