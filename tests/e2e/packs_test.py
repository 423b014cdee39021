#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs that are not there any more: a start without them, releases that are gone, uninstall."""
import json
import shutil
import subprocess
import sys
import time

from harness import Server, binary, cloud_event, run_cases, until

EVENT = {"Content-Type": "application/cloudevents+json"}

FILES = {
    "pack.yaml": "ref: shop\nversion: 1.0.0\n",
    "actions/sell.yaml": "name: sell\nrunner_type: shell\nentry_point: sell.sh\n"
                         "parameters: {what: {type: string, position: 0, default: nothing}}\n",
    "actions/sell.sh": "#!/bin/sh\necho \"sold $1\"\n",
    "actions/order.yaml": "name: order\nrunner_type: workflow\nentry_point: workflows/order.yaml\n",
    "actions/workflows/order.yaml": """tasks:
  ask:
    action: core.ask
    input: {prompt: Shall it be sold}
    next: [{when: <% succeeded() %>, do: sell}]
  sell: {action: shop.sell, input: {what: vVERSION}}
""",
    "rules/on_buy.yaml": "name: on_buy\nenabled: true\ntrigger: {type: core.cloudevent, parameters:"
                         " {type: buy}}\naction: {ref: shop.sell, parameters: {what: tea}}\n",
}


def write_pack(server, version="1"):
    """A pack beside the data folder; another version is another release."""
    folder = server.home / "shop"
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("VERSION", version))
    (folder / "actions/sell.sh").chmod(0o755)
    return folder


def cli_json(server, *words):
    return json.loads(server.cli(*words, "-o", "json"))


def buy(server, number):
    """Sends an event; returns the execution that it causes, or None."""
    client = server.client()
    event = client.data("POST", "/api/v1/events", json.dumps(cloud_event("shop", number, "buy")),
                        EVENT)["event"]
    enforced = client.data("GET", f"/api/v1/enforcements?event={event}")  # in the event's commit
    return enforced[0]["execution"] if enforced else None


def status_of(server, execution):
    return server.client().data("GET", f"/api/v1/executions/{execution}")


def until_status(server, execution, *wanted, seconds=20):
    return until(f"{execution} is {wanted}: {status_of(server, execution)}", lambda: (
        lambda row: row if row["status"] in wanted else None)(status_of(server, execution)), seconds)


def answer(server):
    client = server.client()
    inquiry = until("it asks", lambda: client.data("GET", "/api/v1/inquiries?status=pending"))[0]
    client.data("POST", f"/api/v1/inquiries/{inquiry['id']}/answer", {"response": {}})


def doctor(server):
    run = subprocess.run([binary(), "doctor", "--data", str(server.data)], capture_output=True,
                         text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


def a_start_without_a_folder_keeps_its_pack_and_its_rules_work():
    with Server(packs=()) as server:
        server.packs = (write_pack(server),)
        server.start()
        rule = cli_json(server, "rule", "show", "shop.on_buy")
        server.cli("rule", "disable", "shop.on_buy")
        server.stop()
        server.packs = ()
        server.start()
        pack = cli_json(server, "pack", "show", "shop")
        assert pack["state"] == "source_gone", pack
        assert len(server.log_lines("pack.source_gone")) == 1
        kept = cli_json(server, "rule", "show", "shop.on_buy")
        assert kept["id"] == rule["id"] and not kept["enabled"], kept
        server.cli("rule", "enable", "shop.on_buy")
        sold = buy(server, "1")
        until_status(server, sold, "succeeded")
        assert server.cli("execution", "logs", sold) == "sold tea\n"
        server.cli("rule", "disable", "shop.on_buy")
        server.reload()
        until("it was reloaded", lambda: server.log_lines("packs.reloaded"))
        assert cli_json(server, "rule", "show", "shop.on_buy")["enabled"] is False
        server.stop()
        code, found = doctor(server)
        assert code == 0 and "warning pack shop" in found, found
        server.packs = (server.home / "shop",)
        server.start()
        assert cli_json(server, "pack", "show", "shop")["state"] == "folder"
        back = cli_json(server, "rule", "show", "shop.on_buy")
        assert back["id"] == rule["id"] and not back["enabled"], back
        server.stop()
        server.doctor()


def a_pack_whose_folders_are_all_gone_keeps_its_rules_until_it_is_uninstalled():
    with Server(packs=()) as server:
        server.packs = (write_pack(server),)
        server.start()
        server.stop()
        server.packs = ()
        shutil.rmtree(server.data / "packs/shop")
        server.start()
        assert len(server.log_lines("pack.gone")) == 1
        assert cli_json(server, "rule", "show", "shop.on_buy")["enabled"] is True
        server.cli("pack", "show", "shop", expect=3)
        said = server.cli("pack", "uninstall", "shop")
        assert "1 rules ended" in said, said
        server.cli("rule", "show", "shop.on_buy", expect=3)
        server.stop()
        server.start()
        assert len(server.log_lines("pack.gone")) == 1, "uninstalled, and still missed"
        server.stop()
        server.doctor()


def what_runs_of_an_uninstalled_pack_goes_on_also_after_a_restart():
    with Server(packs=()) as server:
        folder = write_pack(server)
        server.packs = (folder,)
        server.start()
        order = server.cli("run", "shop.order", "--async").strip()
        until_status(server, order, "running", "paused", "pending")
        said = server.cli("pack", "uninstall", "shop")
        assert "executions go on" in said and str(folder) in said, said
        server.cli("action", "show", "shop.sell", expect=3)
        server.cli("rule", "show", "shop.on_buy", expect=3)
        assert buy(server, "1") is None
        server.stop()
        server.packs = ()
        server.start()
        server.cli("pack", "show", "shop", expect=3)
        answer(server)
        until_status(server, order, "succeeded")
        server.stop()
        server.doctor()


def a_release_that_is_gone_holds_its_workflows_until_it_is_back():
    with Server(packs=()) as server:
        server.packs = (write_pack(server, "1"),)
        server.start()
        order = server.cli("run", "shop.order", "--async").strip()
        old = until_status(server, order, "running", "paused", "pending")["release"]
        server.stop()
        write_pack(server, "2")
        staged = server.data / "packs/shop" / old
        shutil.move(staged, server.home / "away")
        server.start()
        missed = server.log_lines("pack.release_gone")
        assert len(missed) == 1 and missed[0]["digest"] == old, missed
        assert int(missed[0]["executions"]) >= 1, missed
        code, found = doctor(server)
        assert code == 1 and "broken pack shop" in found and old[:12] in found, found
        held = until_status(server, order, "needs_decision", seconds=10)
        assert "shop" in held["held"] and old[:12] in held["held"], held
        shutil.move(server.home / "away", staged)
        server.reload()
        until("it was reloaded", lambda: server.log_lines("packs.reloaded"))
        until_status(server, order, "running", "paused", "pending")
        answer(server)
        until_status(server, order, "succeeded")
        sold = [row for row in server.client().data("GET", "/api/v1/executions?action=shop.sell")]
        assert server.cli("execution", "logs", sold[0]["id"]) == "sold v1\n", "another release"
        server.stop()
        server.doctor()


if __name__ == "__main__":
    sys.exit(run_cases([
        a_start_without_a_folder_keeps_its_pack_and_its_rules_work,
        a_pack_whose_folders_are_all_gone_keeps_its_rules_until_it_is_uninstalled,
        what_runs_of_an_uninstalled_pack_goes_on_also_after_a_restart,
        a_release_that_is_gone_holds_its_workflows_until_it_is_back,
    ]))
