"""What the package costs: importing it, and a call from the engine into Python. Run with the release wheel installed.

    python calls.py [--bots 200] [--seconds 20]

A call is measured twice over. From outside, as the processor time of a whole program with so many bots, each with an empty
Python measurement every second, against the same bots with as many more measurements: the difference is calls alone, with
their threads and their wake-ups. From inside, one call after the other, against the same empty method called by Python.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Runs in a folder of its own; prints one line when it has seen enough.
SETTINGS = """
import os
import time

from autoscalebot.backends.measurement import BaseMeasurementBackend

BOTS, CALLS, SECONDS = {bots}, {calls}, {seconds}
WARM_UP = 3.0
state = {{"calls": 0, "begun": None}}


class Empty(BaseMeasurementBackend):
    def measure(self):
        now = time.monotonic()
        if state["begun"] is None:
            state["begun"] = (now + WARM_UP, None)
        begin, cpu = state["begun"]
        if cpu is None:
            if now >= begin:
                state["begun"] = (now, time.process_time())
                state["calls"] = 0
        elif now - begin >= SECONDS:
            print({{"cpu": time.process_time() - cpu, "calls": state["calls"], "seconds": now - begin}}, flush=True)
            os._exit(0)
        state["calls"] += 1
        return 800


AUTOSCALE_SETTINGS = {{
    f"web{{number}}": {{
        "SIGNALS": [
            {{"MEASUREMENT": {{"BACKEND": Empty, "SETTINGS": {{"MEASUREMENT_INTERVAL_IN_SECONDS": 1}}}}}}
            for _ in range(CALLS)
        ],
        "SCALING": {{"BACKEND": "DryRun"}},
    }}
    for number in range(BOTS)
}}
"""

INSIDE = """
import json, time
from autoscalebot import _bridge, _native
from autoscalebot.backends.measurement import BaseMeasurementBackend
from autoscalebot.testing import Fleet

class Empty(BaseMeasurementBackend):
    def measure(self):
        return 800

def timed(call, times):
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1e6

empty = timed(Empty().measure, 100_000)
with Fleet({"web": {"MEASUREMENT": {"BACKEND": Empty}, "SCALING": {"BACKEND": "DryRun"}}}) as one:
    with Fleet({"web": {"SIGNALS": [{"MEASUREMENT": {"BACKEND": Empty}}] * 2, "SCALING": {"BACKEND": "DryRun"}}}) as two:
        one.run(ticks=200), two.run(ticks=200)
        ones = timed(lambda: one.step("web"), 3000)
        twos = timed(lambda: two.step("web"), 3000)
print(json.dumps({"empty_us": empty, "tick_us": ones, "tick_with_two_us": twos}))
"""


def imports(times: int = 30) -> tuple[float, float]:
    """Milliseconds to start Python with and without the import, medians; in turn."""

    def took(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - began) * 1000

    pairs = [(took("import autoscalebot, autoscalebot.backends"), took("pass")) for _ in range(times)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def outside(bots: int, calls: int, seconds: float) -> dict[str, float]:
    """Processor time of a program with so many bots."""
    with tempfile.TemporaryDirectory() as folder:
        text = SETTINGS.format(bots=bots, calls=calls, seconds=seconds)
        Path(folder, "autoscale_settings.py").write_text(text, encoding="utf-8")
        program = [sys.executable, "-m", "autoscalebot"]
        environment = {**os.environ, "AUTOSCALEBOT_LOG": "error"}
        limit = seconds + 60
        ran = subprocess.run(
            program, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit, check=True
        )
    said: dict[str, float] = json.loads(ran.stdout.splitlines()[0].replace("'", '"'))
    return said


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()

    with_import, without = imports()
    print(
        f"import autoscalebot: {with_import - without:.1f} ms (Python with it {with_import:.1f} ms, without {without:.1f} ms)"
    )

    inside = json.loads(
        subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, text=True, check=True).stdout
    )
    print(
        f"one after the other: an empty method {inside['empty_us']:.2f} µs; a whole tick {inside['tick_us']:.0f} µs; "
        f"a tick with two of them {inside['tick_with_two_us']:.0f} µs"
    )

    few, many = 1, 6
    rows = {calls: outside(arguments.bots, calls, arguments.seconds) for calls in (few, many)}
    for calls, row in rows.items():
        rate, each = row["calls"] / row["seconds"], row["cpu"] / row["calls"] * 1e6
        print(
            f"{arguments.bots} bots, {calls} calls each a second: {rate:.0f} calls/s, {each:.0f} µs of processor time per call"
        )
    per_second = {calls: row["cpu"] / row["seconds"] for calls, row in rows.items()}
    rates = {calls: row["calls"] / row["seconds"] for calls, row in rows.items()}
    alone = (per_second[many] - per_second[few]) / (rates[many] - rates[few]) * 1e6
    print(
        f"a call alone: {alone:.0f} µs of processor time, {alone - inside['empty_us']:.0f} µs beside the empty method"
    )


if __name__ == "__main__":
    main()
