"""Dramatiq as an app uses it. Its worker imports this file; as a program it is COMMAND ARGUMENTS, and prints what the
queue `default` holds. The broker is at REDIS."""

import json
import os
import sys
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

address = os.environ["REDIS"]
broker = RedisBroker(url=address)
dramatiq.set_broker(broker)


@dramatiq.actor
def hold() -> None:
    """Runs until it is released."""
    redis.Redis.from_url(address).blpop("release", 60)


@dramatiq.actor(max_retries=0)
def fail() -> None:
    """Becomes a dead letter."""
    raise ValueError("as told")


@dramatiq.actor(queue_name="other")
def elsewhere() -> None:
    """In another queue."""


def main(command: str, *arguments: str) -> None:
    if command == "send":
        for _ in range(int(arguments[0])):
            hold.send()
    elif command == "delay":
        hold.send_with_options(delay=int(1000 * float(arguments[0])))
    elif command == "fail":
        fail.send()
    elif command == "elsewhere":
        elsewhere.send()
    elif command == "sleep":
        time.sleep(float(arguments[0]))
    print(json.dumps(broker.client.llen("dramatiq:default")))


if __name__ == "__main__":
    main(*sys.argv[1:])
