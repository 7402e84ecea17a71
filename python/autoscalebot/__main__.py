"""``python -m autoscalebot`` is the command ``autoscalebot``."""

from autoscalebot.cli import main

main()
