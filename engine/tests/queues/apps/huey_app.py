"""Huey as an app uses it. Its consumer imports `huey` from this file; as a program it is COMMAND ARGUMENTS, and prints
what Huey itself says: pending, scheduled. The server is at REDIS, and KIND is the kind of queue."""

import json
import os
import sys

import redis
from huey import PriorityRedisHuey, RedisHuey

address = os.environ["REDIS"]
kind = {"list": RedisHuey, "priority": PriorityRedisHuey}[os.environ.get("KIND", "list")]
huey = kind("my-app", url=address)


@huey.task()
def hold() -> None:
    """Runs until it is released."""
    redis.Redis.from_url(address).blpop("release", 60)


def main(command: str, *arguments: str) -> None:
    if command == "enqueue":
        for _ in range(int(arguments[0])):
            hold()
    elif command == "prioritize":
        hold(priority=int(arguments[0]))
    elif command == "schedule":
        hold.schedule(delay=float(arguments[0]))
    print(json.dumps([huey.pending_count(), huey.scheduled_count()]))


if __name__ == "__main__":
    # As its consumer knows it, not as `__main__`.
    import huey_app

    huey_app.main(*sys.argv[1:])
