"""Dramatiq with RabbitMQ as an app uses it. Its worker imports this file; as a program it is COMMAND ARGUMENTS. The broker is
at RABBITMQ, and what runs ends when the file GATE exists."""

import json
import os
import pathlib
import sys
import time

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=os.environ["RABBITMQ"])
dramatiq.set_broker(broker)


@dramatiq.actor
def hold() -> None:
    """Runs until it is released."""
    while not pathlib.Path(os.environ["GATE"]).exists():
        time.sleep(0.02)


@dramatiq.actor(max_retries=0)
def fail() -> None:
    """Becomes a dead letter."""
    raise ValueError("as told")


@dramatiq.actor(queue_name="other")
def elsewhere() -> None:
    """In another queue."""


def main(commands: list) -> None:
    for command, number in commands:
        if command == "send":
            for _ in range(number):
                hold.send()
        elif command == "delay":
            hold.send_with_options(delay=int(1000 * number))
        elif command == "fail":
            fail.send()
        elif command == "elsewhere":
            elsewhere.send()
    broker.close()
    print(json.dumps(True))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
