"""Puts tasks into queues of Celery on Redis, with Celery: ADDRESS QUEUES QUEUES_WITH_TASKS TASKS_IN_EACH

Every queue that has tasks has one whose time has not come, and one of another priority.
"""

import sys

from celery import Celery

address, (queues, filled, tasks) = sys.argv[1], map(int, sys.argv[2:])
app = Celery(broker=address)
app.conf.task_ignore_result = True
step = max(1, queues // max(1, filled))
with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
    for queue in range(0, queues, step)[:filled]:
        for task in range(tasks):
            extra = {0: {"countdown": 3600}, 1: {"priority": 9}}.get(task, {})
            app.send_task("bench.task", (task,), queue=f"queue{queue}", producer=producer, **extra)
