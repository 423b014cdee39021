#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs StackStorm's own integration tests of Orquesta against a server of Millrace.

    millrace up --data /tmp/d --packs ST2/contrib     # examples are the workflows they run
    tools/st2_orquesta.py --tests ST2/st2tests --server http://127.0.0.1:8080 --token /tmp/d/admin.token

ST2 is a checkout of StackStorm/st2, nothing of which is in this repository. The tests are run as
they are: what they import of StackStorm is our SDK's (sdk/python), with what is below over it. Prints
a line per test; those that differ with a reason stand in KNOWN and in docs/conformance.md. Exits 1
when another one fails, or one of KNOWN does not.
"""

import argparse
import functools
import json
import os
import sys
import threading
import time
import types
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ST2_API = "http://127.0.0.1:9101/v1"  # what the tests expect of ctx(st2).api_url

# Test -> why it differs; a row each in docs/conformance.md.
KNOWN = {
    "test_wiring.WiringTest.test_config_context_renders": "needs a pack that st2 does not hold",
    "test_wiring_error_handling.ErrorHandlingTest.test_inspection_error": "the wording is ours",
    "test_wiring_error_handling.ErrorHandlingTest.test_task_content_errors": "the wording is ours",
    "test_wiring_functions_st2kv.DatastoreFunctionTest.test_st2kv_nonexistent": "the wording is ours",
}


def fake_modules():
    """What the tests import beside StackStorm's own."""

    def retry(retry_on_exception, wait_fixed, stop_max_delay):
        def wrap(call):
            @functools.wraps(call)
            def tried(*args, **kwargs):
                end = time.monotonic() + stop_max_delay / 1000
                while True:
                    try:
                        return call(*args, **kwargs)
                    except Exception as error:
                        if not retry_on_exception(error) or time.monotonic() > end:
                            raise
                    time.sleep(wait_fixed / 1000)

            return tried

        return wrap

    def add(name, **members):
        module = types.ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module

    add("retrying", retry=retry)
    add("eventlet", sleep=time.sleep, monkey_patch=lambda **_: None)
    moves = types.ModuleType("six.moves")
    moves.range = range
    sys.modules["six.moves"] = moves
    add("six", string_types=(str,), text_type=str, PY2=False, PY3=True, moves=moves)
    mark = types.SimpleNamespace(skipif=lambda when, reason="": unittest.skipIf(when, reason))
    add("pytest", mark=mark, skip=lambda reason="": (_ for _ in ()).throw(unittest.SkipTest(reason)))


def without_ours(result):
    """A result without what Millrace's have beside StackStorm's names."""
    if isinstance(result, list):
        return [without_ours(each) for each in result]
    if not isinstance(result, dict):
        return result
    ours = {"exit_code", "output"} if "return_code" in result else set()
    if "message" in result and "type" in result:  # an error: where it stands in the file
        ours = {"line", "spec_path"} if result["type"] == "error" else {"line"}
    return {name: without_ours(value) for name, value in result.items() if name not in ours}


