"""RQ as an app uses it: ADDRESS COMMAND ARGUMENTS. Commands print what RQ itself says is in the queue."""

import json
import sys
from datetime import datetime, timedelta, timezone

import redis
from rq import Queue, Retry, suspension


def hold(address: str) -> None:
    """A job that runs until it is released."""
    redis.Redis.from_url(address).blpop("release", 60)


def fail() -> None:
    """A job that fails."""
    raise ValueError("as told")


def main(address: str, command: str, name: str, *arguments: str) -> None:
    connection = redis.Redis.from_url(address)
    queue = Queue(name, connection=connection)
    if command == "enqueue":
        for _ in range(int(arguments[0])):
            queue.enqueue("rq_app.hold", address)
    elif command == "enqueue_at":
        at = datetime.now(timezone.utc) + timedelta(seconds=float(arguments[0]))
        queue.enqueue_at(at, "rq_app.hold", address)
    elif command == "retry":
        queue.enqueue("rq_app.fail", retry=Retry(max=3, interval=600))
    elif command == "delete_first":
        # As a job whose time to live is over: its id stays in the list.
        connection.delete(f"rq:job:{queue.job_ids[0]}")
    elif command == "suspend":
        suspension.suspend(connection)
    elif command == "resume":
        suspension.resume(connection)
    scheduled = queue.scheduled_job_registry.get_job_count(cleanup=False)
    started = queue.started_job_registry.get_job_count(cleanup=False)
    print(json.dumps([queue.count, started, scheduled]))


if __name__ == "__main__":
    main(*sys.argv[1:])
