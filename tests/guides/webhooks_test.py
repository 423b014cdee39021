#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what docs/guides/webhooks.md shows."""
import sys

from commands import Server, run_all, run_cases, shown
from harness import until

COMMANDS = shown("webhooks.md")


def with_text(text):
    found = [command for command in COMMANDS if text in command]
    assert found, text
    return found


def the_guide_works():
    says = {command: '"duplicate":false' for command in COMMANDS if command.startswith("./deliver")}
    says[with_text("X-GitHub-Delivery: 1'")[0]] = ['"duplicate":false', '"duplicate":true']
    says[with_text("st2-api-key=")[0]] = "WHK-0105"
    says["millrace webhook list"] = "sample/in"
    says["sleep 1; millrace execution list"] = "core.echo"
    says["millrace webhook show gh"] = "github"
    with Server(packs=()).start() as server:
        run_all(server, COMMANDS, says)
        client = server.client()

        def told():
            rows = client.data("GET", "/api/v1/executions?limit=100&action=core.echo")
            runs = [client.data("GET", f"/api/v1/executions/{row['id']}") for row in rows]
            return {run["result"]["output"] for run in runs if run["status"] == "succeeded"}

        wanted = {f"{name} has sent {delivery}" for name, delivery in (
            ("gh", 1), ("tea", "t1"), ("forge", "f1"), ("lab", "l1"), ("bucket", "b1"),
            ("slack", "Ev1"), ("stripe", "evt_1"), ("pager", "01P"), ("calls", "c1"),
            ("shop", "s1"), ("anybody", "msg_1"), ("git/push", ""))}
        wanted |= {"Value", "Other", "Signed"}
        until("all have run", lambda: len(told()) >= len(wanted))
        assert told() == wanted, told() ^ wanted


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_works]))
