"""Runs SQL in a SQLite file, which is made if it is not there: PATH SQL."""

import json
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1])
connection.executescript(sys.argv[2])
connection.close()
print(json.dumps(True))
