#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev coverage: runs the tests of build/coverage and prints, room by room, how many lines they
reach beside what we aim at, and how many the API and end-to-end suites reach alone. A room below
its aim is named again at the end; --strict exits 1 then.

The kill, fault, chaos, power and cost tests are left out: they take long, and repeat what the
others reach; costs of counted lines are not those of the product. Counters lie in a mapped file
(%c), so that those of a server that is killed count too. A spawner has nothing in its environment:
its counters go where the preset says."""
import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys

import suite
from changes import ROOT

BUILD = ROOT / "build/coverage"
PROFILES = BUILD / "profiles"
SPAWNED = PROFILES / "spawned"
IGNORED = r"_(test|fuzz|bench)\.cpp|_fixture\.h|test_support\.h|(^|/)(tests|bench|usr)/"
# The suites that see the whole server from outside, and the tests that are left out.
SUITES = "^(api_test|guides.*|e2e_(slice|cli|workflow_cli|doctor|packs|backup)_test)$"
OTHERS = "^(e2e_|guides|api_test$|cost_test$|engine_postgres_test$|chaos$|power_test$)"
SUITES_AIM = 70
# Percent of lines. A room that is not named here has no aim, and is shown.
AIMS = {
    "base": 90, "model": 90, "expr": 90, "rules": 90, "packs": 90, "conductor": 90, "kernel": 90,
    "policy": 90, "engine": 90, "store": 80, "adapters": 80, "services": 75,
}


def run_tests(name, *selection):
    """Runs tests with their counters in a folder of their own; returns the merged profile."""
    folder = PROFILES / name
    for each in folder, SPAWNED:
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    environment = os.environ | {"LLVM_PROFILE_FILE": f"{folder}/%m%c.profraw"}
    # `./dev test` judges the tests; here a second failure ends the measurement.
    if not suite.run(BUILD, selection, environment, again=True):
        sys.exit(1)
    merged = PROFILES / f"{name}.profdata"
    raw = sorted([*folder.glob("*.profraw"), *SPAWNED.glob("*.profraw")])
    subprocess.run(["llvm-profdata-19", "merge", "-sparse", *raw, "-o", merged], check=True)
    return merged


def binaries():
    """The tests and the server: every object file that has counters of the rooms."""
    tests = json.loads(subprocess.run(
        ["ctest", "--test-dir", BUILD, "--show-only=json-v1"],
        check=True, capture_output=True, text=True,
    ).stdout)["tests"]
    found = {pathlib.Path(test["command"][0]) for test in tests} | {BUILD / "millrace"}
    return sorted(path for path in found if path.is_relative_to(BUILD))


def lines_of(profile):
    """room -> [covered, all], of the sources of the product."""
    first, *others = binaries()
    export = subprocess.run(
        ["llvm-cov-19", "export", "-summary-only", f"-instr-profile={profile}",
         f"-ignore-filename-regex={IGNORED}", first,
         *[f"-object={other}" for other in others]],
        check=True, capture_output=True, text=True, cwd=ROOT,
    ).stdout
    rooms = collections.defaultdict(lambda: [0, 0])
    for entry in json.loads(export)["data"][0]["files"]:
        # Names are relative (-ffile-prefix-map), and llvm-cov puts the build folder before them.
        name = entry["filename"].removeprefix(f"{ROOT}/").removeprefix("build/coverage/")
        if not name.startswith("src/"):
            continue
        lines = entry["summary"]["lines"]
        room = rooms[name.split("/")[1]]
        room[0] += lines["covered"]
        room[1] += lines["count"]
    return rooms


def share(covered, count):
    return 100 * covered / count if count else 0


def main():
    of_suites = run_tests("suites", "-R", SUITES)
    of_units = run_tests("units", "-E", OTHERS)
    both = PROFILES / "all.profdata"
    subprocess.run(["llvm-profdata-19", "merge", of_suites, of_units, "-o", both], check=True)
    below = []

    def line(name, covered, count, aim):
        percent = share(covered, count)
        text = f"{name:22} {percent:5.1f} % of {count:6} lines"
        text += f"   aim {aim} %" if aim else ""
        print(text)
        if aim and percent < aim:
            below.append(f"{name}: {percent:.1f} % of lines, {aim} % is the aim")

    for room, (covered, count) in sorted(lines_of(both).items()):
        line(room, covered, count, AIMS.get(room, 0))
    suites = lines_of(of_suites).values()
    line("API and e2e alone", sum(c for c, _ in suites), sum(n for _, n in suites), SUITES_AIM)
    for text in below:
        print(f"below: {text}")
    return 1 if below and "--strict" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
