#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what docs/guides/sensors.md shows."""
import sys

from commands import Server, run_all, run_cases, shown

SAYS = {
    "sleep 8; millrace sensor list": "running",
    "millrace event list --trigger inbox.file": "inbox.file",
    "millrace sensor logs inbox.files": "is started",
    "millrace sensor restart inbox.files": "is started anew",
    "millrace sensor show inbox.files": "inbox.file",
    "millrace sensor disable inbox.files": "is disabled",
}


def the_guide_works():
    with Server(packs=()).start() as server:
        run_all(server, shown("sensors.md"), SAYS)


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_works]))
