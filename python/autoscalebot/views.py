"""The measurement view: one request that uses the cache, the database and the disk once, as pages do.

How long it takes, waiting for a free worker included, says how loaded the app is. A page of your own that does what
your visitors most often do says it better; this one needs nothing but a line in the URLconf.

- 200 and ``ok`` when every part worked; with ``Accept: application/json`` or ``?format=json``, how long each took.
- 503 and the names of the parts that failed, never an ``ok`` that is not true. Why they failed is told to the logger
  ``autoscalebot``, not to strangers. A 5xx counts as a high reading: an app whose database cannot keep up may grow, to
  its ``MAX_PROCESSES`` at most, and it never shrinks on a failure. Where more processes would not help,
  ``ON_TIMEOUT: 'hold'`` in the measurement's settings makes nothing of it.
- 403 when ``AUTOSCALEBOT_MEASUREMENT_SECRET`` is set and the header ``X-Autoscalebot-Secret`` does not hold it. That is
  neither high nor low. The measurement sends it with
  ``'SETTINGS': {'HEADERS': {'X-Autoscalebot-Secret': AUTOSCALEBOT_MEASUREMENT_SECRET}}``.

What one request costs has an end: a key in the cache for a moment, a query, seldom a second one, and a page of a
temporary file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from tempfile import TemporaryFile
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache, caches
from django.core.cache.backends.dummy import DummyCache
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.utils.log import log_response
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from autoscalebot._django import SECRET_HEADER, measurement_secret
from autoscalebot.models import Measurement

__all__ = ["measurement"]

logger = logging.getLogger("autoscalebot")

#: One page, the least that a disk writes.
_BLOCK = b"autoscalebot\n".ljust(4096, b".")

#: If the view dies half-way, the cache forgets its key by itself.
_KEY_LIVES_SECONDS = 10


class Part(NamedTuple):
    """How it went with one part."""

    ms: float
    ok: bool
    #: What should be known about it, if anything.
    note: str

    def as_json(self) -> dict[str, object]:
        """For who asks for details."""
        shown: dict[str, object] = {"ms": self.ms, "ok": self.ok}
        return {**shown, "note": self.note} if self.note else shown


# It is the bot that asks, and it logs in nowhere. ATOMIC_REQUESTS would keep the row locked while the disk is tried.
@login_not_required
@transaction.non_atomic_requests
@never_cache
@require_safe
def measurement(request: HttpRequest) -> HttpResponse:
    """Uses cache, database and disk once, and says how it went."""
    secret = measurement_secret()
    if secret and not constant_time_compare(secret, request.headers.get(SECRET_HEADER, "")):
        return _text(f"{SECRET_HEADER} is missing or wrong", 403)
    begun = perf_counter()
    parts = {"cache": _part("cache", _cache), "database": _part("database", _database), "disk": _part("disk", _disk)}
    total = _ms_since(begun)
    failed = ", ".join(name for name, part in parts.items() if not part.ok)
    status = 503 if failed else 200
    response = _text(f"failed: {failed}" if failed else "ok", status)
    if _wants_json(request):
        details: dict[str, object] = {name: part.as_json() for name, part in parts.items()}
        response = JsonResponse({**details, "total_ms": total}, status=status)
    if failed:
        # Django would mail it to the ADMINS, each time that the bot or anybody else asks.
        log_response("measurement view: failed: %s", failed, response=response, request=request, logger=logger)
    return response


def _wants_json(request: HttpRequest) -> bool:
    if "format" in request.GET:
        return request.GET["format"] == "json"
    # The first is meant by who takes anything.
    return request.get_preferred_type(["text/plain", "application/json"]) == "application/json"


def _text(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _ms_since(begun: float) -> float:
    return round((perf_counter() - begun) * 1000, 3)


def _part(name: str, use: Callable[[], str]) -> Part:
    begun = perf_counter()
    try:
        note, ok = use(), True
    except Exception:
        # Whatever a cache or a driver raises, it did not work.
        logger.exception("measurement view: the %s does not work", name)
        note, ok = "", False
    return Part(_ms_since(begun), ok, note)


def _cache() -> str:
    key = f"autoscalebot.measurement.{uuid4().hex}"
    cache.set(key, key, timeout=_KEY_LIVES_SECONDS)
    found = cache.get(key)
    cache.delete(key)
    if found == key:
        return ""
    if isinstance(caches["default"], DummyCache):
        return "the cache that is set up keeps nothing"
    # Some caches swallow that their server is gone.
    raise RuntimeError("the cache did not keep what it was given")


def _database() -> str:
    if connection.settings_dict["ENGINE"] == "django.db.backends.dummy":
        return "no database is set up"
    try:
        Measurement.touch()
    except DatabaseError:
        if connection.connection is None or _has_our_table():
            raise
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1{connection.features.bare_select_suffix}")
            cursor.fetchone()
        return "only connected: the app's migrations were not run"
    return ""


def _has_our_table() -> bool:
    with connection.cursor() as cursor:
        return Measurement._meta.db_table in connection.introspection.table_names(cursor)


def _disk() -> str:
    # It has no name, so nothing is left of it whatever happens.
    with TemporaryFile() as file:
        file.write(_BLOCK)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        if file.read() != _BLOCK:
            raise OSError("a file did not hold what was written into it")
    return ""
