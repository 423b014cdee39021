#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs that others use: who does is told, what is left of them matches nothing, and comes alive
again with the pack."""
import json
import subprocess
import sys

from harness import Server, binary, cloud_event, run_cases

EVENT = {"Content-Type": "application/cloudevents+json"}

TEA = {
    "pack.yaml": "ref: tea\nversion: 1.0.0\n",
    "actions/brew.yaml": "name: brew\nrunner_type: shell\nentry_point: brew.sh\n",
    "actions/brew.sh": "#!/bin/sh\necho brewed\n",
    "triggers/empty.yaml": "name: empty\n",
}
SHOP = {
    "pack.yaml": "ref: shop\nversion: 1.0.0\n",
    "actions/serve.yaml": "name: serve\nrunner_type: workflow\nentry_point: workflows/serve.yaml\n",
    "actions/workflows/serve.yaml": "tasks: {pour: {action: tea.brew}}\n",
    "rules/refill.yaml": "name: refill\nenabled: true\ntrigger: {type: tea.empty}\n"
                         "action: {ref: core.noop}\n",
}


def write(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(folder)


def cli_json(server, *words):
    return json.loads(server.cli(*words, "-o", "json"))


def fire(server, number):
    """Sends an event; says how many rules matched it."""
    client = server.client()
    event = client.data("POST", "/api/v1/events",
                        json.dumps(cloud_event("users", number, "thirst")), EVENT)["event"]
    return client.data("GET", f"/api/v1/enforcements?event={event}")


def doctor(server):
    run = subprocess.run([binary(), "doctor", "--data", str(server.data)], capture_output=True,
                         text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


def state_of(server, ref):
    shown = cli_json(server, "rule", "show", ref)
    return shown["state"], shown.get("fault") or ""


def a_pack_that_others_use_leaves_only_by_force_and_its_users_wait_for_it():
    with Server(packs=()) as server:
        server.start()
        tea, shop = write(server.home / "tea", TEA), write(server.home / "shop", SHOP)
        server.cli("pack", "install", tea)
        server.cli("pack", "install", shop)
        server.client().data("POST", "/api/v1/rules", {
            "ref": "my.thirst", "trigger": {"ref": "core.cloudevent",
                                            "parameters": {"type": "thirst"}},
            "action": {"ref": "tea.brew"}})
        assert len(fire(server, "1")) == 1
        status, _, body = server.client().request("DELETE", "/api/v1/packs/tea")
        assert status == 409 and body["code"] == "PCK-0006", body
        assert cli_json(server, "pack", "show", "tea")["used_by"] == [
            "rule my.thirst uses 'tea.brew'", "rule shop.refill uses 'tea.empty'",
            "workflow shop.serve uses 'tea.brew'"]
        users = {p["path"] for p in body["errors"]}
        assert users == {"rule my.thirst", "rule shop.refill", "workflow shop.serve"}, users
        server.cli("pack", "uninstall", "tea", expect=1)
        assert state_of(server, "my.thirst") == ("in_force", "")

        server.cli("pack", "uninstall", "tea", "--force")
        state, why = state_of(server, "my.thirst")
        assert state == "unresolved" and "action 'tea.brew' is not there" in why, (state, why)
        state, why = state_of(server, "shop.refill")
        assert state == "unresolved" and "trigger 'tea.empty'" in why, (state, why)
        assert "unresolved" in server.cli("rule", "list")
        assert fire(server, "2") == [], "it matches nothing"
        # It is still its owner's: switched off and on.
        assert cli_json(server, "rule", "disable", "my.thirst")["enabled"] is False
        assert "is not there" in server.cli("rule", "enable", "my.thirst")
        server.stop()
        code, found = doctor(server)
        assert code == 0 and "warning rule my.thirst: is unresolved" in found, found
        server.start()
        assert state_of(server, "my.thirst")[0] == "unresolved"
        assert fire(server, "3") == []

        server.cli("pack", "install", tea)
        assert state_of(server, "my.thirst") == ("in_force", "")
        assert state_of(server, "shop.refill") == ("in_force", "")
        assert len(fire(server, "4")) == 1
        server.stop()
        server.doctor()


def what_another_pack_has_to_bring_comes_alive_with_it():
    with Server(packs=()) as server:
        server.start()
        said = server.cli("pack", "install", write(server.home / "shop", SHOP))
        assert "0 rules, 0 faults" in said, said
        assert "waits: rules/refill.yaml:3: rule 'shop.refill'" in said, said
        waiting = cli_json(server, "pack", "show", "shop")["waiting"]
        assert len(waiting) == 1 and "tea.empty" in waiting[0], waiting
        server.cli("rule", "show", "shop.refill", expect=3)
        server.cli("pack", "install", write(server.home / "tea", TEA))
        assert state_of(server, "shop.refill") == ("in_force", "")
        assert cli_json(server, "pack", "show", "shop")["waiting"] == []


def a_release_that_takes_a_trigger_of_others_is_put_in_force_by_force_alone():
    with Server(packs=()) as server:
        server.start()
        server.cli("pack", "install", write(server.home / "tea", TEA))
        server.client().data("POST", "/api/v1/rules", {
            "ref": "my.refill", "trigger": {"ref": "tea.empty"}, "action": {"ref": "core.noop"}})
        (server.home / "tea/triggers/empty.yaml").unlink()
        (server.home / "tea/pack.yaml").write_text("ref: tea\nversion: 2.0.0\n")
        server.cli("pack", "upgrade", str(server.home / "tea"), expect=1)
        assert state_of(server, "my.refill")[0] == "in_force"
        said = server.cli("pack", "upgrade", str(server.home / "tea"), "--force")
        assert "breaks: rule my.refill uses 'tea.empty'" in said, said
        assert state_of(server, "my.refill")[0] == "unresolved"
        server.cli("pack", "rollback", "tea")
        assert state_of(server, "my.refill")[0] == "in_force"


if __name__ == "__main__":
    sys.exit(run_cases([
        a_pack_that_others_use_leaves_only_by_force_and_its_users_wait_for_it,
        what_another_pack_has_to_bring_comes_alive_with_it,
        a_release_that_takes_a_trigger_of_others_is_put_in_force_by_force_alone,
    ]))
