"""Celery's messages say when they were sent, once the app asked for it."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from typing import Any

import pytest

from autoscalebot.contrib.celery import HEADER, stamp

#: Celery has no types.
celery: Any = import_module("celery")
signals: Any = import_module("celery.signals")


@pytest.fixture
def app() -> Any:
    """An app with a broker in memory, whose tasks are stamped."""
    app = celery.Celery("project", broker="memory://")
    # A queue in memory is the same for all tests of a program.
    app.conf.task_default_queue = f"queue-{time.monotonic_ns()}"
    stamp(app)
    return app


def sent(app: Any) -> dict[str, Any]:
    """The headers of the message that waits."""
    with app.connection_for_read() as connection, connection.SimpleQueue(app.conf.task_default_queue) as queue:
        message = queue.get_nowait()
        headers: dict[str, Any] = message.headers
        message.ack()
        return headers


@pytest.mark.parametrize("protocol", [1, 2])
def test_each_task_says_when_it_was_sent(app: Any, protocol: int) -> None:
    app.conf.task_protocol = protocol
    before = time.time()
    app.send_task("work", (1,))
    assert before <= sent(app)[HEADER] <= time.time()


def test_the_header_is_the_one_that_the_engine_reads() -> None:
    assert HEADER == "published_at"


def test_a_task_that_is_sent_again_is_stamped_anew(app: Any) -> None:
    before = time.time()
    app.send_task("work", headers={HEADER: 5, "other": "stays"})
    headers = sent(app)
    assert headers[HEADER] >= before
    assert headers["other"] == "stays"


def test_a_task_with_a_time_of_its_own_keeps_it(app: Any) -> None:
    app.send_task("work", countdown=600)
    headers = sent(app)
    assert headers["eta"] is not None
    assert headers[HEADER] <= time.time()


def test_asking_twice_stamps_once(app: Any) -> None:
    receivers = len(signals.before_task_publish.receivers)
    stamp(app)
    stamp()
    assert len(signals.before_task_publish.receivers) == receivers


def test_a_worker_runs_stamped_tasks_and_what_it_sends_is_stamped() -> None:
    code = """
import celery
from celery.contrib.testing.worker import start_worker
from autoscalebot.contrib.celery import HEADER, stamp
app = celery.Celery('project', broker='memory://', backend='cache+memory://')
stamp(app)
@app.task(bind=True)
def first(self):
    return self.request.headers[HEADER], second.delay().id
@app.task(bind=True, max_retries=1, default_retry_delay=0)
def second(self):
    if not self.request.retries:
        raise self.retry()
    return self.request.headers[HEADER]
with start_worker(app, perform_ping_check=False, pool='solo', loglevel='ERROR'):
    sent, id = first.delay().get(timeout=30)
    again = app.AsyncResult(id).get(timeout=30)
print(0 < sent < again)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.endswith("True\n"), done.stdout + done.stderr


def test_for_rabbitmq_it_is_a_property_of_the_message(app: Any) -> None:
    sent_properties: list[dict[str, Any]] = []

    def look(properties: dict[str, Any] | None = None, **_: Any) -> None:
        sent_properties.append(dict(properties or {}))

    signals.before_task_publish.connect(look, weak=False)
    try:
        before = int(time.time())
        app.send_task("work")
    finally:
        signals.before_task_publish.disconnect(look)
    assert before <= sent_properties[0]["timestamp"] <= time.time()
