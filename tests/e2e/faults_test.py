#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disk faults on the real binary: the Nth fdatasync or pwrite64 fails with EIO or ENOSPC.

Two parts of a server's life are struck apart: it starts in an empty folder, and it serves (to stop
writes nothing). strace injects; it counts the calls of each thread since it came. A run without a
fault counts the calls of the part; then N goes over all of them. `--step N` takes every Nth of the
pwrites.

ENOSPC: a request gets 503, the server lives and takes the next one. EIO: the server ends.
After a clean restart everything that was acknowledged is there.
"""
import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from harness import Server, cloud_event, run_cases, until

STEP = int(sys.argv[sys.argv.index("--step") + 1]) if "--step" in sys.argv else 1
SHOW = "--show" in sys.argv
ROUND_SECONDS = 60
REQUESTS = 3  # of each kind
EVENT = {"Content-Type": "application/cloudevents+json"}
# A program that is traced cannot look for leaks.
os.environ["ASAN_OPTIONS"] = "detect_leaks=0"


@contextlib.contextmanager
def deadline(seconds, what):
    """Raises when the block takes longer, wherever it waits."""
    def over(*_):
        raise AssertionError(f"{what}: took longer than {seconds} s")
    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Trace:
    """What strace is to do, and what it saw."""

    def __init__(self, server, call, error=None, number=0, delay_ms=0):
        self.file = server.home / "strace.log"
        # Children that it starts are none of ours: the spawner outlives the server.
        self.command = ["strace", "-f", "-y", "-qq", "-b", "execve", "-o", str(self.file),
                        "-e", f"trace={call}"]
        if error:
            self.command += ["-e", f"inject={call}:error={error}:when={number}"]
        if delay_ms:
            self.command += ["-e", f"inject={call}:delay_enter={delay_ms * 1000}"]

    @contextlib.contextmanager
    def attached(self, server):
        """Traces a server that runs already."""
        tracer = subprocess.Popen([*self.command, "-p", str(server.pid())],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tasks = f"/proc/{server.pid()}/task"
        try:
            until("strace has come", lambda: all(
                f"TracerPid:\t{tracer.pid}\n" in pathlib.Path(tasks, task, "status").read_text()
                for task in os.listdir(tasks)), 10)
            yield
        finally:
            tracer.terminate()  # it lets go of the server
            try:
                tracer.wait(timeout=5)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.wait(timeout=5)

    def lines(self):
        return self.file.read_text(errors="replace").splitlines()

    def most_calls(self):
        """Of any one thread."""
        calls = collections.Counter(line.split()[0] for line in self.lines() if "(" in line)
        return max(calls.values(), default=0)

    def injected(self):
        return [line for line in self.lines() if "INJECTED" in line]

    def begun(self):
        return [line for line in self.lines() if "(" in line]

    def struck_store(self):
        """SQLite does not mind a failed sync of the folder."""
        return any("/millrace.db" in line for line in self.injected())


class Work:
    """Sends events and runs one after the other and keeps what was acknowledged."""

    def __init__(self, server):
        self.server = server
        self.ledger = str(server.home / "ledger")
        self.events, self.runs, self.statuses, self.count = [], [], [], 0

    def send(self):
        """One event and one run. A status of None: the server is gone."""
        client = self.server.client()
        self.count += 1
        event = json.dumps(cloud_event("fault", str(self.count)))
        answer = self.request(client, "/api/v1/events", event, EVENT)
        if answer:
            self.events.append(answer["event"])
        run = {"action": "ledger.write_once", "parameters": {"ledger": self.ledger}}
        answer = self.request(client, "/api/v1/executions?wait=10s", run,
                              {"Idempotency-Key": str(self.count)})
        if answer:
            self.runs.append(answer["id"])

    def request(self, client, path, body, headers):
        try:
            status, _, answer = client.request("POST", path, body, headers, timeout=20)
        except OSError:
            self.statuses.append(None)
            return None
        self.statuses.append(status)
        return answer["data"] if status in (200, 201, 202) else None

    def send_all(self):
        for _ in range(REQUESTS):
            self.send()
            if None in self.statuses:
                return

    def check(self):
        """Of a clean server: all that was acknowledged is there and ran at most once."""
        client = self.server.client()
        for event in self.events:
            client.data("GET", f"/api/v1/events/{event}")
        for run in self.runs:
            until(f"{run} has ended", lambda run=run: client.data(
                "GET", f"/api/v1/executions/{run}")["status"] in ("succeeded", "needs_decision"))
        lines = collections.Counter()
        if os.path.exists(self.ledger):
            with open(self.ledger, encoding="utf-8") as file:
                lines.update(line.split()[0] for line in file)
        assert all(n == 1 for n in lines.values()), f"an at_most_once action ran twice: {lines}"
        for run in self.runs:
            if client.data("GET", f"/api/v1/executions/{run}")["status"] == "succeeded":
                assert lines[run] == 1, f"{run} succeeded and left no line"


def starting(server, work, trace):
    """In an empty folder: it comes up and takes work, or it ends by itself."""
    def ready_or_ended():
        try:
            return server.is_ready()
        except AssertionError:
            return server.has_ended()
    server.start(prefix=trace.command, ready=False)
    until("ready, or ended", ready_or_ended, 20)
    if not server.has_ended():
        work.send_all()


def serving(server, work, trace):
    server.start()
    work.send()  # what a start still writes is written
    with trace.attached(server):
        work.send_all()


def one_run(part, call, error, number, check):
    """Whether the fault struck; and the calls of the busiest thread."""
    with Server(settings={"log.level": "warn"}) as server, \
         deadline(ROUND_SECONDS, f"{part.__name__}, {call} {error} N={number}"):
        trace = Trace(server, call, error, number)
        work = Work(server)
        part(server, work, trace)
        if SHOW:
            print(f"    {part.__name__} {call} {error} N={number}: {work.statuses}",
                  *trace.injected(), sep="\n      ", flush=True)
        if trace.struck_store():
            check(server, work, number)
        server.kill(spawner=number % 2 == 0)
        server.start()
        work.check()
        server.stop()
        server.doctor()
        return bool(trace.injected()), trace.most_calls()


def sweep(part, call, error, check):
    began = time.monotonic()
    _, calls = one_run(part, call, None, 0, check)
    assert calls > 0, f"{part.__name__}: no thread calls {call}"
    step = STEP if call == "pwrite64" else 1
    struck = 0
    for number in range(1, calls + 1, step):
        struck += one_run(part, call, error, number, check)[0]
    assert struck > 0, f"{part.__name__}, {call} {error}: the fault never struck"
    print(f"  {part.__name__}, {call} {error}: {calls} calls, struck in {struck} runs "
          f"({time.monotonic() - began:.0f} s)", flush=True)


def ends(server, work, number):
    until(f"N={number}: the server has ended after EIO: {work.statuses}", server.has_ended, 10)
    assert server.process.returncode != 0, f"N={number}: ended as if nothing was"


def refuses_and_recovers(server, work, number):
    assert server.alive(), f"N={number}: the server ended on a full disk: {work.statuses}"
    assert set(work.statuses) <= {200, 201, 202, 503}, f"N={number}: {work.statuses}"

    def takes_again():
        work.send()
        return work.statuses[-2] == 202 and work.statuses[-1] in (200, 201, 202)
    until(f"N={number}: space is back, and it takes work again", takes_again, 10, 0.5)


def may_end(server, work, number):
    """While starting; what it has acknowledged is judged later."""
    assert set(work.statuses) <= {200, 201, 202, 503, None}, f"N={number}: {work.statuses}"


def eio_at_the_nth_fdatasync_ends_the_server():
    sweep(serving, "fdatasync", "EIO", ends)


def eio_at_the_nth_pwrite_ends_the_server():
    sweep(serving, "pwrite64", "EIO", ends)


def enospc_at_the_nth_fdatasync_is_503_until_space_returns():
    sweep(serving, "fdatasync", "ENOSPC", refuses_and_recovers)


def enospc_at_the_nth_pwrite_is_503_until_space_returns():
    sweep(serving, "pwrite64", "ENOSPC", refuses_and_recovers)


def a_disk_that_stays_full_is_503_with_retry_after_and_reads_go_on():
    with Server(settings={"log.level": "warn"}) as server, deadline(ROUND_SECONDS, "full disk"):
        server.start()
        work = Work(server)
        work.send()
        client = server.client()
        with Trace(server, "pwrite64", "ENOSPC", "1+").attached(server):
            until("the disk is full", lambda: work.send() or work.statuses[-1] == 503, 10)
            over = time.monotonic() + 2.5  # it looks whether there is space every second
            while time.monotonic() < over:
                event = json.dumps(cloud_event("full", str(time.monotonic())))
                status, headers, problem = client.request("POST", "/api/v1/events", event, EVENT)
                assert status == 503 and int(headers["Retry-After"]) > 0, (status, headers, problem)
                assert client.data("GET", f"/api/v1/events/{work.events[0]}")
                time.sleep(0.05)
            assert client.data("GET", "/info")["read_only"] is True
            stored = [e["source"] for e in client.data("GET", "/api/v1/events?limit=200")]
            assert "full" not in stored, f"refused, and stored: {stored}"
        refuses_and_recovers(server, work, 0)
        server.kill()
        server.start()
        work.check()
        server.stop()
        server.doctor()


def a_start_that_is_struck_comes_up_or_ends_and_the_next_one_works():
    for call in ("fdatasync", "pwrite64"):
        for error in ("EIO", "ENOSPC"):
            sweep(starting, call, error, may_end)


if __name__ == "__main__":
    if shutil.which("strace") is None:
        print("strace is missing: ./dev setup")
        sys.exit(1)
    sys.exit(run_cases([
        eio_at_the_nth_fdatasync_ends_the_server,
        eio_at_the_nth_pwrite_ends_the_server,
        enospc_at_the_nth_fdatasync_is_503_until_space_returns,
        enospc_at_the_nth_pwrite_is_503_until_space_returns,
        a_disk_that_stays_full_is_503_with_retry_after_and_reads_go_on,
        a_start_that_is_struck_comes_up_or_ends_and_the_next_one_works,
    ]))
