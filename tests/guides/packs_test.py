#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/guides/packs.md, one after the other, against a server."""
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import ROOT, Server, binary, run_cases  # noqa: E402

GUIDE = (ROOT / "docs/guides/packs.md").read_text()
# What some of them print.
SAYS = {
    "millrace pack check tea": "0 errors, 0 warnings",
    "millrace pack install tea": "installed pack 'tea' 1.0.0",
    "millrace pack show tea": "installed",
    "millrace pack upgrade tea --dry-run": "~ action tea.brew",
    "millrace pack upgrade tea": "upgraded pack 'tea' 1.0.0",
    "millrace pack rollback tea": "rolled_back pack 'tea' 1.1.0",
    "millrace pack uninstall tea": "is uninstalled",
}
RUNS = ["brewed\n", "brewed well\n", "brewed\n"]


def the_commands_do_what_the_guide_says():
    tried = GUIDE[GUIDE.index("<!-- try -->"):GUIDE.index("<!-- end -->")]
    commands = [line.strip() for line in tried.splitlines() if line.startswith("    ")]
    assert set(SAYS) <= set(commands), set(SAYS) - set(commands)
    runs = iter(RUNS)
    with Server(packs=()) as server:
        server.start()
        (server.home / "bin").mkdir()
        (server.home / "bin/millrace").symlink_to(Path(binary()).resolve())
        where = {**os.environ, "PATH": f"{server.home}/bin:{os.environ['PATH']}",
                 "MILLRACE_DATA": str(server.data)}
        for command in commands:
            run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60,
                                 cwd=server.home, env=where)
            assert run.returncode == 0, f"{command}: {run.returncode}\n{run.stdout}{run.stderr}"
            assert SAYS.get(command, "") in run.stdout, f"{command}:\n{run.stdout}"
            if command == "millrace run tea.brew":
                wanted = next(runs)
                assert wanted in run.stdout, f"{command}: expected {wanted!r}:\n{run.stdout}"


if __name__ == "__main__":
    raise SystemExit(run_cases([the_commands_do_what_the_guide_says]))
