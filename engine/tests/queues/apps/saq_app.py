"""SAQ as an app uses it: ADDRESS COMMAND ARGUMENTS. Commands print what SAQ itself counts: queued, active, incomplete.
`work` is a worker with an identity, which ends when it is told to."""

import asyncio
import json
import sys
import time

import redis.asyncio
from saq import Queue, Worker


def hold_for(address: str):
    async def hold(context: dict) -> None:
        await redis.asyncio.Redis.from_url(address).blpop("release", 60)

    return hold


async def main(address: str, command: str, *arguments: str) -> None:
    queue = Queue.from_url(address)
    if command == "work":
        timers = {"schedule": 1, "worker_info": 1, "sweep": 60, "abort": 1}
        functions = [("hold", hold_for(address))]
        await Worker(queue, functions, id=arguments[0] or None, concurrency=1, timers=timers).start()
        return
    if command == "enqueue":
        for _ in range(int(arguments[0])):
            await queue.enqueue("hold", timeout=60)
    elif command == "schedule":
        await queue.enqueue("hold", timeout=60, scheduled=int(time.time() + float(arguments[0])))
    print(json.dumps([await queue.count(kind) for kind in ("queued", "active", "incomplete")]))
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