def adapt(server):
    """The SDK's st2client, told what only these tests ask for."""
    from st2client import managers
    from st2common.constants import action as constants

    if not hasattr(constants, "LIVEACTION_STATUSES"):
        constants.LIVEACTION_STATUSES = [
            value for name, value in vars(constants).items() if name.startswith("LIVEACTION_STATUS_")
        ]
    made = managers.ExecutionManager._made
    create = managers.ExecutionManager.create
    re_run = managers.ExecutionManager.re_run

    def with_context(self, entry):
        execution = made(self, entry)
        first = entry
        while first.get("original"):  # StackStorm goes on in the same workflow execution
            first = self._api.executions.get(first["original"])
        execution.context["workflow_execution"] = first.get("id")
        if entry.get("task"):
            execution.context["orquesta"] = {"task_name": entry["task"]}
        text = json.dumps(without_ours(execution.result))
        execution.result = json.loads(text.replace(f"{server}/api/v1", ST2_API))
        return execution

    def started(call):
        # A workflow of pure actions has ended when the answer comes; the tests expect that none has.
        def wrapped(self, *args, **kwargs):
            execution = call(self, *args, **kwargs)
            execution.status = constants.LIVEACTION_STATUS_REQUESTED
            return execution

        return wrapped

    def re_run_whole(self, execution_id, tasks=None, **more):
        # StackStorm begins anew where no task is named; here what failed runs again.
        if tasks:
            return re_run(self, execution_id, tasks=tasks, **more)
        before = self._api.executions.get(str(execution_id))
        given = {
            name: value
            for name, value in (before.get("parameters") or {}).items()
            if name not in (before.get("defaults") or [])
        }
        return self._made(self._api.executions.run(before["action"], given))

    def get_property(self, execution_id, name, **_):
        if name == "children":
            return self.get_children(execution_id)
        return getattr(self.get_by_id(execution_id), name)

    managers.ExecutionManager._made = with_context
    managers.ExecutionManager.create = started(create)
    managers.ExecutionManager.re_run = started(re_run_whole)
    managers.ExecutionManager.get_property = get_property


def tests_of(folder, wanted):
    found = []

    def gather(suite):
        for each in suite:
            gather(each) if isinstance(each, unittest.TestSuite) else found.append(each)

    names = sorted(path.stem for path in (folder / "integration/orquesta").glob("test_*.py"))
    loader = unittest.TestLoader()
    for name in names:
        gather(loader.loadTestsFromName(f"integration.orquesta.{name}"))
    if loader.errors:
        sys.exit("\n".join(loader.errors))
    return [test for test in found if wanted in test.id()]


class Outcome(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.how = "passed"
        self.why = ""

    def addFailure(self, test, error):
        self.how, self.why = "FAILED", str(error[1])

    addError = addFailure

    def addSkip(self, test, reason):
        self.how, self.why = "skipped", reason


def run_all(tests, jobs):
    """(name, how, why) of each, in their order. They are waits mostly: some run at once."""
    rows = [None] * len(tests)
    numbers = iter(range(len(tests)))
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                at = next(numbers, None)
            if at is None:
                return
            outcome = Outcome()
            test = tests[at]
            type(test).setUpClass()
            test.run(outcome)
            name = test.id().removeprefix("integration.orquesta.")
            rows[at] = (name, outcome.how, outcome.why)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", required=True, type=Path, help="st2tests of a checkout")
    parser.add_argument("--server", required=True, help="URL of a server that has its examples")
    parser.add_argument("--token", type=Path, help="a file with a token")
    parser.add_argument("--only", default="", help="tests whose name has this in it")
    parser.add_argument("--jobs", type=int, default=4)
    options = parser.parse_args()
    server = options.server.rstrip("/")
    os.environ["MILLRACE_API_URL"] = server
    if options.token:
        os.environ["MILLRACE_API_TOKEN"] = options.token.read_text().strip()
    sys.path[:0] = [str(HERE.parent / "sdk/python/src"), str(options.tests)]
    fake_modules()
    adapt(server)
    rows = run_all(tests_of(options.tests, options.only), options.jobs)
    unexpected = 0
    for name, how, why in rows:
        is_known = name in KNOWN
        if is_known and how == "FAILED":
            how, why = "differs", KNOWN[name]
        elif is_known and how == "passed":
            why = "expected to differ"
        unexpected += how == "FAILED" or (is_known and how == "passed")
        print(f"{how:8} {name}" + (f": {' '.join(why.split())[:400]}" if why else ""))
    counts = {how: 0 for how in ("passed", "differs", "FAILED", "skipped")}
    for name, how, _ in rows:
        counts["differs" if name in KNOWN and how == "FAILED" else how] += 1
    print(", ".join(f"{count} {how}" for how, count in counts.items()))
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
