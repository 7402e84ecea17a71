"""A week of ten processes in a store, and how long somebody waits who asks for one of them.

    week.py PROGRAM FOLDER

The tables are made by the program itself; the week is written beside it, row by row, as ticks every ten seconds would
have left it, with the rollups that the program would have made. Then the program is asked over HTTP, as the dashboard
asks.
"""

import json
import math
import pathlib
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request

PROCESSES = 10
TICKS = 7 * 24 * 360
ROLLUP = 300_000_000
QUESTIONS = 50

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])


def settings(count: int, interval: int) -> str:
    block = (
        '[p{0}.measurement]\nbackend = "Command"\n'
        'settings = {{ command = "echo 500", measurement_interval_in_seconds = {1} }}\n'
        '[p{0}.scaling]\nbackend = "DryRun"\n[p{0}.notification]\nbackends = []\n'
    )
    return "".join(block.format(number, interval) for number in range(count))


def start(count: int, interval: int, store: str) -> tuple[subprocess.Popen, str]:
    file = folder / f"week-{count}.toml"
    file.write_text(settings(count, interval))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, "run", "--settings", str(file), "--store", store, "--listen", address, "--store-max-mb", "4000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://{address}/healthz", timeout=1).read()
            return process, address
        except OSError:
            time.sleep(0.05)
    process.kill()
    sys.exit("the program does not answer")


def stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(10)


def fill(file: pathlib.Path) -> None:
    store = sqlite3.connect(file)
    names = dict(store.execute("SELECT name, id FROM autoscalebot_processes"))
    now = int(time.time()) * 1_000_000
    for name in (f"p{number}" for number in range(PROCESSES)):
        process = names[name]
        samples, decisions = [], []
        for tick in range(TICKS):
            at = now - (TICKS - tick) * 10_000_000
            reading = None if tick % 500 == 0 else 800 + 700 * math.sin(tick / 1000)
            samples.append((process, 0, at, reading, "timeout" if reading is None else None))
            running = 1 + tick // 300 % 5
            decisions.append((process, at, 0, tick, running, running, 1, 5, "stay", "between", 0))
        store.executemany("INSERT OR REPLACE INTO autoscalebot_samples VALUES (?, ?, ?, ?, ?)", samples)
        columns = "process_id, at, run_id, seq, running, wanted, least, most, direction, reason_key, ordered"
        marks = ", ".join("?" * 11)
        store.executemany(f"INSERT OR REPLACE INTO autoscalebot_decisions ({columns}) VALUES ({marks})", decisions)
    store.execute(
        "INSERT OR REPLACE INTO autoscalebot_decision_rollups SELECT process_id, at / ?1 * ?1, max(running), "
        "max(wanted), min(least), max(most) FROM autoscalebot_decisions GROUP BY 1, 2",
        (ROLLUP,),
    )
    store.execute(
        "INSERT OR REPLACE INTO autoscalebot_sample_rollups SELECT process_id, signal, at / ?1 * ?1, sum(reading), "
        "count(reading), min(reading), max(reading), count(failure) FROM autoscalebot_samples GROUP BY 1, 2, 3",
        (ROLLUP,),
    )
    rolled = (now - 600_000_000) // ROLLUP * ROLLUP
    store.execute("INSERT OR REPLACE INTO autoscalebot_chores VALUES ('rollups', ?)", (rolled,))
    store.commit()
    store.close()


def asked(url: str) -> tuple[list[float], bytes]:
    times, answer = [], b""
    for _ in range(QUESTIONS):
        begun = time.perf_counter()
        answer = urllib.request.urlopen(url, timeout=30).read()
        times.append((time.perf_counter() - begun) * 1000)
        # As a person does: nobody is turned away for asking too fast.
        time.sleep(0.05)
    return sorted(times), answer


def row(what: str, times: list[float], answer: bytes) -> None:
    median, late = statistics.median(times), times[int(len(times) * 0.95)]
    print(f"| {what} | {median:.1f} ms | {late:.1f} ms | {len(answer) / 1000:.0f} kB |")


def main() -> None:
    file = folder / "week.db"
    file.unlink(missing_ok=True)
    process, _ = start(PROCESSES, 2, f"sqlite:{file}")
    for _ in range(100):
        time.sleep(0.1)
        try:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as store:
                if store.execute("SELECT count(*) FROM autoscalebot_processes").fetchone()[0] == PROCESSES:
                    break
        except sqlite3.OperationalError:
            continue
    stop(process)
    fill(file)
    print(f"{TICKS} ticks of each of {PROCESSES} processes, asked for over HTTP {QUESTIONS} times:\n")
    print("| question | median | 95 % | answer |\n|---|---:|---:|---:|")
    process, address = start(PROCESSES, 3600, f"sqlite:{file}")
    try:
        now = time.time()
        iso = lambda at: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        week = f"http://{address}/api/v1/processes/p3/series?from={iso(now - 7 * 86400)}&to={iso(now)}"
        for points, what in [(600, "a week in 600 points, from rollups"), (5000, "a week in 5 000 points, from every tick")]:
            times, answer = asked(f"{week}&points={points}")
            series = json.loads(answer)
            assert len(series["at_ms"]) > points / 3, "the week is not there"
            row(f"{what} ({series['source']})", times, answer)
    finally:
        stop(process)
    process, address = start(1000, 30, "none")
    try:
        times, answer = asked(f"http://{address}/api/v1/processes")
        assert len(json.loads(answer)["processes"]) == 1000
        row("the overview of 1 000 processes, as data", times, answer)
    finally:
        stop(process)


main()
