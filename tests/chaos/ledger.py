# SPDX-License-Identifier: Apache-2.0
"""What was accepted, what has become of it, and what must hold between the two.

`Ledger` is what clients were told. `World` is what the store and the runs themselves tell.
`faults` compares them. `controls` spoils copies of a world, one at a time: each must be found."""
import collections
import copy
import dataclasses
import pathlib
import threading

FINAL = {"succeeded", "failed", "timeout", "canceled", "abandoned"}
RULE = "chaos.on_event"
UNKNOWN = 0
TICKS = "chaos.ticks"  # its firings are events; the time is their source_id
LIMITED, MOST_AT_ONCE = "chaos.again_few", 3  # pack/policies/few.yaml
FLOW_TASKS = {"chaos.flow": {"first", "nap", "near", "far", "last"},
              "chaos.ask": {"before", "ask", "after"}}


class Ledger:
    """Thread-safe. `asked`: every key that was ever sent, answered or not."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = set()
        self.runs = {}      # key: (action, {ids that were answered})
        self.events = {}    # key: {ids}
        self.canceled = {}  # id: the status of the answer, or UNKNOWN
        self.decided = set()  # ids that an operator has failed
        self.answers = collections.Counter()

    def ask(self, key):
        with self.lock:
            self.asked.add(key)

    def accept_run(self, key, action, execution):
        with self.lock:
            self.runs.setdefault(key, (action, set()))[1].add(execution)

    def accept_event(self, key, event):
        with self.lock:
            self.events.setdefault(key, set()).add(event)

    def cancel(self, execution, status):
        with self.lock:
            self.canceled[execution] = status

    def decide(self, execution):
        with self.lock:
            self.decided.add(execution)

    def count(self, status, answer):
        """What was answered, by status and code."""
        code = answer.get("code", "")
        with self.lock:
            self.answers[f"{status} {code}".strip()] += 1

    def copy(self):
        with self.lock:
            return copy.deepcopy({name: value for name, value in vars(self).items()
                                  if name != "lock"})


@dataclasses.dataclass
class Line:
    """What a run has written: `word` is begin or end, `at` the uptime in seconds."""
    word: str
    key: str
    execution: str
    attempt: int
    worker: str
    at: float

    @staticmethod
    def read(text):
        word, key, execution, attempt, folder, at = text.split()
        return Line(word, key, execution, int(attempt), pathlib.Path(folder).parent.name, float(at))


@dataclasses.dataclass
class World:
    executions: dict    # id: row
    events: dict        # id: row
    enforcements: list  # rows
    lines: list         # of Line
    slots: int          # of each worker


def of_keys(ledger, world):
    """What was accepted is there, once."""
    for key, (action, ids) in ledger["runs"].items():
        if len(ids) != 1:
            yield f"key {key}: answered with several executions: {sorted(ids)}"
        for execution in ids:
            if execution not in world.executions:
                yield f"execution {execution} ({action}, key {key}) was accepted and is lost"
    owners = collections.defaultdict(set)
    for line in world.lines:
        if line.key != "-":
            row = world.executions.get(line.execution, {})
            owners[line.key].add(row.get("root", line.execution))
    for key, roots in owners.items():
        if key not in ledger["asked"]:
            yield f"key {key}: has run and was never asked for"
        if len(roots) > 1:
            yield f"key {key}: has run as {sorted(roots)}"
        answered = ledger["runs"].get(key, (None, roots))[1]
        if not roots <= answered:
            yield f"key {key}: answered with {sorted(answered)}, has run as {sorted(roots)}"


def of_events(ledger, world):
    by_event = collections.defaultdict(list)
    for row in world.enforcements:
        by_event[row["event"]].append(row)
        if row["status"] != "created" or row.get("execution") not in world.executions:
            yield f"enforcement {row['id']}: {row['status']}, execution {row.get('execution')}"
    for key, ids in ledger["events"].items():
        if len(ids) != 1:
            yield f"event {key}: answered with several: {sorted(ids)}"
        for event in ids:
            if event not in world.events:
                yield f"event {event} ({key}) was accepted and is lost"
            elif len(by_event[event]) != 1:
                yield f"event {event} ({key}) has {len(by_event[event])} enforcements, expected 1"
    seen = collections.Counter((row["source"], row["source_id"]) for row in world.events.values()
                               if row.get("source_id"))
    for name, count in seen.items():
        if count > 1:
            yield f"event {name} was taken in {count} times"


def of_effects(ledger, world):
    """Nothing at_most_once twice; what has succeeded has left its lines."""
    begun, ended = collections.defaultdict(list), collections.defaultdict(list)
    for line in world.lines:
        (begun if line.word == "begin" else ended)[line.execution].append(line.attempt)
    for execution in begun:
        if execution not in world.executions:
            yield f"execution {execution} has run and is not in the store"
    for execution, row in world.executions.items():
        if not row["action"].startswith(("chaos.once", "chaos.again")):
            continue
        attempts = begun[execution]
        name = f"execution {execution} ({row['action']})"
        if len(set(attempts)) != len(attempts):
            yield f"{name}: an attempt has run twice: {attempts}"
        if row["action"].startswith("chaos.once") and len(attempts) > 1:
            yield f"{name}: at_most_once, and has run as {attempts}"
        if attempts and max(attempts) > row["attempt"]:
            yield f"{name}: has run as {attempts} and its row knows {row['attempt']} attempts"
        if row["status"] == "succeeded" and row["attempt"] not in ended[execution]:
            yield f"{name}: attempt {row['attempt']} succeeded and has left no line at its end"


def of_ends(ledger, world):
    for execution, row in world.executions.items():
        status, name = row["status"], f"execution {execution} ({row['action']})"
        if status not in FINAL:
            yield f"{name}: is {status}"
        elif ledger["canceled"].get(row["root"], 0) // 100 == 2:
            if row["root"] == execution and status != "canceled":
                yield f"{name}: its cancel was accepted and it is {status}"
        elif ledger["canceled"].get(row["root"]) == UNKNOWN and status == "canceled":
            continue
        elif execution in ledger["decided"]:
            if status not in ("failed", "succeeded"):  # its run may have been heard of first
                yield f"{name}: was decided, and is {status}"
        elif status != "succeeded":
            yield f"{name}: is {status} {row.get('failure', '')}"


def of_workflows(ledger, world):
    tasks = collections.defaultdict(collections.Counter)
    for row in world.executions.values():
        if row.get("parent"):
            tasks[row["parent"]][row["task"]] += 1
    for execution, row in world.executions.items():
        expected = FLOW_TASKS.get(row["action"])
        found = tasks[execution]
        if any(count > 1 for count in found.values()):
            yield f"workflow {execution}: a task has several executions: {dict(found)}"
        if expected and row["status"] == "succeeded" and set(found) != expected:
            yield f"workflow {execution}: its tasks are {sorted(found)}, expected {sorted(expected)}"


def too_many_at_once(lines, most):
    """The first that run at a time and are more than `most`; none: no such moment. Only runs that
    have come to their end count: of the others nobody knows how long they ran. The uptime has two
    digits."""
    begun, steps, running = {}, [], set()
    for line in lines:
        if line.word == "begin":
            begun[line.execution, line.attempt] = line
            continue
        first = begun.get((line.execution, line.attempt))
        if first and first.at < line.at:
            steps += [(first.at, 1, line.execution), (line.at, -1, line.execution)]
    for _, change, execution in sorted(steps, key=lambda c: (c[0], c[1])):
        (running.add if change > 0 else running.discard)(execution)
        if len(running) > most:
            return sorted(running)
    return []


def of_slots(ledger, world):
    """No worker has more runs at a time than slots."""
    by_worker = collections.defaultdict(list)
    for line in world.lines:
        by_worker[line.worker].append(line)
    for worker, lines in by_worker.items():
        running = too_many_at_once(lines, world.slots)
        if running:
            yield f"worker {worker} has {world.slots} slots and runs {running} at a time"


def of_limits(ledger, world):
    """No more of it at a time than its policy says, whichever servers let them in."""
    limited = [line for line in world.lines
               if world.executions.get(line.execution, {}).get("action") == LIMITED]
    running = too_many_at_once(limited, MOST_AT_ONCE)
    if running:
        yield f"the policy lets in {MOST_AT_ONCE} of {LIMITED}, and {running} run at a time"


CHECKS = (of_keys, of_events, of_effects, of_ends, of_workflows, of_slots, of_limits)


def faults(ledger, world):
    return [fault for check in CHECKS for fault in check(ledger, world)]


# Controls: what each spoils, and how. They answer False where there is nothing to spoil.


def first_run(ledger, world, prefix, status="succeeded"):
    return next((e for _, ids in ledger["runs"].values() for e in ids
                 if world.executions[e]["action"].startswith(prefix)
                 and world.executions[e]["status"] == status), None)


def lines_of(world, execution):
    return [line for line in world.lines if line.execution == execution]


def double_an_effect(ledger, world):
    run = first_run(ledger, world, "chaos.once")
    if run:
        world.lines += [dataclasses.replace(line, attempt=line.attempt + 1)
                        for line in lines_of(world, run)]
    return run


def repeat_a_line(ledger, world):
    run = first_run(ledger, world, "chaos.again")
    if run:
        world.lines.append(copy.copy(lines_of(world, run)[0]))
    return run


def forget_an_effect(ledger, world):
    run = first_run(ledger, world, "chaos.again")
    if run:
        world.lines = [line for line in world.lines if line.execution != run]
    return run


def lose_an_execution(ledger, world):
    run = first_run(ledger, world, "chaos.flow")
    if run:
        del world.executions[run]
    return run


def take_a_key_twice(ledger, world):
    run = first_run(ledger, world, "chaos.again")
    if run:
        other = run + "0"
        world.executions[other] = {**world.executions[run], "id": other, "root": other}
        world.lines += [dataclasses.replace(line, execution=other) for line in lines_of(world, run)]
    return run


def leave_one_open(ledger, world):
    run = first_run(ledger, world, "chaos.once")
    if run:
        world.executions[run] = {**world.executions[run], "status": "running"}
    return run


def start_a_task_twice(ledger, world):
    step = next((row for row in world.executions.values() if row.get("parent")
                 and not row["action"].startswith("chaos")), None)
    if step:
        other = step["id"] + "0"
        world.executions[other] = {**step, "id": other}
    return step


def lose_an_event(ledger, world):
    for ids in ledger["events"].values():
        del world.events[next(iter(ids))]
        return True
    return False


def enforce_twice(ledger, world):
    if world.enforcements and ledger["events"]:
        event = next(iter(next(iter(ledger["events"].values()))))
        row = next(row for row in world.enforcements if row["event"] == event)
        world.enforcements.append(dict(row))
        return True
    return False


def fire_twice(ledger, world):
    row = next((row for row in world.events.values() if row["source"].startswith("timer:")), None)
    if row:
        world.events[row["id"] + "0"] = {**row, "id": row["id"] + "0"}
    return row


def give_a_slot_twice(ledger, world):
    line = next((line for line in world.lines if line.word == "end"), None)
    if line:
        for number in range(world.slots + 1):
            for word, at in (("begin", line.at), ("end", line.at + 1)):
                world.lines.append(dataclasses.replace(
                    line, word=word, at=at, attempt=100 + number))
    return line


def let_in_too_many(ledger, world):
    run = first_run(ledger, world, LIMITED)
    if run:
        row, line = world.executions[run], lines_of(world, run)[0]
        for number in range(MOST_AT_ONCE + 1):
            other = f"{run}{number}"
            world.executions[other] = {**row, "id": other}
            world.lines += [dataclasses.replace(line, word=word, at=at, execution=other, key="-",
                                                worker=f"w{number}")
                            for word, at in (("begin", line.at), ("end", line.at + 1))]
    return run


CONTROLS = (double_an_effect, repeat_a_line, forget_an_effect, lose_an_execution, take_a_key_twice,
            leave_one_open, start_a_task_twice, lose_an_event, enforce_twice, fire_twice,
            give_a_slot_twice, let_in_too_many)


def controls(ledger, world):
    """How many faults were planted and found; raises when one was not."""
    for control in CONTROLS:
        spoiled_ledger, spoiled = copy.deepcopy(ledger), copy.deepcopy(world)
        planted = control(spoiled_ledger, spoiled)
        assert planted, f"control '{control.__name__}': nothing to spoil: the load was too small"
        assert faults(spoiled_ledger, spoiled), f"control '{control.__name__}': was not found"
    return len(CONTROLS)
