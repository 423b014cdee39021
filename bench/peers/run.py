#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench --peers [--only ROW] [--quick] [--engine NAME...] [--dry]: the peers beside Millrace.
Writes docs/performance.md when all rows ran in full; else, and with --dry, only prints."""
import argparse
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import alone
import install
import millrace
import node_engines
import restate
import rows
import table
from contestant import INSTALLED, ROOT

DOCUMENT = ROOT / "docs/performance.md"
# The handler in node first.
ENGINES = (millrace.OverHttpSqlite, millrace.OverHttpPostgres, millrace.NodeEach, restate.OfCores,
           restate.AsItComes, node_engines.Dbos, node_engines.Graphile, node_engines.Bullmq,
           millrace.InProcessSqlite, millrace.InProcessPostgres)
IN_FLIGHT = {"empty": 64, "three": 64, "fan": 4}
# The kill before the draining: of that something is left, which would be worked off after a start.
ROWS = ("idle", *IN_FLIGHT, "timers", "kill", "drain", "matching", "conductor")
HEAD = """
## Beside peers
{when}, {machine}, commit {commit}, {rounds} rounds in turn, waiting items in one. Load average \
{load} before (above 0.5 others worked on the machine too), {load_after} after. {versions}. What is \
compared, how, and what is not: bench/peers/README.md. CPU is of all processes of an engine, its \
database and its handlers with it; the client is apart, but for DBOS and graphile-worker, which run \
in the process of their caller. Latencies are the client's; of timers, how late they are. Flushes \
are fsync and its like, written is what the kernel sent to the disk.
"""


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="ascii")
                  if line.startswith("model name")), "unknown processor")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


def load_average():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench --peers")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--quick", action="store_true", help="small counts, one round: some six minutes")
    parser.add_argument("--engine", action="append", default=[], help="only those with this in the name")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    return parser.parse_args()


def of_engines(asked, classes, folder, scale):
    """The rows that run whole engines, all started at once: {title: figures}."""
    engines = []
    try:
        for place, engine in enumerate(classes):
            engines.append(engine(folder / str(place)))
            engines[-1].start()
        for row in asked:
            print(f"{time.strftime('%H:%M:%S')} {row}", flush=True)
            if row in IN_FLIGHT:
                figures = rows.calls(engines, row, IN_FLIGHT[row], scale)
            elif row in ("timers", "drain", "kill", "idle"):
                figures = getattr(rows, row)(engines, scale)
            else:
                continue
            count = scale.timers if row == "timers" else scale.waiting
            yield rows.NAMES[row].format(count=count, window=scale.window_s), figures
    finally:
        for engine in engines:
            engine.close()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("peers: stopped"))  # so that all engines end
    install.install()
    scale = rows.Scale.quick() if options.quick else rows.Scale()
    asked = [options.only] if options.only else ROWS
    classes = [engine for engine in ENGINES if not options.engine
               or any(part in engine.name for part in options.engine)]
    begin, load = time.monotonic(), load_average()
    results = {}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=INSTALLED))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    try:
        if set(asked) - {"matching", "conductor"}:
            for title, figures in of_engines(asked, classes, folder, scale):
                results[title] = figures
                print(table.table(title, figures), flush=True)
        for row, run in (("matching", alone.matching), ("conductor", alone.conducting)):
            if row in asked:
                for title, figures in run(folder, scale).items():
                    results[title] = figures
                    print(table.table(title, figures), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - begin:.0f} s")
    if options.dry or options.quick or options.only or options.engine:
        return
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, check=True, text=True,
                            capture_output=True).stdout.strip()
    head = HEAD.format(
        when=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), machine=machine(), load=load,
        load_after=load_average(), commit=commit, rounds=scale.rounds,
        versions=", ".join(f"{name} {number}" for name, number in install.versions().items()))
    DOCUMENT.write_text(table.written_into(DOCUMENT.read_text(), table.page(results, head.lstrip("\n"))))
    print(f"written: {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
