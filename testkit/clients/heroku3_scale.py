"""Scales an app with heroku3, a client that we did not write, and prints what it saw as one JSON document.

Usage: heroku3_scale.py API_URL TOKEN APP
"""

import contextlib
import io
import json
import sys

import heroku3
import heroku3.api
from requests.exceptions import HTTPError

url, token, app_name = sys.argv[1:]
heroku3.api.HEROKU_URL = url
seen = {}

# heroku3 prints a warning for every page that it follows; they are part of what we look at.
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    heroku = heroku3.from_key(token)
    seen["authenticated"] = heroku.is_authenticated
    seen["authenticated_with_wrong_token"] = heroku3.from_key("wrong").is_authenticated
    seen["apps"] = sorted(app.name for app in heroku.apps())
    app = heroku.app(app_name)
    seen["maintenance"] = app.maintenance

    formation = app.process_formation()
    seen["formation"] = {process.type: [process.quantity, process.size] for process in formation}

    seen["scaled"] = formation["web"].scale(3).quantity
    seen["dynos"] = sorted(dyno.name for dyno in app.dynos())
    batch = app.batch_scale_formation_processes({"web": 2, "celery": 4})
    seen["batch"] = {process.type: process.quantity for process in batch}
    seen["resized"] = app.process_formation()["celery"].resize("standard-2x").size
    seen["to_zero"] = app.process_formation()["celery"].scale(0).quantity

    seen["releases"] = sorted(release.version for release in app.releases())
    seen["newest_release"] = [release.version for release in app.releases(order_by="version", limit=1, sort="desc")]

    try:
        app.process_formation()["web"].update(size="1X")
    except HTTPError as error:
        seen["refusal"] = str(error)
    try:
        heroku.app("nobody-has-this-app")
    except HTTPError as error:
        seen["missing"] = error.response.json()

    # Without `tail` it is the history and then the end of the stream.
    seen["log"] = app.get_log(lines=100)
    seen["router_log"] = app.get_log(lines=100, dyno="router", source="heroku")
    seen["rate_remaining"] = heroku.ratelimit_remaining()

    app.process_formation()["web"].scale(1)
    dyno = app.dynos()[0]
    dyno.kill()
    seen["restarted"] = app.dynos()[0].id != dyno.id

seen["pages_followed"] = printed.getvalue().count("Next-Range") or printed.getvalue().count("next-range")
print(json.dumps(seen))
