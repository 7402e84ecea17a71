"""A measurement backend of the project's own, which asks the project's database."""

from __future__ import annotations

from typing import ClassVar

from autoscalebot.backends.measurement import BaseMeasurementBackend
from autoscalebot.models import Measurement


class RowsBackend(BaseMeasurementBackend):
    """How many rows there are."""

    default_settings: ClassVar[dict[str, int]] = {"PER_ROW": 1}

    def measure(self) -> int:
        rows: int = Measurement.objects.count()
        per_row: int = self.settings.PER_ROW
        return rows * per_row
