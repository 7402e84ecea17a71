"""Imports the packages named, and says how many there are."""

import importlib
import sys

print(len([importlib.import_module(name) for name in sys.argv[1:]]))
