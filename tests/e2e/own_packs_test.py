#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packs of packs/: clean, whole, their own tests pass, and they run through the binary."""
import os
import subprocess
import sys

from harness import ROOT, Server, binary, run_cases

PACKS = sorted(folder.parent for folder in ROOT.glob("packs/*/pack.yaml"))
OURS = [folder for folder in PACKS if folder.name != "core"]
# What a server does not do yet. Nothing else may be wrong.
NOT_YET = ("are not run yet", "cannot be used yet", "have no effect yet")


def each_is_clean():
    for folder in OURS:
        run = subprocess.run([binary(), "pack", "check", str(folder)], capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        told = [line for line in (run.stdout + run.stderr).splitlines() if "warning: " in line]
        assert all(line.endswith(NOT_YET) for line in told), told


def each_is_whole():
    for folder in OURS:
        for name in ("README.md", "icon.svg", "config.schema.yaml", "tests"):
            assert (folder / name).exists(), f"{folder.name} has no {name}"


def the_tests_of_each_pass():
    where = {**os.environ, "PYTHONPATH": str(ROOT / "sdk/python/src"), "PYTHONDONTWRITEBYTECODE": "1"}
    for folder in OURS:
        run = subprocess.run([sys.executable, "-m", "millrace.pack_tests", str(folder)],
                             capture_output=True, text=True, env=where, timeout=120)
        assert run.returncode == 0, f"{folder.name}:\n{run.stdout}{run.stderr}"


def all_load_together():
    with Server(packs=OURS).start() as server:
        packs = server.client().data("GET", "/api/v1/packs")
        assert {pack["ref"] for pack in packs} == {"core", *(each.name for each in OURS)}, packs


if __name__ == "__main__":
    sys.exit(run_cases([
        each_is_clean,
        each_is_whole,
        the_tests_of_each_pass,
        all_load_together,
    ]))
