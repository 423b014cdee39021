# SPDX-License-Identifier: Apache-2.0
"""StackStorm's Orquesta by itself: conduct.py WORKFLOW SECONDS, of CPU. Prints one line of JSON.

Its newest release on PyPI is of the time of Python 3.6. What newer ones have taken away is given
back here, under its old name; nothing of Orquesta is changed."""
import collections
import collections.abc
import fractions
import inspect
import json
import math
import re
import sys
import time

for name in ("Mapping", "MutableMapping", "MutableSequence", "Sequence", "Iterable", "Set",
             "Hashable", "Iterator", "MutableSet", "Callable", "Sized", "Container"):
    setattr(collections, name, getattr(collections.abc, name))
fractions.gcd = math.gcd
if not hasattr(inspect, "getargspec"):
    inspect.getargspec = lambda function: inspect.getfullargspec(function)[:4]
from orquesta import conducting, events, statuses  # noqa: E402
from orquesta.specs import native as native_specs  # noqa: E402
from orquesta.utils import parameters  # noqa: E402

# Flags in the middle of a pattern count for all of it; they now stand at its begin.
flags = "".join(sorted(set(re.findall(r"\(\?([aiLmsux])\)", parameters.REGEX_INLINE_PARAMS))))
parameters.REGEX_INLINE_PARAMS = f"(?{flags})" + re.sub(
    r"\(\?[aiLmsux]\)", "", parameters.REGEX_INLINE_PARAMS)


def conducted(spec):
    """One run to its end: every action succeeds, with its parameter `message` as the result."""
    run = conducting.WorkflowConductor(spec)
    run.request_workflow_status(statuses.RUNNING)
    while True:
        tasks = run.get_next_tasks()
        if not tasks:
            break
        for task in tasks:
            name, route = task["id"], task["route"]
            results = [None] * task.get("items_count", 1)
            for action in task["actions"]:
                item = action.get("item_id")
                result = (action["input"] or {}).get("message")
                results[item or 0] = result
                for status in (statuses.RUNNING, statuses.SUCCEEDED):
                    ended = result if status == statuses.SUCCEEDED else None
                    event = (events.ActionExecutionEvent(status, ended) if item is None else
                             events.TaskItemActionExecutionEvent(item, status, ended, results))
                    run.update_task_state(name, route, event)
    run.render_workflow_output()
    if run.get_workflow_status() != statuses.SUCCEEDED:
        raise SystemExit(f"the workflow has not succeeded: {run.errors}")
    return run.get_workflow_output()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = native_specs.instantiate(file.read())
    problems = spec.inspect()
    if problems:
        raise SystemExit(problems)
    output = conducted(spec)  # not counted
    runs, begin, spent = 0, time.process_time(), 0
    while not runs or spent < float(sys.argv[2]):
        output = conducted(spec)
        runs += 1
        spent = time.process_time() - begin
    print(json.dumps({"us": spent * 1e6 / runs, "output": output}))


main()
