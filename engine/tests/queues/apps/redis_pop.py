"""Prints what comes into a list of Redis, for ever: ADDRESS LIST."""

import sys

import redis

client = redis.Redis.from_url(sys.argv[1], decode_responses=True)
while True:
    print(client.blpop(sys.argv[2], timeout=0)[1])
