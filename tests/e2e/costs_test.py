#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one event costs beside computing: thread changes, writes and syncs, counted by strace.

Counts, not times: they are the same on a busy machine. Events come one after the other, so that
each is a commit of its own. docs/performance.md says what the same costs under load.
"""
import json
import shutil
import sys

from faults_test import EVENT, Trace
from harness import Server, cloud_event, run_cases

EVENTS = 200
# An event may meet a routine of the server, such as a sweep.
SLACK = 0.1


def an_event_changes_threads_once_each_way_and_is_one_write_and_one_sync():
    server = Server()
    trace = Trace(server, "futex,epoll_ctl,fdatasync,fsync,pwrite64")
    server.start()
    client = server.client()

    def send(number):
        client.data("POST", "/api/v1/events", json.dumps(cloud_event("costs", str(number))), EVENT)

    for number in range(20):  # what a start still does is done
        send(number)
    with trace.attached(server):
        for number in range(20, 20 + EVENTS):
            send(number)
    lines = trace.lines()
    server.stop()

    def per_event(*parts):
        begun = [line for line in lines if "(" in line and "resumed>" not in line]
        return sum(all(part in line for part in parts) for line in begun) / EVENTS

    # A wake-up of somebody returns how many, a wait 0.
    woken = sum("futex" in line and line.endswith("= 1") for line in lines)
    counts = {
        "wakes another thread": woken / EVENTS,
        "wakes the loop": per_event("epoll_ctl(", "EPOLL_CTL_MOD"),  # Asio's way to end a wait
        "writes the log": per_event("pwrite64(", "millrace.db-wal"),
        "syncs": per_event("sync("),
    }
    assert counts["syncs"] >= 1, f"nothing is durable: {counts}"
    for what, count in counts.items():
        # Asio wakes its loop with its lock held: the loop may wait for that, and is woken again.
        most = 2 if what == "wakes another thread" else 1
        assert count <= most + SLACK, f"an event {what} {count} times: {counts}"


if __name__ == "__main__":
    if shutil.which("strace") is None:
        print("strace is missing: ./dev setup")
        sys.exit(1)
    sys.exit(run_cases([
        an_event_changes_threads_once_each_way_and_is_one_write_and_one_sync,
    ]))
