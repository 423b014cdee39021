#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What packs are configured with: the schema's defaults, the server's files, what a tenant has set,
and keys that are read when a run begins."""
import json
import subprocess
import sys

from harness import Server, binary, run_cases

FILES = {
    "pack.yaml": "ref: tea\nversion: 1.0.0\nname: Tea\n",
    "config.schema.yaml": """
url: {type: string, default: "http://tea.example"}
token: {type: string, secret: true, required: true}
cups: {type: integer}
accounts:
  type: object
  patternProperties: {"^\\\\w+$": {$ref: "#/properties/account"}}
account:
  type: object
  properties:
    user: {type: string}
    password: {type: string, secret: true}
    port: {type: integer, default: 443}
""",
    "actions/tell.yaml": "name: tell\nrunner_type: python-script\nentry_point: tell.py\n",
    # Turned around, so that what is masked can be seen.
    "actions/tell.py": """from st2common.runners.base_action import Action


class Tell(Action):
    def run(self):
        token = self.config.get("token")
        return {"config": self.config, "nekot": token[::-1] if token else token}
""",
    "actions/given.yaml": "name: given\nrunner_type: shell\nentry_point: given.sh\n"
                          "parameters: {url: {type: string, position: 0, "
                          "default: '{{ config_context.url }}'}}\n",
    "actions/given.sh": "#!/bin/sh\necho \"$1\"\n",
    "actions/flow.yaml": "name: flow\nrunner_type: workflow\nentry_point: workflows/flow.yaml\n",
    "actions/workflows/flow.yaml": """
