"""An app of Procrastinate; its database is DATABASE_URL.

Run as a program it makes the tables if they are not there, and defers the jobs that it is given as JSON:
[{"queue": "default", "task": "nap", "seconds": 0, "in_seconds": 60, "lock": null, "priority": 0}, …].
As a module it is for `python -m procrastinate --app procrastinate_app.app worker`.
"""

import asyncio
import json
import os
import sys

import procrastinate

connector = procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=1, max_size=2)
app = procrastinate.App(connector=connector)


@app.task(name="nap")
async def nap(seconds):
    await asyncio.sleep(seconds)


@app.task(name="stumble", retry=procrastinate.RetryStrategy(max_attempts=2, wait=60))
async def stumble(seconds):
    raise RuntimeError("once more, in a minute")


async def defer(jobs):
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        for job in jobs:
            options = {"queue": job.get("queue", "default"), "lock": job.get("lock"), "priority": job.get("priority", 0)}
            if "in_seconds" in job:
                options["schedule_in"] = {"seconds": job["in_seconds"]}
            await app.configure_task(job.get("task", "nap"), **options).defer_async(seconds=job.get("seconds", 0))
        print(json.dumps(len(jobs)))


if __name__ == "__main__":
    asyncio.run(defer(json.loads(sys.argv[1])))
