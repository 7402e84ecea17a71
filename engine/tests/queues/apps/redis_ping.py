"""Pings the Redis at the address given, with redis-py; the answer, or the kind of failure."""

import json
import os
import sys

import redis

limit = float(os.environ.get("SOCKET_TIMEOUT_SECONDS", "10"))
try:
    client = redis.Redis.from_url(sys.argv[1], socket_timeout=limit, socket_connect_timeout=limit, retry=None)
    print(json.dumps({"answer": client.ping()}))
except redis.RedisError as error:
    print(json.dumps({"error": type(error).__name__}))
