"""The command ``autoscalebot``, and the same for programs that have settings in hand (Django's ``manage.py``)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

__all__ = ["Problem", "check", "leave", "main", "run", "show_log_when_nobody_else_does"]


#: How long threads that backends started may take to end, after everything else has.
_FAREWELL_SECONDS = 2.0


class Problem(NamedTuple):
    """Something about settings that somebody should know."""

    #: The setting, such as ``web.decision.settings.min_processes``; empty when it is about the whole.
    path: str
    #: What is wrong, with what was found.
    found: str
    #: What would be right, or the way out; may be empty.
    allowed: str
    #: The settings can be used all the same.
    is_warning: bool


def main() -> NoReturn:
    """The console command. Never returns."""
    # What stands in the current folder can be imported, as with `python -m`.
    if "" not in sys.path:
        sys.path.insert(0, "")
    show_log_when_nobody_else_does()
    leave(run(sys.argv[1:]))


def run(arguments: Sequence[str], settings: Mapping[str, object] | None = None, origin: str = "") -> int:
    """Runs a command line; returns its exit code: 0 fine, 1 ran and failed, 2 wrong usage or settings.

    Without ``settings``, ``--settings`` in the arguments or the usual places name them. With ``settings`` (names as a
    settings module assigns them: ``AUTOSCALE_SETTINGS``, ``TIME_ZONE``, …) these are used; ``origin`` is what errors call
    them. Blocks until the command is over; ``run`` is over at SIGTERM or SIGINT.
    """
    from autoscalebot import _native

    with _SignalsLeftToTheEngine():
        return _native.main(list(arguments), None if settings is None else dict(settings), origin, launcher())


def show_log_when_nobody_else_does() -> None:
    """Python's logging drops what is less than a warning unless a program sets it up; a settings module may, or not."""
    import logging

    logger, handler = logging.getLogger("autoscalebot"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.addFilter(lambda _record: not logging.root.handlers and logger.handlers == [handler])
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def check(settings: Mapping[str, object], origin: str = "") -> list[Problem]:
    """Everything that is wrong with settings, errors first, then what should be known. Connects to nothing."""
    from autoscalebot import _native

    if not isinstance(settings, Mapping):
        raise TypeError(f"settings are a dictionary of names, not {type(settings).__name__}")
    return [Problem(*problem) for problem in _native.check(dict(settings), origin)]


def launcher() -> list[str]:
    """The words that start this program again, also when the app's folder has other things of the same names."""
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); "
        "from autoscalebot._native import main; sys.exit(main(sys.argv[1:], None, '', []))"
    )
    return [sys.executable or "python3", "-I", "-S", "-c", code]


class _SignalsLeftToTheEngine:
    """While the engine runs, SIGINT is its own affair: Python would raise KeyboardInterrupt after it ended in peace."""

    def __enter__(self) -> None:
        import signal
        import threading

        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, signal.SIG_DFL)

    def __exit__(self, *_error: object) -> None:
        import signal

        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


def leave(code: int) -> NoReturn:
    """Ends the program with an exit code. A backend that hangs for ever must not hold it up, as Python's own way out would."""
    import logging
    import threading
    import time

    from autoscalebot import _native

    def at_once() -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            # Python has none where its descriptor was closed; and a reader that went away has had enough.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        logging.shutdown()
        os._exit(code)

    def when_time_is_up() -> None:
        time.sleep(_FAREWELL_SECONDS)
        at_once()

    if _native.has_calls_in_flight():
        at_once()
    # Python waits for threads that backends started, for ever if need be; not here.
    threading.Thread(target=when_time_is_up, daemon=True).start()
    sys.exit(code)
