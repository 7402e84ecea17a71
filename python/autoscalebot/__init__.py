"""Makes scaling the processes of an app something you can stop worrying about.

The engine is native; this package runs it, and lets backends and settings be Python. Nothing heavy is imported until it
is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoscalebot.backends import NotYetImplementedException

if TYPE_CHECKING:
    __version__: str

__all__ = ["NotYetImplementedException", "__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from autoscalebot._native import version

        return version
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
