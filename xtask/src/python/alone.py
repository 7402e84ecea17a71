"""Run in an environment that should have the package and nothing else: is it whole, and does it bring nobody along?"""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import autoscalebot

#: What an environment is born with, depending on its Python.
TOOLS = {"pip", "setuptools", "wheel"}

complaints = []

others = {found.name for found in metadata.distributions()} - TOOLS - {"autoscalebot"}
if others:
    complaints.append(f"it brought {sorted(others)}")

if metadata.requires("autoscalebot"):
    complaints.append(f"it says that it needs {metadata.requires('autoscalebot')}")

if "django" in sys.modules:
    complaints.append("importing it imports django")

if not Path(autoscalebot.__file__).is_relative_to(sys.prefix):
    complaints.append(f"it is not the installed one that was imported, but {autoscalebot.__file__}")

strangers = [
    str(file)
    for file in metadata.files("autoscalebot") or ["no file at all"]
    if not (
        file.parts[0].endswith(".dist-info")
        or file.parts[-2:] == ("bin", "autoscalebot")
        or (file.parts[0] == "autoscalebot" and (file.suffix in {".py", ".pyi", ".pyc", ".so"} or file.name == "py.typed"))
    )
]
if strangers:
    complaints.append(f"it has files that are none of a Python package: {strangers}")

command = Path(sys.executable).parent / "autoscalebot"
told = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=False)
if told.returncode != 0 or autoscalebot.__version__ not in told.stdout:
    complaints.append(f"`autoscalebot --version` should say {autoscalebot.__version__}: {told.stdout}{told.stderr}")

if complaints:
    sys.exit("the package alone: " + "; ".join(complaints))
