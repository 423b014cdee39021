#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the server, or of server and spawner, at random moments under load.

After all rounds a ledger tells: nothing accepted is lost, nothing ran twice that must not.
`--rounds N` (default 200), `--seed N` repeats a run; the seed is printed.
"""
import collections
import json
import random
import sys
import threading
import time

from harness import Client, Server, argument, cloud_event, everything, rule, run_cases, until


ROUNDS = argument("--rounds", 200)
SEED = argument("--seed", random.SystemRandom().randrange(1 << 30))
EVENT = "application/cloudevents+json"
FINAL = {"succeeded", "failed", "timeout", "canceled", "abandoned"}


class Load(threading.Thread):
    """Sends events and runs until the server is gone; keeps what was acknowledged."""

    def __init__(self, server, number, ledger, accepted):
        super().__init__(daemon=True)
        self.client = Client(server.url(), server.token())
        self.number = number
        self.ledger = ledger
        self.accepted = accepted
        self.stop = False

    def run(self):
        count = 0
        while not self.stop:
            count += 1
            try:
                self.send(f"{self.number}-{count}", count % 3 == 0)
            except OSError:
                return

    def send(self, key, is_run):
        if is_run:
            body = {"action": "ledger.write_once", "parameters": {"ledger": self.ledger}}
            status, _, answer = self.client.request(
                "POST", "/api/v1/executions", body, {"Idempotency-Key": key})
            if status in (200, 201, 202):
                self.accepted["runs"][key] = answer["data"]["id"]
            return
        body = json.dumps(cloud_event("load", key))
        status, _, answer = self.client.request(
            "POST", "/api/v1/events", body, {"Content-Type": EVENT})
        if status == 202:
            self.accepted["events"][key] = answer["data"]["event"]


def one_round(server, chance, number, ledger, accepted):
    server.start()
    loads = [Load(server, f"{number}-{i}", ledger, accepted) for i in range(4)]
    for load in loads:
        load.start()
    time.sleep(chance.uniform(0.0, 0.25))
    server.kill(spawner=chance.random() < 0.4)
    for load in loads:
        load.stop = True
        load.join(30)


def settled(client):
    return not [e for e in everything(client, "/api/v1/executions?open=true")
                if e["status"] != "needs_decision"]


def check_ledger(client, ledger, accepted):
    executions = {e["id"]: e for e in everything(client, "/api/v1/executions")}
    lines = collections.Counter()
    with open(ledger, encoding="utf-8") as file:
        for line in file:
            execution, attempt = line.split()
            lines[execution, int(attempt)] += 1
    events = {e["id"] for e in everything(client, "/api/v1/events")}
    per_event = collections.Counter(
        n["event"] for n in everything(client, "/api/v1/enforcements"))
    for key, event in accepted["events"].items():
        assert event in events, f"event {event} ({key}) was acknowledged and is lost"
        assert per_event[event] == 1, f"event {event}: {per_event[event]} enforcements, expected 1"
    for key, execution in accepted["runs"].items():
        assert execution in executions, f"execution {execution} ({key}) was acknowledged and is lost"
    for row in executions.values():
        attempts = {a: n for (e, a), n in lines.items() if e == row["id"]}
        assert all(n == 1 for n in attempts.values()), f"{row['id']}: one attempt ran twice: {attempts}"
        once = row["action"] == "ledger.write_once"
        if once:
            assert len(attempts) <= 1, f"{row['id']} is at_most_once and ran as {attempts}"
        if row["status"] == "needs_decision":
            assert once, f"{row['id']} may be re-run and needs a decision"
        else:
            assert row["status"] == "succeeded", row
            assert attempts, f"{row['id']} succeeded and left no line"
    return executions


def nothing_is_lost_and_nothing_runs_twice():
    chance = random.Random(SEED)
    accepted = {"events": {}, "runs": {}}
    with Server(settings={"log.level": "warn", "worker.slots": 4}) as server:
        ledger = str(server.home / "ledger")
        open(ledger, "w", encoding="utf-8").close()
        server.start()
        server.client().data("POST", "/api/v1/rules",
                             rule("ledger.on_event", "ledger.write_again", {"ledger": ledger}))
        server.kill()
        for number in range(ROUNDS):
            one_round(server, chance, number, ledger, accepted)
            if number % 50 == 49:
                server.doctor()
        server.start()
        client = server.client()
        until("all executions have ended", lambda: settled(client), 600, 0.5)
        executions = check_ledger(client, ledger, accepted)
        server.stop()
        server.doctor()
        undecided = sum(e["status"] == "needs_decision" for e in executions.values())
        print(f"{ROUNDS} rounds, seed {SEED}: {len(accepted['events'])} events and "
              f"{len(accepted['runs'])} runs acknowledged, {len(executions)} executions, "
              f"{undecided} need a decision, {sum(e['attempt'] > 1 for e in executions.values())} "
              f"ran again", flush=True)
        assert accepted["events"] and accepted["runs"], "no load got through: the test says nothing"


if __name__ == "__main__":
    print(f"seed {SEED}", flush=True)
    sys.exit(run_cases([nothing_is_lost_and_nothing_runs_twice]))
