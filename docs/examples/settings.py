# How autoscalebot cares for the processes of an app: measure, decide, scale, notify.
#
# Lines that begin with # and a space explain; the others in comments are settings to uncomment.
# They show their default unless they say that there is none.
# `autoscalebot check` tells what the settings mean, or everything that is wrong with them;
# `autoscalebot eval` measures and decides once, and changes nothing.

# This is a part of your project's settings.py. TIME_ZONE, ADMINS and the EMAIL_* settings of the
# project are used where the settings below say nothing else.

import os

AUTOSCALE_SETTINGS = {
    # A process, by the name that the platform has for it. Add as many as you like.
    'web': {
        # When the process may shrink: `always`; `idle`, only processes known to be free may go; or
        # `drained`, only when nothing waits or runs. Without it, `idle` if one of its measurements
        # sees work in a queue, else `always`. There is no default; for example:
        #'SCALE_DOWN_WHEN': 'always',
        # So many seconds a shrink is held at most because of work in progress; then it happens all
        # the same. 0 never holds.
        #'MAX_BUSY_WAIT': 3600,
        'MEASUREMENT': {
            'BACKEND': 'autoscalebot.backends.measurement.ResponseTimeBackend',
            'SETTINGS': {
                # How often to measure.
                #'MEASUREMENT_INTERVAL_IN_SECONDS': 30,
                # The URL whose response time is measured: a path of the app, or a whole URL.
                #'MEASUREMENT_URL': '/autoscalebot/measurement/',
                # The app's address, to which a path in MEASUREMENT_URL belongs. Without it the
                # platform is asked. There is no default; for example:
                #'BASE_URL': 'https://www.example.com',
                # Headers to send, as in `{"Authorization": "Bearer …"}`. They are sent to the URL's
                # own host only. There is no default; for example:
                #'HEADERS': {'Accept': 'text/html'},
                # How long to wait for the complete answer.
                #'TIMEOUT_SECONDS': 30,
                # Whether connections are kept open from one measurement to the next. Without it the
                # time includes connecting, as for a new visitor.
                #'REUSE_CONNECTIONS': False,
                # What a time-out or a 5xx says: `high` (the app has too little capacity) or `hold`
                # (nothing).
                #'ON_TIMEOUT': 'high',
            },
        },
        'DECISION': {
            'BACKEND': 'autoscalebot.backends.decision.ConsecutiveThresholdBackend',
            'SETTINGS': {
                # The least number of processes: a number, or a table such as `{"8:00": 3, "18:00":
                # 1}`.
                #'MIN_PROCESSES': 1,
                # The most processes: a number, or a table such as `{"9:00": 5, "17:00": 2}`.
                #'MAX_PROCESSES': 3,
                # Time zone of the tables, such as `America/Vancouver`. Without it, the machine's.
                # There is no default; for example:
                #'TIME_ZONE': 'America/Vancouver',
                # How many processes one step adds or removes.
                #'INCREMENT': 1,
                # How long to wait after a scale before the next one. Measuring goes on meanwhile.
                #'POST_SCALE_WAIT_TIME_SECONDS': 5,
                # How many samples to keep. Must hold the longest run that the backend asks for.
                #'HISTORY_LENGTH': 10,
                # So many high readings in a row add processes.
                #'NUMBER_OF_FAILS_TO_SCALE_UP_AFTER': 3,
                # So many low readings in a row remove processes.
                #'NUMBER_OF_PASSES_TO_SCALE_DOWN_AFTER': 5,
                # A reading at or below this is low.
                #'MIN_MEASUREMENT_VALUE': 400,
                # A reading above this is high.
                #'MAX_MEASUREMENT_VALUE': 1200,
            },
        },
        'SCALING': {
            'BACKEND': 'autoscalebot.backends.scaling.HerokuBackend',
            'SETTINGS': {
                # The app, by its name (`dancing-forest-1234`) or UUID. Without it the environment
                # variable `HEROKU_APP_NAME` is used.
                'APP_NAME': 'dancing-forest-1234',
                # The API key, as `heroku authorizations:create` makes it. Without it the
                # environment variable `HEROKU_API_KEY` is used.
                'API_KEY': os.environ['HEROKU_API_KEY'],
                # The address of Heroku's Platform API. Without it the environment variable
                # `HEROKU_API_URL` is used, else `https://api.heroku.com`. Unencrypted `http` is
                # taken for addresses of this machine only. There is no default; for example:
                #'API_URL': 'https://api.heroku.com',
                # The process type on Heroku, as in the Procfile. Without it, the name of the
                # process in these settings. There is no default; for example:
                #'PROCESS': 'web',
                # How long one question or order may take, with all its retries.
                #'TIMEOUT_SECONDS': 20,
            },
        },
        'NOTIFICATION': {
            'BACKENDS': ['autoscalebot.backends.notification.DjangoEmailBackend'],
            'SETTINGS': {
                # Tell the result of every measurement.
                #'NOTIFY_ON_EVERY_MEASUREMENT': False,
                # Tell every scale.
                #'NOTIFY_ON_EVERY_SCALE': False,
                # Tell when fewer processes are called for, but the process is at its min.
                #'NOTIFY_IF_NEEDS_BELOW_MIN': False,
                # Tell when more processes are called for, but the process is at its max.
                #'NOTIFY_IF_NEEDS_EXCEED_MAX': True,
                # Tell when the process is scaled too often in one direction.
                #'NOTIFY_IF_SCALING_IS_TOO_RAPID': False,
                # So many scales in one direction are fine within the time below.
                #'NOTIFY_IF_SCALING_IS_TOO_RAPID_NUM_SCALES': 5,
                # The time, in minutes, within which scales are counted.
                #'NOTIFY_IF_SCALING_IS_TOO_RAPID_TIME_PERIOD_MINUTES': 1,
                # Tell when the platform does not take an order, or does not say how many processes
                # run.
                #'NOTIFY_IF_SCALE_FAILS': True,
                # Tell when measuring fails, and when it works again.
                #'NOTIFY_IF_MEASUREMENT_FAILS': True,
                # Tell when someone else changes the count.
                #'NOTIFY_IF_COUNT_CHANGES_ELSEWHERE': True,
                # How often a condition that lasts is told again.
                #'NOTIFY_REPEAT_MINUTES': 60,
                # The SMTP server.
                #'EMAIL_HOST': 'localhost',
                # Its port.
                #'EMAIL_PORT': 25,
                # The name to log in with; empty for no login. There is no default; for example:
                #'EMAIL_HOST_USER': 'autoscalebot',
                # The password to log in with; empty for no login. There is no default; for example:
                #'EMAIL_HOST_PASSWORD': os.environ['EMAIL_HOST_PASSWORD'],
                # Whether the connection is encrypted by STARTTLS, usually on port 587.
                #'EMAIL_USE_TLS': False,
                # Whether the connection is encrypted from the start, usually on port 465.
                #'EMAIL_USE_SSL': False,
                # How long sending one mail may take in all, in seconds; 60 at most, and 30 without
                # it. There is no default; for example:
                #'EMAIL_TIMEOUT': 10,
                # What every subject begins with.
                #'EMAIL_SUBJECT_PREFIX': '[Django] ',
                # The sender. Without it DEFAULT_FROM_EMAIL, and without that `root@localhost`.
                # There is no default; for example:
                #'SERVER_EMAIL': 'autoscalebot@example.com',
                # The sender when there is no SERVER_EMAIL. There is no default; for example:
                #'DEFAULT_FROM_EMAIL': 'autoscalebot@example.com',
                # Who gets the mails: a list of addresses, or of pairs of a name and an address.
                # There is no default; for example:
                #'ADMINS': [['Operations', 'operations@example.com']],
            },
        },
    },
}
