#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sensors of several servers of one PostgreSQL: each runs on one, moves when that dies or leaves,
and never on two at once. Each server answers for all of them."""
import signal
import os
import sys
import time

import servers_test
from harness import Postgres, run_cases, until
from sensors_test import write

ROLES = "api,executor,worker,sensor"
NAMES = [f"eye{number}" for number in range(6)]
# Who cannot have its lock says so: another process of the same sensor lives.
SENSOR = """
import fcntl, os, time
from st2reactor.sensor.base import Sensor
class Eye(Sensor):
    def setup(self):
        self.lock = open({folder!r} + "/{name}.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            open({folder!r} + "/twice", "a").write("{name}\\n")
    def run(self):
        while True:
            self.sensor_service.dispatch("{name}.seen", {{"pid": os.getpid()}})
            time.sleep(0.2)
    def cleanup(self): os._exit(0)
    def add_trigger(self, trigger): pass
    def update_trigger(self, trigger): pass
    def remove_trigger(self, trigger): pass
"""


def cluster_of(count):
    cluster = servers_test.Cluster(*[ROLES] * count)
    folder = cluster.servers[0].home / "packs"
    for name in NAMES:
        write(folder / name, {
            "pack.yaml": f"name: {name}\nversion: 1.0.0\n",
            "sensors/eye.yaml": "class_name: Eye\nentry_point: eye.py\n"
                                "trigger_types: [{name: seen}]\n",
            "sensors/eye.py": SENSOR.format(folder=str(folder.parent), name=name)})
    for server in cluster.servers:
        server.packs = (folder,)
    return cluster


def seen(cluster, server):
    with_rows = cluster.client(server)
    return {row["ref"]: row for row in with_rows.data("GET", "/api/v1/sensors")}


def one_of_two_runs_each_and_it_moves():
    with cluster_of(2) as cluster:
        first, second = cluster.servers
        home = first.home
        until("each runs on one of them", lambda: all(
            cluster.client(server).data("GET", f"/api/v1/sensors/{name}.Eye")["state"] == "running"
            for name in NAMES for server in cluster.servers), 90, 0.3,
            lambda: str([seen(cluster, server) for server in cluster.servers]))
        of_first, of_second = seen(cluster, first), seen(cluster, second)
        assert {row["server"] for row in of_first.values()} == {"n1", "n2"}, of_first
        for ref, row in of_first.items():
            other = of_second[ref]
            assert row["server"] == other["server"], (row, other)
            assert {row["state"], other["state"]} == {"running", "elsewhere"}, (row, other)
        # What is asked of one that does not run it, the other answers.
        ref = next(ref for ref, row in of_first.items() if row["server"] == "n2")
        client = cluster.client(first)
        lines = client.data("GET", f"/api/v1/sensors/{ref}/logs")
        assert any("is started" in line["text"] for line in lines), lines
        client.data("POST", f"/api/v1/sensors/{ref}/restart")
        until("it was started again", lambda: client.data(
            "GET", f"/api/v1/sensors/{ref}")["starts"] == 2, 60, 0.2)
        until("it runs again", lambda: client.data(
            "GET", f"/api/v1/sensors/{ref}")["state"] == "running", 60, 0.2)

        os.kill(second.pid(), signal.SIGKILL)
        second.process.wait(timeout=60)
        until("all run on the first", lambda: all(
            row["state"] == "running" for row in seen(cluster, first).values()), 90, 0.3,
            lambda: str(seen(cluster, first)))
        before = len(client.data("GET", f"/api/v1/events?trigger={ref[:-4]}.seen&limit=500"))
        until("it is heard again", lambda: len(client.data(
            "GET", f"/api/v1/events?trigger={ref[:-4]}.seen&limit=500")) > before, 60, 0.2)
        assert not (home / "twice").exists(), (home / "twice").read_text()

        # The other comes back and gets its share; then the first leaves.
        second.start()
        until("it has its share", lambda: {row["server"] for row in seen(
            cluster, first).values()} == {"n1", "n2"} and all(
            cluster.client(second).data("GET", f"/api/v1/sensors/{name}.Eye")["state"] == "running"
            for name in NAMES), 90, 0.3, lambda: str([seen(cluster, s) for s in cluster.servers]))
        began = time.monotonic()
        assert first.stop() == 0
        until("all run on the second", lambda: all(
            row["state"] == "running" for row in seen(cluster, second).values()), 90, 0.3,
            lambda: str(seen(cluster, second)))
        print(f"     moved {time.monotonic() - began:.1f} s after SIGTERM")
        assert not (home / "twice").exists(), (home / "twice").read_text()


if __name__ == "__main__":
    with Postgres(fsync="off") as servers_test.POSTGRES:
        sys.exit(run_cases([one_of_two_runs_each_and_it_moves]))
