#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disk faults on the real binary: EIO and ENOSPC at the Nth fdatasync and pwrite64, N swept until a
run ends without the fault having struck. strace injects; it counts the calls of each thread.

ENOSPC: the request gets 503, the server lives and takes the next one. EIO: the process exits.
After a clean restart everything that was acknowledged is there. `--step N` sweeps every Nth.
"""
import json
import shutil
import sys
import time

from harness import Server, cloud_event, run_cases

EVENTS = 6
STEP = int(sys.argv[sys.argv.index("--step") + 1]) if "--step" in sys.argv else 1
EVENT = {"Content-Type": "application/cloudevents+json"}


def send(client, key):
    """The status of one event, or None when the server is gone; and its id."""
    try:
        status, _, answer = client.request(
            "POST", "/api/v1/events", json.dumps(cloud_event("fault", key)), EVENT, timeout=20)
    except OSError:
        return None, None
    return status, answer["data"]["event"] if status == 202 else None


def one_run(call, error, number):
    """Whether the fault struck, the statuses of the requests (None: it struck beside the store),
    and whether the server was alive at the end."""
    with Server(packs=(), settings={"log.level": "warn"}) as server:
        trace = server.home / "strace.log"
        prefix = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-e", f"trace={call}",
                  "-e", f"inject={call}:error={error}:when={number}"]
        statuses, acknowledged = [], []
        try:
            server.start(prefix=prefix)
            client = server.client()
            for i in range(EVENTS):
                status, event = send(client, f"{number}-{i}")
                statuses.append(status)
                if event:
                    acknowledged.append(event)
                elif status == 503:
                    time.sleep(1.2)  # a full disk is tried again once a second
            if statuses[-1] == 503:  # the last one was hit: the next must pass
                statuses.append(send(client, f"{number}-after")[0])
        except AssertionError:
            statuses.append(None)  # the fault struck before the server was ready
        alive = server.alive()
        server.kill(spawner=True)  # strace ends with the last process that it traces
        injected = [line for line in trace.read_text(errors="replace").splitlines()
                    if "INJECTED" in line]
        struck = bool(injected)
        if "--show" in sys.argv:
            print(f"    {call} {error} N={number}: {statuses}", *injected, sep="\n      ")
        server.start()
        client = server.client()
        for event in acknowledged:
            status, _, answer = client.request("GET", f"/api/v1/events/{event}")
            assert status == 200, f"{call} {error} {number}: acknowledged event {event} is lost: {answer}"
        server.stop()
        server.doctor()
        # SQLite does not mind a failed sync of the folder or at the close of a connection.
        in_store = any("/millrace.db-wal" in line for line in injected)
        return struck, statuses if in_store or not struck else None, alive


def sweep(call, error, check):
    struck_runs = 0
    number = 1
    while True:
        struck, statuses, alive = one_run(call, error, number)
        if not struck:
            break
        struck_runs += 1
        if statuses is not None:
            check(number, alive, statuses)
        number += STEP
    assert struck_runs > 0, f"{call} {error}: the fault never struck"
    print(f"  {call} {error}: struck in {struck_runs} runs", flush=True)


def eio_exits(number, alive, statuses):
    assert None in statuses, f"N={number}: the server went on after EIO: {statuses}"


def enospc_is_503_and_passes(number, alive, statuses):
    if None in statuses:
        return  # while starting: it says so and ends
    assert alive, f"N={number}: the server ended: {statuses}"
    bad = [s for s in statuses if s not in (202, 503)]
    assert not bad, f"N={number}: {statuses}"
    assert statuses[-1] == 202, f"N={number}: space is back, and it stays read-only: {statuses}"


def eio_at_the_nth_fdatasync_ends_the_process():
    sweep("fdatasync", "EIO", eio_exits)


def enospc_at_the_nth_fdatasync_is_503_until_space_returns():
    sweep("fdatasync", "ENOSPC", enospc_is_503_and_passes)


def eio_at_the_nth_pwrite_loses_nothing():
    sweep("pwrite64", "EIO", lambda number, alive, statuses: None)


def enospc_at_the_nth_pwrite_is_503_until_space_returns():
    sweep("pwrite64", "ENOSPC", enospc_is_503_and_passes)


if __name__ == "__main__":
    if shutil.which("strace") is None:
        print("strace is missing: ./dev setup")
        sys.exit(1)
    sys.exit(run_cases([
        eio_at_the_nth_fdatasync_ends_the_process,
        enospc_at_the_nth_fdatasync_is_503_until_space_returns,
        eio_at_the_nth_pwrite_loses_nothing,
        enospc_at_the_nth_pwrite_is_503_until_space_returns,
    ]))
