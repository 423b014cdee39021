#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends the server within drain_timeout + 5 s, whatever keeps it busy (K12).

After each case a restart goes on with what was left, and doctor is clean. strace injects the
faults, as in faults_test.py.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import threading
import time

from faults_test import EVENT, Trace
from harness import LEDGER_PACKS, Server, cloud_event, run_cases, until

DRAIN_MS = 1000
SETTINGS = {"server.drain_timeout_ms": DRAIN_MS, "worker.kill_grace_ms": 500}
# A program that is traced cannot look for leaks.
os.environ["ASAN_OPTIONS"] = "detect_leaks=0"

LOOP = {
    "pack.yaml": "ref: turns\nversion: 1.0.0\n",
    "actions/forever.yaml": "name: forever\nrunner_type: workflow\n"
                            "entry_point: workflows/forever.yaml\n",
    "actions/workflows/forever.yaml": """tasks:
  start: {action: core.noop, next: [{do: turn}]}
  turn: {action: core.noop, next: [{do: again}]}
  again: {action: core.noop, next: [{do: turn}]}
""",
}


def server_with(packs=(LEDGER_PACKS,), **settings):
    return Server(packs=packs, settings={**SETTINGS, **settings})


def status_of(server, execution):
    return server.client().data("GET", f"/api/v1/executions/{execution}")["status"]


def must_end(server, why):
    """SIGTERM. Kills what does not end, so that the next case can begin."""
    began = time.monotonic()
    try:
        server.stop()
    except AssertionError as error:
        server.kill(spawner=True)
        raise AssertionError(f"{why}: {error}") from error
    print(f"     {why}: ended in {time.monotonic() - began:.1f} s", flush=True)


def run_once(server, linger):
    """Starts an at_most_once run that ends in `linger` seconds."""
    run = server.cli("run", "ledger.write_once", f"ledger={server.home}/ledger",
                     f"linger={linger}", "--async").strip()
    until("it runs", lambda: status_of(server, run) == "running")
    return run


def a_full_disk_and_a_completion_that_insists():
    """The pages that a completion writes find no space, and it is tried again for ever."""
    with server_with() as server:
        server.start()
        run = run_once(server, "1")
        trace = Trace(server, "pwrite64", "ENOSPC", "1+")
        with trace.attached(server):
            until("the completion was refused", lambda: len(trace.injected()) > 3, 20)
            must_end(server, "full disk")
        server.start()
        until("it has ended", lambda: status_of(server, run) == "succeeded")
        assert (server.home / "ledger").read_text().count(run) == 1, "it ran twice"
        server.stop()
        server.doctor()


def loads_that_fail():
    """The readers get EIO for each page that is not in memory: a completion cannot be decided."""
    with server_with() as server:
        server.start()
        fill(server)
        run = run_once(server, "1")
        trace = Trace(server, "pread64", "EIO", "1+")
        with trace.attached(server):
            until("a load was refused", lambda: len(trace.injected()) > 0 or server.has_ended(), 20)
            if not server.has_ended():
                must_end(server, "loads fail")
        server.start()
        until("it has ended", lambda: status_of(server, run) in ("succeeded", "needs_decision"))
        assert (server.home / "ledger").read_text().count(run) <= 1, "it ran twice"
        server.stop()
        server.doctor()


def a_workflow_of_pure_actions_that_loops_for_ever():
    with server_with(packs=()) as server:
        folder = server.home / "turns"
        for name, text in LOOP.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        server.packs = (folder,)
        server.start()
        run = server.cli("run", "turns.forever", "--async").strip()

        def steps():
            return len(server.client().data("GET", "/api/v1/executions?action=core.noop&limit=500"))
        until("it turns", lambda: steps() >= 500)
        must_end(server, "endless workflow")
        server.start()
        assert status_of(server, run) == "running"
        server.cli("execution", "cancel", run)
        until("it is canceled", lambda: status_of(server, run) == "canceled")
        server.stop()
        server.doctor()


def a_spawner_that_cannot_be_started():
    """Its socket's folder is a file: each try fails or waits for a greeting that never comes."""
    with server_with() as server:
        server.start()
        server.stop()
        for pid, _ in server.spawners():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(server.data / "run", ignore_errors=True)
        (server.data / "run").write_text("")
        server.start()
        waiting = server.cli("run", "ledger.write_once", f"ledger={server.home}/ledger",
                             "--async").strip()
        must_end(server, "no spawner")
        (server.data / "run").unlink()
        server.start()
        until("it has run", lambda: status_of(server, waiting) == "succeeded")
        server.stop()
        server.doctor()


