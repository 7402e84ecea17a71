"""Queues on Redis as people make them without a library, with redis-py: ADDRESS WHAT ARGUMENTS…

push LIST SECONDS…         LPUSHes JSON with the ages given, oldest first; the times in four spellings by turns
due SET UNIT SECONDS…      ZADDs items that become due so many seconds from now, as `seconds` or `milliseconds`
add STREAM COUNT           XADDs entries
read STREAM GROUP CONSUMER COUNT ACKNOWLEDGED
                           reads new entries as a consumer and acknowledges the first of them
"""

import datetime
import json
import sys
import time

import redis

address, what, name, *arguments = sys.argv[1:]
client = redis.Redis.from_url(address, decode_responses=True)
now = time.time()


def stamps(at):
    return [at, int(at * 1000), datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat(), str(at)]


if what == "push":
    for index, age in enumerate(arguments):
        item = {"id": index, "meta": {"created_at": stamps(now - float(age))[index % 4]}}
        client.lpush(name, json.dumps(item))
    answer = client.llen(name)
elif what == "due":
    factor = {"seconds": 1, "milliseconds": 1000}[arguments[0]]
    for index, seconds in enumerate(arguments[1:]):
        client.zadd(name, {f"item {index}": (now + float(seconds)) * factor})
    answer = client.zcard(name)
elif what == "add":
    for index in range(int(arguments[0])):
        client.xadd(name, {"index": index})
    answer = client.xlen(name)
elif what == "read":
    group, consumer, count, acknowledged = arguments
    read = client.xreadgroup(group, consumer, {name: ">"}, count=int(count))
    ids = [entry for _, entries in read for entry, _ in entries]
    if ids[: int(acknowledged)]:
        client.xack(name, group, *ids[: int(acknowledged)])
    answer = len(ids)
print(json.dumps(answer))
