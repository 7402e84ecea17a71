"""arq as an app uses it. Its worker imports `WorkerSettings` from this file; as a program it is COMMAND ARGUMENTS, and
prints how many jobs arq itself says are queued. The server is at REDIS."""

import asyncio
import json
import os
import sys
from datetime import datetime, timedelta, timezone

import redis.asyncio
from arq import Retry, create_pool, cron
from arq.connections import RedisSettings

address = os.environ["REDIS"]


async def hold(context: dict) -> None:
    """Runs until it is released."""
    await redis.asyncio.Redis.from_url(address).blpop("release", 60)


async def again(context: dict) -> None:
    """Is to be tried again later."""
    raise Retry(defer=600)


async def tick(context: dict) -> None:
    """Ends at once."""


class WorkerSettings:
    """What the worker runs."""

    functions = [hold, again]
    cron_jobs = [cron(tick, run_at_startup=True)] if os.environ.get("CRON") else []
    redis_settings = RedisSettings.from_dsn(address)
    max_jobs = 2
    poll_delay = 0.05


async def main(command: str, *arguments: str) -> None:
    pool = await create_pool(RedisSettings.from_dsn(address))
    if command == "enqueue":
        for _ in range(int(arguments[0])):
            await pool.enqueue_job("hold")
    elif command == "defer":
        until = datetime.now(timezone.utc) + timedelta(seconds=float(arguments[0]))
        await pool.enqueue_job("hold", _defer_until=until)
    elif command == "again":
        await pool.enqueue_job("again")
    print(json.dumps(len(await pool.queued_jobs())))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
