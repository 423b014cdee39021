#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three servers that decide, and one agent with its session at one of them: it runs what all three
have, never more than it has slots, and what may run once runs once, whoever is killed."""
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import servers_test  # noqa: E402
from agent_test import Agent  # noqa: E402
from harness import Client, Postgres, run_cases, steady_port, until  # noqa: E402

SLOTS = 2
RUNS = 60
ACTION = """ref: far.{name}
runner_type: shell
entry_point: run.sh
runs_on: [far]
effect_class: {effect}
output_format: text
parameters:
  ledger: {{type: string}}
"""
SCRIPT = r"""#!/bin/sh
ledger=$(sed -n 's/.*"ledger": *"\([^"]*\)".*/\1/p')
echo "begin $MILLRACE_EXEC_ID" >> "$ledger"
sleep 0.2
echo "end $MILLRACE_EXEC_ID" >> "$ledger"
"""


class Site:
    """The agent's home is the second of three servers."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-permits-"))
        (self.folder / "pack/actions").mkdir(parents=True)
        (self.folder / "pack/pack.yaml").write_text("ref: far\nversion: 1.0.0\n")
        for name, effect in (("once", "at_most_once"), ("again", "idempotent")):
            (self.folder / f"pack/actions/{name}.yaml").write_text(
                ACTION.format(name=name, effect=effect))
        (self.folder / "pack/actions/run.sh").write_text(SCRIPT)
        self.cluster = servers_test.Cluster(*["api,executor,worker"] * 3, settings={
            "log.level": "info", "agents.session_ttl_ms": 3000})
        self.owner, self.home, self.third = self.cluster.servers
        self.home.settings |= {"server.port": steady_port(), "grpc.port": steady_port()}
        for server in self.cluster.servers:
            server.packs = (self.folder / "pack",)
        self.cluster.__enter__()
        shutil.copy(self.owner.data / "admin.token", self.home.data / "admin.token")
        self.ledger = self.folder / "ledger"
        self.agent = Agent(self.home, "a", self.folder, slots=SLOTS).start()
        return self

    def __exit__(self, *_):
        self.agent.stop()
        self.cluster.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, server):
        return Client(server.url(), self.cluster.token)

    def start(self, number, action=None):
        """In shards of each server in turn."""
        server = self.cluster.servers[number % 3]
        action = action or ("once", "again")[number // 3 % 2]
        with contextlib.closing(self.client(server)) as client:
            return client.data("POST", "/api/v1/executions", {
                "action": f"far.{action}", "parameters": {"ledger": str(self.ledger)}})["id"]

    def row(self, execution):
        with contextlib.closing(self.client(self.third)) as client:
            return client.data("GET", f"/api/v1/executions/{execution}")

    def lines(self, word):
        if not self.ledger.exists():
            return []
        return [line.split()[1] for line in self.ledger.read_text().splitlines()
                if line.startswith(word)]

    def most_at_once(self):
        now = most = 0
        for line in self.ledger.read_text().splitlines():
            now += 1 if line.startswith("begin") else -1
            most = max(most, now)
        return most

    def all_end(self, executions, seconds=180):
        left = set(executions)

        def ended():
            for each in list(left):
                if self.row(each)["status"] in ("succeeded", "failed", "needs_decision"):
                    left.discard(each)
            return not left
        until("all have ended", ended, seconds, 0.3)
        rows = [self.row(each) for each in executions]
        bad = [(row["id"], row["status"], row.get("held")) for row in rows
               if row["status"] != "succeeded"]
        assert not bad, bad
        begun = self.lines("begin")
        for row in rows:
            times = begun.count(row["id"])
            assert times == 1 or (row["action"] == "far.again" and times >= 1), (row["id"], times)
        assert self.most_at_once() <= SLOTS, self.most_at_once()


def an_agent_of_one_server_runs_what_all_decide():
    with Site() as site:
        started = time.monotonic()
        runs = [site.start(number) for number in range(RUNS)]
        site.all_end(runs)
        took = time.monotonic() - started
        print(f"{RUNS} runs of 0.2 s in {SLOTS} slots: {took:.1f} s", flush=True)
        shards = {s["name"]: s["shards"] for s in site.cluster.list(site.owner)}
        assert all(20 <= n <= 22 for n in shards.values()), shards


def who_waits_says_which_agent_at_which_server_is_busy():
    with Site() as site:
        runs = [site.start(number, "again") for number in range(12)]
        want = "waits for a slot: 2 slots of 1 worker are taken (a at server n2)"
        until("it says why", lambda: any(
            site.row(each).get("held") == want for each in runs))
        site.all_end(runs)


def an_owner_is_killed_in_the_middle():
    with Site() as site:
        runs = [site.start(number) for number in range(RUNS)]
        until("some have ended", lambda: len(site.lines("end")) >= 10)
        site.owner.kill(spawner=True)
        site.all_end(runs)


def the_home_is_killed_in_the_middle():
    with Site() as site:
        runs = [site.start(number) for number in range(RUNS)]
        until("some have ended", lambda: len(site.lines("end")) >= 10)
        os.kill(site.home.pid(), signal.SIGKILL)
        site.home.process.wait(timeout=60)
        site.home.start()
        site.all_end(runs)


def a_home_that_drains_hands_nothing_out():
    with Site() as site:
        other = Agent(site.owner, "b", site.folder, slots=SLOTS).start()
        try:
            runs = [site.start(number) for number in range(24)]
            until("some have ended", lambda: len(site.lines("end")) >= 6)
            site.home.process.terminate()
            site.home.process.wait(timeout=60)
            site.home.start()
            left = set(runs)
            until("all have ended", lambda: not left.difference_update(
                each for each in list(left) if site.row(each)["status"] == "succeeded") and not left,
                120, 0.3)
            begun = site.lines("begin")
            assert sorted(begun) == sorted(runs), "one has run twice"
        finally:
            other.stop()


CASES = [
    an_agent_of_one_server_runs_what_all_decide,
    who_waits_says_which_agent_at_which_server_is_busy,
    an_owner_is_killed_in_the_middle,
    the_home_is_killed_in_the_middle,
    a_home_that_drains_hands_nothing_out,
]

if __name__ == "__main__":
    with Postgres(fsync="off") as postgres:
        servers_test.POSTGRES = postgres
        sys.exit(run_cases(CASES))
