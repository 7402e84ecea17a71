"""A Django project as small as one can be, with the bot in it. Tests build on it with settings of their own."""

from __future__ import annotations

import os
from typing import Any

import django

SECRET_KEY = "not a secret"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "project.urls"
INSTALLED_APPS = ["autoscalebot"]
MIDDLEWARE: list[str] = []
USE_TZ = True
TIME_ZONE = "America/Vancouver"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("PROJECT_DATABASE", ":memory:"),
    }
}

MAIL_FOLDER = os.environ.get("PROJECT_MAIL_FOLDER", "")
SERVER_EMAIL = "bot@example.com"
MAIL_BACKEND = f"django.core.mail.backends.{'filebased' if MAIL_FOLDER else 'locmem'}.EmailBackend"
# Django 6 takes addresses, and 6.1 has another name for the mail backend; both complain about those of before.
ADMINS: list[Any] = ["ops@example.com"] if django.VERSION >= (6, 0) else [("Operations", "ops@example.com")]
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": MAIL_BACKEND, "OPTIONS": {"file_path": MAIL_FOLDER} if MAIL_FOLDER else {}}}
else:
    EMAIL_BACKEND = MAIL_BACKEND
    EMAIL_FILE_PATH = MAIL_FOLDER
