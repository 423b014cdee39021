#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what docs/guides/timers.md shows, and holds its tables against a server."""
import re
import sys

from commands import ROOT, Server, run_all, run_cases, shown

GUIDE = (ROOT / "docs/guides/timers.md").read_text()
SAYS = {
    "millrace rule create --file hourly.json": "fires next",
    "millrace timer show ops.monday": "T0",
    "millrace timer list": ["ops.monday", "paused"],
    "millrace timer fire ops.hourly": "is fired: event",
    "sleep 1; millrace execution list": "core.echo",
    "millrace timer pause ops.hourly": "is paused",
    "millrace timer resume ops.hourly": "is running, next at",
    "millrace timer list -o jsonl": "every hour",
}


def the_guide_works():
    with Server(packs=()).start() as server:
        run_all(server, shown("timers.md"), SAYS)
        paused = server.client().data("POST", "/api/v1/timers/ops.hourly/pause")
        assert paused["state"] == "paused", paused
        server.stop()
        server.start()
        again = server.client().data("GET", "/api/v1/timers/ops.hourly")
        assert again["state"] == "paused", again


def rows(head):
    table = GUIDE[GUIDE.index(head):].split("\n\n")[0]
    return [re.findall(r"`([^`]+)`", line) for line in table.splitlines()[2:]]


def rule(text, dtstart=""):
    if "DTSTART" not in text and dtstart:  # so that it fires first when the table says
        text = f"DTSTART:{dtstart}\nRRULE:{text}"
    return {"ref": "ops.try", "action": {"ref": "core.noop"},
            "trigger": {"ref": "core.rruletimer", "parameters": {"rrule": text}}}


def the_tables_tell_the_truth():
    with Server(packs=()).start() as server:
        client = server.client()
        first = rows("| rrule | fires first")
        assert len(first) == 7, first
        for text, at in first:
            made = client.data("POST", "/api/v1/rules",
                               rule(text.replace("\\n", "\n"), "20350101T000000Z"))
            fires = made["next_fires"]
            hour = at.replace("Z", ".000Z")
            # BYHOUR and BYMINUTE that are not given are DTSTART's: midnight, as without one.
            assert fires[0] == hour, (text, fires, at)
            client.data("DELETE", "/api/v1/rules/ops.try", expect=(204,))
        wrong = rows("| rrule | message")
        assert len(wrong) == 5, wrong
        for text, message in wrong:
            status, _, body = client.request("POST", "/api/v1/rules", rule(text))
            assert status == 400 and message in str(body), (text, status, body)


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_works, the_tables_tell_the_truth]))