def a_spawner_that_never_greets():
    """Its socket takes connections and says nothing, as one that is stopped or short of memory."""
    with server_with() as server:
        server.start()
        server.stop()
        for pid, _ in server.spawners():
            os.kill(pid, signal.SIGKILL)
        path = server.data / "run/spawner.sock"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen(8)
            server.start()
            mute.settimeout(20)
            connection, _ = mute.accept()  # the server waits for a greeting now
            waiting = server.cli("run", "ledger.write_once", f"ledger={server.home}/ledger",
                                 "--async").strip()
            must_end(server, "mute spawner")
            connection.close()
        path.unlink(missing_ok=True)
        server.start()
        until("it has run", lambda: status_of(server, waiting) == "succeeded")
        server.stop()
        server.doctor()


def fill(server):
    for number in range(400):  # more rows than stay in a cache of one page
        server.client().data("POST", "/api/v1/events",
                             json.dumps(cloud_event("e", str(number))), EVENT)


def a_disk_that_is_slow_to_read():
    """Somebody reads when the stop comes, and each page takes its time."""
    with server_with(packs=()) as server:
        server.start()
        fill(server)
        trace = Trace(server, "pread64", delay_ms=700)

        def read():
            with contextlib.suppress(OSError, AssertionError):  # it is cut off
                server.client().data("GET", "/api/v1/events?limit=500")
        reader = threading.Thread(target=read)
        with trace.attached(server):
            reader.start()
            until("it reads", lambda: len(trace.begun()) > 2, 20)
            must_end(server, "slow read")
        reader.join()
        server.start()
        server.stop()
        server.doctor()


class Held:
    """Holds the threads of this name, as a system call does that never returns."""
    SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000

    def __init__(self, server, name):
        tasks = pathlib.Path(f"/proc/{server.pid()}/task")
        self.threads = [int(task.name) for task in tasks.iterdir()
                        if (task / "comm").read_text().strip() == name]
        assert self.threads, f"no thread is called {name}"
        libc = ctypes.CDLL(None, use_errno=True)
        for thread in self.threads:
            for request in (self.SEIZE, self.INTERRUPT):
                if libc.ptrace(request, thread, None, None) != 0:
                    raise OSError(ctypes.get_errno(), "ptrace")
            os.waitpid(thread, self.WALL)
            # Nobody else may bury it.
            threading.Thread(target=os.waitpid, args=(thread, self.WALL), daemon=True).start()


def a_thread_of_the_worker_that_does_not_come_back():
    with server_with() as server:
        server.start()
        run = run_once(server, "8")
        Held(server, "worker")
        must_end(server, "worker hangs")
        server.start()
        until("it has ended", lambda: status_of(server, run) == "succeeded")
        assert (server.home / "ledger").read_text().count(run) == 1, "it ran twice"
        server.stop()
        server.doctor()


def a_reload_that_does_not_come_back():
    """It is read on a thread that hangs."""
    with server_with() as server:
        server.start()
        Held(server, "read")
        server.reload()
        must_end(server, "reload hangs")
        server.start()
        server.stop()
        server.doctor()


def a_second_signal_ends_it_at_once():
    with server_with(**{"server.drain_timeout_ms": 30_000}) as server:
        server.start()
        run_once(server, "20")
        os.kill(server.pid(), signal.SIGTERM)
        time.sleep(0.5)
        assert server.alive(), "it drains"
        os.kill(server.pid(), signal.SIGTERM)
        until("the second signal has ended it", server.has_ended, 3)


if __name__ == "__main__":
    if shutil.which("strace") is None:
        print("strace is missing: ./dev setup")
        sys.exit(1)
    sys.exit(run_cases([
        a_full_disk_and_a_completion_that_insists,
        loads_that_fail,
        a_workflow_of_pure_actions_that_loops_for_ever,
        a_spawner_that_cannot_be_started,
        a_spawner_that_never_greets,
        a_disk_that_is_slow_to_read,
        a_thread_of_the_worker_that_does_not_come_back,
        a_reload_that_does_not_come_back,
        a_second_signal_ends_it_at_once,
    ]))
