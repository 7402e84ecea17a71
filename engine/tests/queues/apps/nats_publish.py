"""Publishes to a stream with nats-py, and says how many a consumer that fetched none has before it: ADDRESS COUNT."""

import asyncio
import json
import sys

import nats


async def main() -> None:
    connection = await nats.connect(sys.argv[1])
    stream = connection.jetstream()
    await stream.add_stream(name="JOBS", subjects=["jobs.>"])
    await stream.pull_subscribe("jobs.>", durable="worker", stream="JOBS")
    for number in range(int(sys.argv[2])):
        await stream.publish("jobs.new", str(number).encode())
    print(json.dumps({"pending": (await stream.consumer_info("JOBS", "worker")).num_pending}))
    await connection.close()


asyncio.run(main())
