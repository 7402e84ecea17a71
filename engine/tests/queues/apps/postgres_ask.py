"""Asks the PostgreSQL at the address given who we are, with psycopg; the SQLSTATE when it does not let us in."""

import json
import sys

import psycopg

try:
    with psycopg.connect(sys.argv[1], connect_timeout=10) as connection:
        print(json.dumps({"user": connection.execute("SELECT current_user").fetchone()[0]}))
except psycopg.OperationalError as error:
    # The server refuses before there is a connection, so the state is known by the text alone.
    state = "28P01" if "password authentication failed" in str(error) else str(error)
    print(json.dumps({"error": state}))
