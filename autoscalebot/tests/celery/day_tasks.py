# A Celery app that writes down what happens to each of its tasks, and the producer of its tasks.
# Run as `python day_tasks.py FIRST LAST` to send the tasks with these numbers.

import os
import sys
import time

from celery import Celery

app = Celery("day_tasks", broker=os.environ["BROKER_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


def note(what, number):
    # One write to a file that is open for appending: lines of many processes do not mix.
    line = f"{what} {number} {os.environ.get('DYNO', '?')} {time.time():.3f}\n"
    descriptor = os.open(os.environ["TASK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def seconds(number):
    """0.2 to 1.2 s for nine tasks of ten, 5 to 20 s for the tenth."""
    share = number * 37 % 101 / 100
    return 5 + 15 * share if number % 10 == 0 else 0.2 + share


@app.task
def work(number):
    note("start", number)
    time.sleep(seconds(number))
    note("end", number)


if __name__ == "__main__":
    first, last = int(sys.argv[1]), int(sys.argv[2])
    for number in range(first, last):
        work.delay(number)
