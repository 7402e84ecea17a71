"""Tells a NATS server one thing after another, with nats-py: ADDRESS STEPS.

Steps are JSON: [["stream", {"name": "JOBS", "subjects": ["jobs.>"]}], ["consumer", "JOBS", {"durable_name": "worker"}],
["publish", "jobs.new", 5], ["fetch", "JOBS", "worker", 2], ["fetch_and_ack", "JOBS", "worker", 2],
["delete_consumer", "JOBS", "worker"], ["delete_stream", "JOBS"], …]. What is fetched and not acknowledged stays so.
"""

import asyncio
import json
import sys

import nats
from nats.js.api import ConsumerConfig, StreamConfig


async def tell(stream, step, *arguments):
    if step == "stream":
        await stream.add_stream(StreamConfig(**arguments[0]))
    elif step == "consumer":
        await stream.add_consumer(arguments[0], ConsumerConfig(**arguments[1]))
    elif step == "publish":
        for number in range(arguments[1]):
            await stream.publish(arguments[0], str(number).encode())
    elif step in ("fetch", "fetch_and_ack"):
        name, durable, count = arguments
        subscription = await stream.pull_subscribe_bind(durable, name)
        for message in await subscription.fetch(count, timeout=10):
            if step == "fetch_and_ack":
                await message.ack_sync()
    elif step == "delete_consumer":
        await stream.delete_consumer(*arguments)
    elif step == "delete_stream":
        await stream.delete_stream(*arguments)
    else:
        raise ValueError(step)


async def main():
    connection = await nats.connect(sys.argv[1])
    for step in json.loads(sys.argv[2]):
        await tell(connection.jetstream(), *step)
    print(json.dumps(True))
    await connection.close()


asyncio.run(main())