vars: [{url: "{{ config.url }}"}]
output: [{url: <% ctx(url) %>}]
tasks: {one: {action: core.noop}}
""",
}


def write(folder, files=None):
    for name, text in (files or FILES).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def tell(server):
    done = server.client().data("POST", "/api/v1/executions?wait=60s", {"action": "tea.tell"})
    assert done["status"] == "succeeded", done
    return done["result"]["result"]


def config(server):
    return server.client().data("GET", "/api/v1/packs/tea/config")


def run(server, *words, text="", env=None, expect=0):
    done = subprocess.run([binary(), *words, "--data", str(server.data)], input=text, env=env,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def installed(server):
    server.start()
    server.cli("pack", "install", str(write(server.home / "tea")))
    return server


def what_is_set_is_seen_by_the_next_run_and_stays():
    with Server(packs=()) as server:
        installed(server)
        assert config(server)["missing"] == ["token"], config(server)
        assert tell(server)["nekot"] is None
        said = server.cli("pack", "config", "set", "tea", "url", "http://other.example")
        assert "at version 1" in said and "is required, and not there: token" in said, said
        run(server, "pack", "config", "set", "tea", "token", "--file", "-", text="leaf-4711\n")
        server.cli("pack", "config", "set", "tea", "cups", "7")
        said = server.cli("pack", "config", "set", "tea", "accounts.dev.user", "ann")
        assert "required" not in said, said
        told = tell(server)
        assert told["nekot"] == "1174-fael", told
        assert told["config"] == {
            "url": "http://other.example", "token": "********", "cups": 7, "account": {"port": 443},
            "accounts": {"dev": {"user": "ann", "port": 443}}}, told
        # Secrets are hidden in answers and sealed in the store.
        shown = server.cli("pack", "config", "show", "tea")
        assert "token: \"********\"" in shown or "token: '********'" in shown, shown
        assert "4711" not in shown + json.dumps(config(server))
        assert server.cli("pack", "config", "get", "tea", "accounts.dev.port") == "443\n"
        assert server.cli("pack", "config", "get", "tea", "token") == "********\n"
        server.cli("pack", "config", "get", "tea", "nothing", expect=3)
        server.stop()
        for file in server.data.glob("millrace.db*"):
            assert b"leaf-4711" not in file.read_bytes(), file
        server.start()
        assert tell(server) == told
        said = server.cli("run", "tea.given")
        assert said.strip() == "http://other.example", said
        done = server.client().data("POST", "/api/v1/executions?wait=60s", {"action": "tea.flow"})
        assert done["result"]["output"] == {"url": "http://other.example"}, done
        server.cli("pack", "config", "unset", "tea", "url")
        assert tell(server)["config"]["url"] == "http://tea.example"
        server.stop()
        server.doctor()


def what_does_not_fit_the_schema_is_refused():
    with Server(packs=()) as server:
        installed(server)
        said = run(server, "pack", "config", "set", "tea", "token", "on-the-command-line", expect=2)
        assert "--file" in said, said
        client = server.client()
        status, _, body = client.request("PUT", "/api/v1/packs/tea/config",
                                         {"values": {"cups": "many", "token": 4711}})
        assert status in (400, 422) and body["code"] == "PCK-0018", body
        assert "4711" not in json.dumps(body), body
        assert {p["path"] for p in body["errors"]} == {"/values/cups", "/values/token"}
        status, _, body = client.request("PUT", "/api/v1/packs/core/config", {"values": {}})
        assert body["code"] == "PCK-0017", body
        # A name that nobody knows is taken, as in StackStorm, and told.
        client.data("PUT", "/api/v1/packs/tea/config", {"values": {"ulr": "x", "token": "t0ken"}})
        assert any("did you mean 'url'" in p for p in config(server)["problems"]), config(server)
        # Not by the way of keys.
        status, _, body = client.request("PUT", "/api/v1/keys/config:tea/values", {"value": {}})
        assert body["code"] == "KEY-0004", body
        # ******** keeps what is there; who was overtaken is told.
        client.data("PUT", "/api/v1/packs/tea/config", {"values": {"token": "********", "cups": 1}})
        assert tell(server)["nekot"] == "nek0t"
        status, _, body = client.request("PUT", "/api/v1/packs/tea/config", {"values": {}},
                                         {"If-Match": '"1"'})
        assert status == 412, body


def it_is_edited_in_an_editor():
    with Server(packs=()) as server:
        installed(server)
        script = server.home / "ed.sh"
        script.write_text("#!/bin/sh\necho 'cups: 9' >> \"$1\"\ncp \"$1\" " + str(server.home / "seen"))
        script.chmod(0o755)
        env = {"EDITOR": str(script), "PATH": "/usr/bin:/bin", "HOME": str(server.home)}
        said = run(server, "pack", "config", "edit", "tea", env=env)
        assert "at version 1" in said, said
        assert config(server)["stored"] == {"cups": 9}
        assert "********" in (server.home / "seen").read_text()
        assert "nothing was changed" in run(
            server, "pack", "config", "edit", "tea", env={**env, "EDITOR": "true"})
        run(server, "pack", "config", "edit", "tea", env={**env, "EDITOR": "false"}, expect=1)


def the_files_of_the_server_count_and_keys_are_read_at_the_run():
    with Server(packs=()) as server:
        configs = server.home / "configs"
        configs.mkdir()
        server.settings = {**server.settings, "packs.configs": str(configs)}
        (configs / "tea.yaml").write_text(
            "url: http://file.example\ncups: 2\ntoken: '{{ st2kv.system.tea_token }}'\n"
            "accounts: {dev: {user: '{{ st2kv.system.tea_user }}'}}\n")
        installed(server)
        problems = config(server)["problems"]
        assert any("st2kv.system.tea_token" in one for one in problems), problems
        assert tell(server)["config"]["token"] is None
        server.cli("key", "set", "tea_user", "bob")
        run(server, "key", "set", "tea_token", "--encrypt", "--file", "-", text="oolong-12\n")
        told = tell(server)
        assert told["config"]["accounts"]["dev"] == {"user": "bob", "port": 443}, told
        assert (told["nekot"], told["config"]["token"]) == ("21-gnoloo", "********"), told
        assert config(server)["problems"] == []
        server.cli("key", "set", "tea_user", "eve")
        assert tell(server)["config"]["accounts"]["dev"]["user"] == "eve"
        # What is set lies over the file, entry by entry.
        server.cli("pack", "config", "set", "tea", "accounts.dev.port", "8443")
        assert tell(server)["config"]["accounts"]["dev"] == {"user": "eve", "port": 8443}
        # A broken file is told and leaves what it said before.
        (configs / "tea.yaml").write_text("url: [\n")
        server.cli("pack", "reload")
        shown = server.client().data("GET", "/api/v1/packs/tea")
        assert any(one.startswith("configs/tea.yaml:") for one in shown["problems"]), shown
        assert tell(server)["config"]["url"] == "http://file.example"
        (configs / "tea.yaml").write_text("cups: many\n")
        server.cli("pack", "reload")
        shown = server.client().data("GET", "/api/v1/packs/tea")
        assert shown["problems"] == ["configs/tea.yaml:1: expected integer, found string"], shown


def rules_read_the_configuration_of_their_pack():
    with Server(packs=()) as server:
        write(server.home / "tea", {**FILES, "rules/hot.yaml": """
name: hot
enabled: true
trigger: {type: core.cloudevent, parameters: {type: heat}}
criteria: {trigger.data.where: {type: equals, pattern: "{{ pack.config.url }}"}}
action: {ref: core.echo, parameters: {message: "{{ pack.config.url }}"}}
"""})
        server.start()
        server.cli("pack", "install", str(server.home / "tea"))
        server.cli("pack", "config", "set", "tea", "url", "kitchen")
        client = server.client()
        event = client.data("POST", "/api/v1/events", json.dumps(
            {"specversion": "1.0", "id": "1", "source": "s", "type": "heat",
             "data": {"where": "kitchen"}}), {"Content-Type": "application/cloudevents+json"})
        enforced = client.data("GET", f"/api/v1/enforcements?event={event['event']}")
        assert len(enforced) == 1, enforced


if __name__ == "__main__":
    sys.exit(run_cases([
        what_is_set_is_seen_by_the_next_run_and_stays,
        what_does_not_fit_the_schema_is_refused,
        it_is_edited_in_an_editor,
        the_files_of_the_server_count_and_keys_are_read_at_the_run,
        rules_read_the_configuration_of_their_pack,
    ]))
