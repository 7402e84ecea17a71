"""Calls with heroku3 until the account's calls are used up, and prints what happened as one JSON document.

Usage: heroku3_rate_limit.py API_URL TOKEN APP
"""

import json
import sys

import heroku3
import heroku3.api

url, token, app_name = sys.argv[1:]
heroku3.api.HEROKU_URL = url
heroku = heroku3.from_key(token)
app = heroku.app(app_name)
calls = 0
try:
    while calls < 100:
        app.process_formation()
        calls += 1
    refusal = None
except heroku3.api.RateLimitExceeded as error:
    refusal = str(error)
print(json.dumps({"calls": calls, "refusal": refusal, "remaining": heroku.ratelimit_remaining()}))
