#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/guides/packs.md, one after the other, against a server."""
from commands import Server, run_all, run_cases, shown

SAYS = {
    "millrace pack check tea": "0 errors, 0 warnings",
    "millrace pack install tea": "installed pack 'tea' 1.0.0",
    "millrace pack show tea": "installed",
    "millrace run tea.brew": ["brewed\n", "brewed well\n", "brewed\n"],
    "millrace pack upgrade tea --dry-run": "~ action tea.brew",
    "millrace pack upgrade tea": "upgraded pack 'tea' 1.0.0",
    "millrace pack rollback tea": "rolled_back pack 'tea' 1.1.0",
    "millrace pack uninstall tea": "is uninstalled",
}


def the_commands_do_what_the_guide_says():
    with Server(packs=()) as server:
        server.start()
        run_all(server, shown("packs.md"), SAYS)


if __name__ == "__main__":
    raise SystemExit(run_cases([the_commands_do_what_the_guide_says]))
