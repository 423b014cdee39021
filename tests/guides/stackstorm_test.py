#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/guides/stackstorm.md, one after the other, against a server."""
import shutil

from commands import ROOT, Server, run_all, run_cases, shown

SAYS = {
    "millrace pack check warehouse": "0 errors, 0 warnings",
    "millrace pack install warehouse": "installed pack 'warehouse' 1.2.0",
    "millrace run warehouse.count thing=boxes 'pieces=[4, 5]'": "counting boxes",
    "millrace run warehouse.inventory 'things=[\"boxes\", \"crates\"]'": "6",
}


def the_commands_do_what_the_guide_says():
    with Server(packs=()) as server:
        server.start()
        shutil.copytree(ROOT / "tests/e2e/packs_st2/warehouse", server.home / "warehouse")
        run_all(server, shown("stackstorm.md"), SAYS)


if __name__ == "__main__":
    raise SystemExit(run_cases([the_commands_do_what_the_guide_says]))
