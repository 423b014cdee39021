# SPDX-License-Identifier: Apache-2.0
"""CPU of a call: cold, forked from a warm process, in a warm process. Prints one line each.

    python3 sdk/python/bench.py [CALLS]

Counted is what the runtime uses, its children included; not what the worker uses.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "tests"), str(HERE / "src")]

from child import environment, order_for, run, write_pack  # noqa: E402
from worker import Warm  # noqa: E402

ACTION = """
from st2common.runners.base_action import Action

class A(Action):
    def run(self, message="hi"):
        return message
"""
LOGGING = ACTION.replace("        return", "        self.logger.info(message)\n        return")
COLD_CALLS = 30


def children_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def cold(pack: Path) -> float:
    before = children_ms()
    for _ in range(COLD_CALLS):
        run(order_for(pack))
    return (children_ms() - before) / COLD_CALLS


def bare() -> float:
    before = children_ms()
    for _ in range(COLD_CALLS):
        subprocess.run([sys.executable, "-c", "pass"], env=environment(), check=True)
    return (children_ms() - before) / COLD_CALLS


def warm(pack: Path, reuse: str, calls: int) -> float:
    """Between the first calls, which load, and the end: by the process's own account."""
    runtime = Warm()
    order = {**order_for(pack), "id": "1", "reuse": reuse, "preload": True}
    stat = Path(f"/proc/{runtime.process.pid}/stat")
    ticks = os.sysconf("SC_CLK_TCK")

    def used_ms() -> float:
        fields = stat.read_text().rpartition(")")[2].split()
        return sum(int(each) for each in fields[11:15]) * 1000 / ticks

    runtime.call(order)
    before = used_ms()
    for _ in range(calls):
        runtime.call(order)
    used = used_ms() - before
    runtime.close()
    return used / calls


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    print(f"python3 -c pass        {bare():8.3f} ms")
    for name, source in (("empty", ACTION), ("that logs", LOGGING)):
        with tempfile.TemporaryDirectory() as folder:
            pack = write_pack(Path(folder) / "bench", {"actions/a.py": source})
            first = cold(pack)
            print(f"{name}: cold{'':<12}{first:12.3f} ms")
            for reuse, count in (("fork", calls // 10), ("process", calls)):
                each = warm(pack, reuse, count)
                print(f"{name}: {reuse:<15}{each:13.4f} ms   {first / each:6.0f} times cheaper")


if __name__ == "__main__":
    main()
