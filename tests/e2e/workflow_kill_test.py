#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the server, or of server and spawner, while workflows of every shape are under way.

At the end each workflow has the status and the output that its graph says, and its ledger tells
that each step ran as often as the graph says. `--rounds N` (default 150), `--seed N` repeats a run.
"""
import collections
import pathlib
import random
import sys
import threading
import time

from harness import Server, argument, everything, run_cases, until

ROUNDS = argument("--rounds", 150)
SEED = argument("--seed", random.SystemRandom().randrange(1 << 30))
PER_ROUND = 4
CANCELED = ("canceled", "recalled")
PAUSED = ("sequence", "items", "above", "cycle", "saga", "asking_below", "settled")
UNDONE_BY = {"flows.canceled": {"book": "unbook", "pay": "refund"},
             "flows.recalled": {"below": "recall", "last": "unlast"}}
FINAL = {"succeeded", "failed", "timeout", "canceled", "abandoned"}

# shape: (final status, output, {step: executions})
SHAPES = {
    "sequence": ("succeeded", {"said": "first"}, {"first": 1, "second": 1, "third": 1}),
    "fork": ("succeeded", {"met": "left_right"}, {"left": 1, "right": 1, "left_right": 1}),
    "items": ("succeeded", {"all": list("abcde")}, {**dict.fromkeys("abcde", 1), "last": 1}),
    "again": ("succeeded", {"said": "flaky"}, {"flaky": 2, "after": 1}),
    "above": ("succeeded", {"met": "left_right"},
              {"before": 1, "left": 1, "right": 1, "left_right": 1, "after": 1}),
    "cycle": ("succeeded", {"turns": 3}, {"turn1": 1, "turn2": 1, "turn3": 1}),
    "approval": ("succeeded", {"answer": True}, {"before": 1, "beside": 1, "after": 1}),
    "pausing": ("succeeded", {"done": True}, {"before": 1, "after": 1}),
    "saga": ("failed", None, {"book": 1, "pay": 1, "ship": 1, "refund": 2, "unbook": 1}),
    "chain": ("succeeded", None, {"first": 1, "second": 1}),
    "patience": ("succeeded", None, {"late": 1}),
    "settled": ("succeeded", {"good": "up", "bad": "down"}, {"good": 1, "bad": 1, "tell": 1}),
    "asking_below": ("succeeded", None, {"before": 1, "after": 1, "last": 1}),
    "held": ("succeeded", None, {"risky": 2, "after": 1}),
    # What becomes of these depends on who was first: the test cancels them.
    "canceled": (None, None, None),
    "recalled": (None, None, None),
}


class People(threading.Thread):
    """Starts workflows, answers, decides, cancels, pauses, resumes, until the server is gone."""

    def __init__(self, server, seed, starts, known):
        super().__init__(daemon=True)
        self.client = server.client()
        self.ledgers = server.home / "ledgers"
        self.chance = random.Random(seed)
        self.starts = starts
        self.known = known
        self.to_cancel = []
        self.mine = []  # may be paused
        self.fault = None
        self.stop = False

    def run(self):
        try:
            for shape, key in self.starts:
                self.start_one(shape, key)
            while not self.stop:
                self.answer()
                self.decide()
                self.cancel()
                self.pause_or_resume()
                time.sleep(0.02)
        except OSError:
            return
        except AssertionError as error:
            self.fault = error

    def start_one(self, shape, key):
        body = {"action": f"flows.{shape}", "parameters": {"ledger": str(self.ledgers / key)}}
        execution = self.client.data("POST", "/api/v1/executions", body,
                                     {"Idempotency-Key": key})["id"]
        self.known["started"][execution] = shape
        if shape in PAUSED:
            self.mine.append(execution)
        if shape in CANCELED:
            self.to_cancel.append((time.monotonic() + self.chance.uniform(0, 0.6), execution))

    def answer(self):
        for inquiry in everything(self.client, "/api/v1/inquiries?status=pending"):
            if self.chance.random() < 0.3:
                continue  # some questions wait over several deaths of the server
            path = f"/api/v1/inquiries/{inquiry['id']}/answer"
            body = {"response": {"yes_or_no": True}}
            status, _, answer = self.client.request("POST", path, body)
            assert status in (200, 409), answer
            status, _, answer = self.client.request("POST", path, body)
            assert status == 409, f"inquiry {inquiry['id']} was answered twice: {status} {answer}"

    def decide(self):
        for row in everything(self.client, "/api/v1/executions?status=needs_decision"):
            assert row["action"] == "flows.held", f"nothing else waits for a decision: {row}"
            status, _, answer = self.client.request(
                "POST", f"/api/v1/executions/{row['id']}/resolve", {"decision": "retry"})
            assert status in (200, 202, 409), answer

    def cancel(self):
        for entry in [e for e in self.to_cancel if e[0] < time.monotonic()]:
            self.to_cancel.remove(entry)
            path = f"/api/v1/executions/{entry[1]}/cancel"
            status, _, answer = self.client.request("POST", path)
            assert status in (200, 202, 409), answer
            self.known["canceled"][entry[1]] = status

    def pause_or_resume(self):
        """Pauses one at a time; the next of these threads resumes it when this one could not."""
        paused = self.known["paused"]
        if paused:
            status, _, answer = self.client.request("POST", f"/api/v1/executions/{paused[0]}/resume")
            paused.pop()
        elif self.mine and self.chance.random() < 0.3:
            paused.append(self.chance.choice(self.mine))
            status, _, answer = self.client.request("POST", f"/api/v1/executions/{paused[0]}/pause")
            self.known["pauses"] += status == 202
        else:
            return
        assert status in (202, 409), answer

    def end(self):
        self.stop = True
        self.join(60)
        self.client.close()
        if self.fault:
            raise self.fault


def one_round(server, chance, number, known):
    server.start()
    shapes = [chance.choice(list(SHAPES)) for _ in range(PER_ROUND)]
    people = People(server, chance.randrange(1 << 30),
                    [(shape, f"{number}-{i}-{shape}") for i, shape in enumerate(shapes)], known)
    people.start()
    time.sleep(chance.uniform(0.02, 0.6))
    server.kill(spawner=number % 3 == 2)
    people.end()


def lines_of(ledger):
    """{step: {execution: attempts that left a line}}"""
    lines = collections.defaultdict(lambda: collections.defaultdict(list))
    if ledger.exists():
        for line in ledger.read_text().splitlines():
            name, execution, attempt = line.split()
            lines[name][execution].append(int(attempt))
    return lines


def check_steps(tree, ledger):
    """What holds for every shape: an attempt leaves one line, and no more than the rows tell."""
    lines = lines_of(ledger)
    rows = {row["id"]: row for row in tree if row["action"] == "flows.step"}
    for name, runs in lines.items():
        for execution, attempts in runs.items():
            assert execution in rows, f"'{name}' ran as {execution}, which is no step of it"
            assert len(set(attempts)) == len(attempts), f"'{name}': an attempt ran twice: {attempts}"
            assert max(attempts) <= rows[execution]["attempt"], f"'{name}': {attempts}"
    seen = {execution for runs in lines.values() for execution in runs}
    for row in rows.values():
        if row["status"] in ("succeeded", "failed"):
            assert row["id"] in seen, f"{row['task']} {row['status']} and left no line"
    return {name: len(runs) for name, runs in lines.items()}, rows.values()


def check_canceled(tree, counts, answered):
    """`tree`: the newest first. Of each workflow in it that was cancelled, what was done is undone;
    of one that succeeded nothing is."""
    root = tree[-1]
    if answered in (200, 202):
        assert root["status"] == "canceled", "its cancel was accepted"
    elif answered == 409:
        assert root["status"] == "succeeded", "its cancel was refused: it was final"
    tasks = collections.Counter(row["task"] for row in tree if "task" in row)
    assert all(n == 1 for n in tasks.values()), f"a step has two executions: {tasks}"
    done = {row["task"] for row in tree if "task" in row and row["status"] == "succeeded"}
    for workflow in (row for row in tree if row["action"].removeprefix("flows.") in CANCELED):
        assert workflow["status"] in ("succeeded", "canceled"), workflow
        for task, undo in UNDONE_BY[workflow["action"]].items():
            expected = int(workflow["status"] == "canceled" and task in done)
            assert tasks[undo] == expected, f"'{undo}' has {tasks[undo]} executions, not {expected}"
            assert counts.get(undo, 0) == expected, f"'{undo}' ran {counts.get(undo, 0)} times"


def check_workflow(client, root, tree, known):
    workflow = client.data("GET", f"/api/v1/executions/{root}")
    shape = workflow["action"].removeprefix("flows.")
    status, output, steps = SHAPES[shape]
    counts, rows = check_steps(tree, pathlib.Path(workflow["parameters"]["ledger"]))
    if shape in CANCELED:
        return check_canceled(tree, counts, known["canceled"].get(root))
    assert workflow["status"] == status, f"{workflow['status']}: {workflow.get('result')}"
    if output is not None:
        assert workflow["result"]["output"] == output, workflow["result"]
    assert counts == steps, f"its steps ran {counts}, expected {steps}"
    assert len(rows) == sum(steps.values()), [(row["task"], row["id"]) for row in rows]


def check_all(client, known):
    trees = collections.defaultdict(list)
    for row in everything(client, "/api/v1/executions"):
        trees[row["root"]].append(row)
    for execution, shape in known["started"].items():
        assert execution in trees, f"{shape} {execution} was acknowledged and is lost"
    for root, tree in trees.items():
        for row in tree:
            assert row["status"] in FINAL, f"{row['id']} {row['action']} is {row['status']}"
        try:
            check_workflow(client, root, tree, known)
        except AssertionError as error:
            shown = "\n".join(f"  {r['id']} {r['action']} {r.get('task', '')} {r['status']} "
                              f"attempt {r['attempt']}" for r in reversed(tree))
            raise AssertionError(f"workflow {root}: {error}\n{shown}") from error
    return trees


def settled(client, people):
    if people.fault:
        raise people.fault
    return not everything(client, "/api/v1/executions?open=true")


def finish(server, seed, known):
    """Lets everything come to its end."""
    server.start()
    client = server.client()
    people = People(server, seed, [], known)
    people.start()
    try:
        until("all workflows have ended", lambda: settled(client, people), 120, 0.2)
    except AssertionError as error:
        rows = everything(client, "/api/v1/executions?open=true")
        shown = "\n".join(f"  {r['id']} root {r['root']} {r['action']} {r.get('task', '')} "
                          f"{r['status']} {r.get('held', '')}" for r in reversed(rows))
        raise AssertionError(f"{error}\n{shown}") from error
    people.end()
    return client


def each_step_runs_as_often_as_the_graph_says():
    chance = random.Random(SEED)
    known = {"started": {}, "canceled": {}, "paused": [], "pauses": 0}
    with Server(settings={"log.level": "warn", "worker.slots": 4}) as server:
        (server.home / "ledgers").mkdir()
        for number in range(ROUNDS):
            one_round(server, chance, number, known)
            if number % 10 == 9:
                server.doctor()
        client = finish(server, chance.randrange(1 << 30), known)
        trees = check_all(client, known)
        server.stop()
        server.doctor()
        rows = [row for tree in trees.values() for row in tree]
        shapes = collections.Counter(tree[-1]["action"] for tree in trees.values())
        recalled = [tree[-1]["status"] for tree in trees.values()
                    if tree[-1]["action"].removeprefix("flows.") in CANCELED]
        print(f"{ROUNDS} rounds, seed {SEED}: {len(known['started'])} workflows acknowledged, "
              f"{len(trees)} in the store, {len(rows)} executions, "
              f"{sum(row['attempt'] > 1 for row in rows)} ran again, {known['pauses']} "
              f"pauses, {recalled.count('canceled')} of {len(recalled)} cancelled in time\n"
              f"  {dict(shapes)}", flush=True)
        assert known["started"], "no workflow got through: the test says nothing"


if __name__ == "__main__":
    print(f"seed {SEED}; again: python3 {sys.argv[0]} --rounds {ROUNDS} --seed {SEED}", flush=True)
    sys.exit(run_cases([each_step_runs_as_often_as_the_graph_says]))
