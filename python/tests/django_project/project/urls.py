"""The measurement view, and a page that takes its time."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

#: How long the page takes, in seconds: it waits for something else, as most pages do.
WORK_SECONDS = 0.1


def page(_request: HttpRequest) -> HttpResponse:
    time.sleep(WORK_SECONDS)
    return HttpResponse("done")


urlpatterns = [
    path("", include("autoscalebot.urls", namespace="autoscalebot")),
    path("page/", page),
]
