"""An app with Celery. The environment says where its broker is, how that is configured, and who stamps its messages.

Run as a program it sends tasks: its argument is a JSON list of what to send, each with `count` and what `apply_async` takes;
it prints their ids.
"""

import json
import os
import pathlib
import sys
import time
from datetime import datetime, timezone

from celery import Celery
from celery.signals import before_task_publish

SETTINGS = json.loads(os.environ.get("CELERY_SETTINGS", "{}"))
STAMP = os.environ.get("STAMP", "none")

app = Celery("celery_app", broker=os.environ["BROKER"])
app.conf.update(worker_hijack_root_logger=False, task_ignore_result=True, **SETTINGS)


@before_task_publish.connect
def stamp(headers=None, properties=None, **_):
    age = float(os.environ.get("STAMPED_SECONDS_AGO", "0"))
    moment = time.time() - age
    if STAMP == "ours":
        headers.setdefault("published_at", moment)
        properties.setdefault("timestamp", int(moment))
    elif STAMP == "judoscale":
        properties["published_at"] = moment
    elif STAMP == "hirefire":
        eta = headers.get("eta")
        headers["run_at"] = datetime.fromisoformat(eta).timestamp() if eta else moment


def hold(gate, *_):
    """Runs until the file exists."""
    while not pathlib.Path(gate).exists():
        time.sleep(0.02)


@app.task
def early(gate, *rest):
    hold(gate, *rest)


@app.task(acks_late=True)
def late(gate, *rest):
    hold(gate, *rest)


@app.task
def relay(left, done):
    """Sends the next one before it ends, so that there is always one; the last one writes the file before it ends."""
    time.sleep(0.02)
    if left:
        relay.delay(left - 1, done)
    else:
        pathlib.Path(done).touch()
    time.sleep(0.02)


@app.task(bind=True, max_retries=1)
def again(self):
    raise self.retry(countdown=300)


def send(orders):
    ids = []
    for order in orders:
        count, task = order.pop("count", 1), order.pop("task", "early")
        if "due_seconds_ago" in order:
            order["eta"] = datetime.fromtimestamp(time.time() - order.pop("due_seconds_ago"), timezone.utc)
        ids += [app.tasks[f"celery_app.{task}"].apply_async(**order).id for _ in range(count)]
    return ids


if __name__ == "__main__":
    # As the workers import it, so that tasks have the same names.
    import celery_app

    print(json.dumps(celery_app.send(json.loads(sys.argv[1]))))
