#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules as users meet them: tests, verdicts, replays, history, overrides, StackStorm's files, {{ system }}."""
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from harness import Server, cloud_event, run_cases, rule, until

EVENT = {"Content-Type": "application/cloudevents+json"}
MAIN = {"trigger.ref": {"type": "startswith", "pattern": "refs/heads/"}}
SERVER = None


def pack(folder, criteria="refs/heads/", more=""):
    """A pack of one rule, one trigger and two actions."""
    files = {
        "pack.yaml": "ref: ops\nname: ops\nversion: 1.0.0\ndescription: of a test\nauthor: test\nemail: a@b.c\n",
        "triggers/push.yaml": (
            "name: push\npack: ops\ndescription: a push\n"
            "parameters_schema: {type: object, properties: {repo: {type: string}}, additionalProperties: false}\n"
            "payload_schema: {type: object, properties: {ref: {type: string}}, required: [ref]}\n"),
        "rules/on_push.yaml": (
            "name: on_push\npack: ops\ndescription: of a file\nenabled: true\ntrigger: {type: ops.push}\n"
            f"criteria: {{trigger.ref: {{type: startswith, pattern: {criteria}}}}}\n"
            f"action: {{ref: core.echo, parameters: {{message: '{{{{ trigger.ref }}}}'}}}}\n{more}"),
        "actions/flow.yaml": (
            "name: flow\npack: ops\ndescription: d\nenabled: true\nrunner_type: orquesta\n"
            "entry_point: workflows/flow.yaml\nparameters: {}\n"),
        "actions/workflows/flow.yaml": (
            "version: 1.0\ntasks:\n  below: {action: ops.inner}\n"),
        "actions/inner.yaml": (
            "name: inner\npack: ops\ndescription: d\nenabled: true\nrunner_type: workflow\n"
            "entry_point: workflows/inner.yaml\nparameters: {}\n"),
        "actions/workflows/inner.yaml": (
            "tasks:\n  say: {action: core.echo, input: {message: '{{ system.rule.ref }} {{ system.rule.id }} "
            "{{ system.rule.revision }} {{ system.enforcement.id }} {{ system.timestamp }}'}}\n"),
    }
    for name, text in files.items():
        path = folder / "ops" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def api(method, path, body=None, expect=(200, 201, 202), headers=None):
    return SERVER.client().data(method, path, body, headers, expect=expect)


def refused(method, path, body, status=400):
    got, _, answer = SERVER.client().request(method, path, body)
    assert got == status, (got, answer)
    return answer


def push(ref, parameters=None, expect=(202,)):
    body = {"payload": {"ref": ref}}
    if parameters:
        body["trigger_parameters"] = parameters
    return api("POST", "/api/v1/triggers/ops.push/events", body, expect)["event"]


def executions_of(event):
    return [e for e in api("GET", f"/api/v1/enforcements?event={event}") if e["execution"]]


def a_workflow_sees_the_system_of_its_rule():
    api("POST", "/api/v1/rules", rule("ops.flows", "ops.flow", {}, {"trigger.ref": {"type": "eq", "pattern": "flow"}}, "ops.push"))
    event = push("flow")
    made = executions_of(event)[0]
    until("the workflow has ended",
          lambda: api("GET", f"/api/v1/executions/{made['execution']}")["status"] == "succeeded")
    said = [e for e in api("GET", "/api/v1/executions?action=core.echo&limit=20")]
    texts = [api("GET", f"/api/v1/executions/{e['id']}")["parameters"]["message"] for e in said]
    text = next(t for t in texts if t.startswith("ops.flows"))
    ref, identifier, revision, enforcement, timestamp = text.split()
    shown = api("GET", "/api/v1/rules/ops.flows")
    assert (identifier, revision, enforcement) == (shown["id"], "1", made["id"]), (text, shown, made)
    assert timestamp.endswith("Z") and timestamp[:2] == "20", text
    api("DELETE", "/api/v1/rules/ops.flows", expect=(204,))


def a_rule_sees_its_enforcement():
    parameters = {"message": "{{ system.rule.ref }} {{ system.rule.id }} {{ system.rule.revision }} {{ system.enforcement.id }} {{ system.timestamp }}"}
    made = api("POST", "/api/v1/rules", rule("own.sees", "core.echo", parameters))
    event = api("POST", "/api/v1/events", cloud_event("sees", "1"), headers=EVENT)["event"]
    enforcement = executions_of(event)[0]
    message = api("GET", f"/api/v1/executions/{enforcement['execution']}")["parameters"]["message"]
    created = api("GET", f"/api/v1/events/{event}")["created"]
    assert message == f"own.sees {made['id']} 1 {enforcement['id']} {created}", message
    why = api("GET", f"/api/v1/rules/own.sees/why?event={event}")
    assert why["parameters"]["message"] == message, why
    api("DELETE", "/api/v1/rules/own.sees", expect=(204,))


def verdicts_are_told_of_events_that_did_not_match():
    matched, missed = push("refs/heads/v"), push("refs/tags/v1")
    verdicts = api("GET", "/api/v1/rules/ops.on_push/verdicts?limit=2")
    assert [v["event"] for v in verdicts] == [missed, matched], verdicts
    assert [v["matched"] for v in verdicts] == [False, True], verdicts
    words = verdicts[0]["criteria"][-1]["message"]
    assert words == 'trigger.ref is "refs/tags/v1": does not start with "refs/heads/"', words
    assert executions_of(matched)[0]["execution"] == verdicts[1]["execution"]
    before = api("GET", "/api/v1/rules/ops.on_push/verdicts")
    assert words in SERVER.cli("rule", "why", "ops.on_push")
    assert words in SERVER.cli("rule", "why", "ops.on_push", missed)
    told = SERVER.cli("event", "why", missed)
    assert "0 of 1 rules on this trigger matched" in told and words in told, told
    SERVER.kill()
    SERVER.start()
    assert api("GET", "/api/v1/rules/ops.on_push/verdicts") == before


def a_backstop_says_who_was_before_it():
    body = rule("own.last", "core.echo", {"message": "x"}, None, "ops.push") | {"type": "backstop"}
    api("POST", "/api/v1/rules", body)
    event = push("refs/heads/b")
    verdict = api("GET", f"/api/v1/rules/own.last/why?event={event}")
    assert not verdict["matched"] and "ops.on_push" in verdict["reason"], verdict
    other = push("else")
    assert api("GET", f"/api/v1/rules/own.last/why?event={other}")["matched"]
    api("DELETE", "/api/v1/rules/own.last", expect=(204,))


def a_test_is_the_rules_own_way():
    sound = rule("own.tried", "core.echo", {"message": "{{ trigger.ref }}"}, MAIN, "ops.push", {"repo": "a"})
    for part, says in (({"trigger": {"ref": "ops.psh"}}, "did you mean 'ops.push'"),
                       ({"trigger": {"ref": "ops.push", "parameters": {"rep": "a"}}}, "did you mean 'repo'"),
                       ({"action": {"ref": "core.ech"}}, "did you mean 'core.echo'"),
                       ({"ref": "tried"}, "pack.name"),
                       ({"action": {"ref": "core.echo", "parameters": {}}}, "requires the parameter")):
        body = {"rule": sound | part, "payload": {"ref": "refs/heads/a"}}
        answer = json.dumps(refused("POST", "/api/v1/rules/test", body))
        assert says in answer, (part, answer)
        assert says in json.dumps(refused("POST", "/api/v1/rules", sound | part))
    test = {"rule": sound, "payload": {"ref": "refs/heads/a"}}
    assert api("POST", "/api/v1/rules/test", test)["matched"], "the trigger's parameters are the rule's"
    other = api("POST", "/api/v1/rules/test", test | {"trigger_parameters": {"repo": "b"}})
    assert not other["matched"]
    assert "event.parameters.repo is \"b\": is not \"a\"" in [c["message"] for c in other["criteria"]]
    assert refused("POST", "/api/v1/rules/test", test | {"trigger_parameters": {"rpo": "b"}})["code"] == "EVT-0004"
    event = push("refs/heads/c", {"repo": "a"})
    assert api("POST", "/api/v1/rules/test", {"rule": sound, "event": event})["matched"]
    last = api("POST", "/api/v1/rules/test/last", {"rule": sound, "last": 2})
    assert [v["matched"] for v in last][0] and len(last) == 2, last
    file = SERVER.home / "tried.json"
    file.write_text(json.dumps(sound))
    SERVER.cli("rule", "test", "--file", str(file), "--payload", '{"ref": "refs/heads/a"}')
    SERVER.cli("rule", "test", "--file", str(file), "--payload", '{"ref": "refs/heads/a"}',
               "--trigger-parameters", '{"repo": "b"}', expect=1)
    assert event in SERVER.cli("rule", "test", "--file", str(file), "--last", "3")


def an_event_of_a_trigger_is_checked():
    assert refused("POST", "/api/v1/triggers/ops.psh/events", {"payload": {}}, 404)["code"] == "EVT-0001"
    assert refused("POST", "/api/v1/triggers/ops.push/events", {"payload": {}})["code"] == "EVT-0004"
    assert refused("POST", "/api/v1/triggers/core.crontimer/events", {"payload": {}})["code"] == "EVT-0003"
    status, _, answer = SERVER.client().request(
        "POST", "/api/v1/events", cloud_event("x", "y", "ops.push", {"ref": 5}), EVENT)
    assert status == 400 and "expected string" in json.dumps(answer), answer
    sent = SERVER.cli("event", "send", "--trigger", "ops.push", "--payload", '{"ref": "refs/heads/s"}',
                      "--trigger-parameters", '{"repo": "a"}').split()[1]
    assert api("GET", f"/api/v1/events/{sent}")["trigger_parameters"] == {"repo": "a"}
    again = api("POST", "/api/v1/triggers/ops.push/events",
                {"payload": {"ref": "x"}, "id": "same", "source": "here"})
    twice = api("POST", "/api/v1/triggers/ops.push/events",
                {"payload": {"ref": "x"}, "id": "same", "source": "here"})
    assert twice == {"event": again["event"], "duplicate": True}, twice


def events_are_replayed_dry_and_for_real():
    event = push("refs/tags/r")
    dry = api("POST", f"/api/v1/events/{event}/replay", {"dry_run": True})
    assert dry["verdicts"]["matched"] == 0 and not dry.get("event"), dry
    edited = api("POST", f"/api/v1/events/{event}/replay",
                 {"dry_run": True, "payload": {"ref": "refs/heads/r"}})
    assert edited["verdicts"]["verdicts"][0]["parameters"] == {"message": "refs/heads/r"}, edited
    assert refused("POST", f"/api/v1/events/{event}/replay", {"payload": {"ref": 1}})["code"] == "EVT-0004"
    key = {"Idempotency-Key": "replay-1"}
    real = api("POST", f"/api/v1/events/{event}/replay", {"payload": {"ref": "refs/heads/r"}}, headers=key)
    assert len(executions_of(real["event"])) == 1
    again = api("POST", f"/api/v1/events/{event}/replay", {"payload": {"ref": "refs/heads/r"}}, headers=key)
    assert again["event"] == real["event"] and again["duplicate"], again
    shown = api("GET", f"/api/v1/events/{real['event']}")
    assert shown["replay_of"] == event and shown["payload"] == {"ref": "refs/heads/r"}, shown
    told = SERVER.cli("event", "replay", event, "--dry-run", "--payload", '{"ref": "refs/heads/z"}')
    assert "1 of 1 rules on this trigger would match" in told and "message: refs/heads/z" in told, told
    payload = SERVER.home / "edited.json"
    payload.write_text('{"ref": "refs/heads/file"}')
    SERVER.cli("event", "replay", event, "--payload", str(payload))


def what_the_server_makes_is_not_replayed_unless_named():
    api("POST", "/api/v1/rules", rule("own.told", "core.noop", {}) | {
        "trigger": {"ref": "core.st2.generic.actiontrigger"},
        "criteria": {"trigger.action_name": {"type": "equals", "pattern": "core.echo"}}})
    push("refs/heads/told")
    told = "/api/v1/events?trigger=core.st2.generic.actiontrigger"
    until("the server tells of an execution", lambda: api("GET", told))
    first = min(api("GET", told), key=lambda e: int(e["id"]))
    done = api("POST", "/api/v1/events/replay", {"since": first["created"], "dry_run": True})
    assert done["left_out"] >= 1, done
    named = api("POST", "/api/v1/events/replay", {"trigger": first["trigger"], "dry_run": True})
    assert named["left_out"] == 0 and named["events"] >= 1, named
    api("DELETE", "/api/v1/rules/own.told", expect=(204,))
    wrong = refused("POST", "/api/v1/events/replay", {"trigger": "ops.pusch"}, 404)
    assert "did you mean 'ops.push'" in json.dumps(wrong), wrong
    for room in ("events", "rules"):
        wrong = refused("GET", f"/api/v1/{room}?trigger=ops.pusch", None, 404)
        assert "did you mean 'ops.push'" in json.dumps(wrong), wrong


def a_disabled_rule_is_tried_as_if_it_were_enabled():
    off = rule("own.off", "core.echo", {"message": "{{ trigger.ref }}"}) | {"enabled": False}
    tried = api("POST", "/api/v1/rules/test", {"rule": off, "payload": {"ref": "refs/heads/x"}})
    assert tried["matched"] and "is disabled" in tried["reason"], tried
    file = SERVER.home / "unrendered.json"
    file.write_text(json.dumps(rule("own.off", "core.echo", {"message": "{{ trigger.none.below }}"})))
    told = SERVER.cli("rule", "test", "--file", str(file), "--payload", '{"ref": "x"}', expect=1)
    assert "matched, but its parameters do not render" in told, told


def a_rule_whose_timer_is_paused_says_so():
    file = SERVER.home / "timer.json"
    timer = {"ref": "core.intervaltimer", "parameters": {"unit": "hours", "interval": 7}}
    file.write_text(json.dumps({"ref": "own.ticks", "trigger": timer, "action": {"ref": "core.noop"}}))
    assert "fires next" in SERVER.cli("rule", "create", "--file", str(file))
    SERVER.cli("timer", "pause", "own.ticks")
    SERVER.cli("rule", "disable", "own.ticks")
    told = SERVER.cli("rule", "enable", "own.ticks")
    assert "its timer is paused" in told and "fires next" not in told, told
    assert "paused" in SERVER.cli("rule", "list")
    SERVER.cli("rule", "delete", "own.ticks")


def events_are_replayed_by_filter():
    time.sleep(0.01)
    since = api("GET", f"/api/v1/events/{push('refs/heads/f0')}")["created"]
    for number in range(1, 5):
        push(f"refs/heads/f{number}")
    assert refused("POST", "/api/v1/events/replay", {})["code"] == "API-0053"
    dry = api("POST", "/api/v1/events/replay", {"trigger": "ops.push", "since": since, "dry_run": True})
    assert dry["events"] == 5 and all(r["verdicts"]["matched"] == 1 for r in dry["replayed"]), dry
    first = api("POST", "/api/v1/events/replay", {"trigger": "ops.push", "since": since, "limit": 2})
    assert first["events"] == 2 and first["more"], first
    rest = api("POST", "/api/v1/events/replay",
               {"trigger": "ops.push", "since": since, "limit": 100, "after": first["last"]})
    assert rest["events"] == 3 and not rest["more"], rest
    assert all(len(executions_of(r["event"])) == 1 for r in first["replayed"] + rest["replayed"])
    told = SERVER.cli("event", "replay", "--trigger", "ops.push", "--since", since, "--dry-run", "--limit", "3")
    assert told.count("ops.on_push") == 3, told


def revisions_tell_who_changed_what():
    body = rule("own.kept", "core.echo", {"message": "a"})
    api("POST", "/api/v1/rules", body)
    api("PUT", "/api/v1/rules/own.kept", body | {"description": "new", "action": {"ref": "core.echo", "parameters": {"message": "b"}}})
    SERVER.cli("rule", "disable", "own.kept")
    api("DELETE", "/api/v1/rules/own.kept", expect=(204,))
    revisions = api("GET", "/api/v1/rules/own.kept/revisions")
    assert [r["revision"] for r in revisions] == [4, 3, 2, 1] and revisions[0]["deleted"], revisions
    assert all(r["by"] for r in revisions), revisions
    assert revisions[1]["changes"] == [{"path": "/enabled", "before": True, "after": False}]
    assert {"path": "/action/parameters/message", "before": "a", "after": "b"} in revisions[2]["changes"]
    told = SERVER.cli("rule", "history", "own.kept")
    assert '/action/parameters/message: "a" -> "b"' in told and "by " in told, told
    refused("GET", "/api/v1/rules/own.nothing/revisions", None, 404)


def a_dry_run_changes_nothing():
    body = rule("own.dry", "core.echo", {"message": "a"})
    shown = api("POST", "/api/v1/rules?dry_run=true", body)
    assert shown["revision"] == 1, shown
    assert "every event of core.cloudevent" in shown["warnings"][0], shown
    refused("GET", "/api/v1/rules/own.dry", None, 404)
    refused("POST", "/api/v1/rules?dry_run=true", body | {"action": {"ref": "core.ech"}})
    api("POST", "/api/v1/rules", body)
    assert api("PUT", "/api/v1/rules/own.dry?dry_run=true", body | {"description": "other"})["revision"] == 2
    assert api("GET", "/api/v1/rules/own.dry")["revision"] == 1
    file = SERVER.home / "dry.json"
    file.write_text(json.dumps(body))
    assert "would be" in SERVER.cli("rule", "update", "--file", str(file), "--dry-run")
    api("DELETE", "/api/v1/rules/own.dry", expect=(204,))


STACKSTORM = """
name: on_push
pack: moved
description: As StackStorm has it.
enabled: true
uid: rule:moved:on_push
metadata_file: rules/on_push.yaml
tags: [{name: a, value: b}]
context: {user: st2admin}
type: {ref: standard, parameters: {}}
trigger:
  type: core.st2.webhook
  ref: core.0f3d2b44-1b1a
  parameters: {url: sample}
  description: a webhook
criteria: {trigger.body.ref: {type: matchregex, pattern: "refs/heads/.*"}}
action: {ref: core.echo, parameters: {message: "{{ trigger.body.ref }}"}}
"""


def stackstorms_files_are_taken_as_they_are():
    file = SERVER.home / "moved.yaml"
    file.write_text(STACKSTORM)
    SERVER.cli("rule", "create", "--file", str(file))
    shown = api("GET", "/api/v1/rules/moved.on_push")
    assert shown["trigger"] == {"ref": "core.st2.webhook", "parameters": {"url": "sample"}}, shown
    SERVER.cli("rule", "update", "--file", str(file))
    written = SERVER.home / "shown.yaml"
    written.write_text(SERVER.cli("rule", "show", "moved.on_push", "-o", "yaml"))
    SERVER.cli("rule", "update", "--file", str(written))
    assert api("GET", "/api/v1/rules/moved.on_push")["revision"] == 3
    answer = json.dumps(refused("POST", "/api/v1/rules", {"name": "x", "pack": "moved", "critera": {}}))
    assert "did you mean 'criteria'" in answer, answer
    api("DELETE", "/api/v1/rules/moved.on_push", expect=(204,))


def an_override_outlives_reloads_and_is_undone():
    SERVER.cli("rule", "override", "ops.on_push", "--name", "only tags", "--set",
               'criteria={"trigger.ref": {"type": "startswith", "pattern": "refs/tags/"}}')
    SERVER.cli("rule", "override", "ops.on_push", "--set", "action.parameters.message=tag {{ trigger.ref }}")
    shown = api("GET", "/api/v1/rules/ops.on_push")
    assert shown["override"]["name"] == "only tags" and shown["pack"] == "ops", shown
    assert shown["override"]["set"]["action"] == {"parameters": {"message": "tag {{ trigger.ref }}"}}, shown
    assert "only tags" in SERVER.cli("rule", "list")
    assert [r["ref"] for r in api("GET", "/api/v1/rules?overridden=true")] == ["ops.on_push"]
    pack(SERVER.packs_folder, "refs/pull/", "trace_tag: new\n")
    SERVER.reload()
    until("the new file is in force", lambda: api("GET", "/api/v1/rules/ops.on_push")["trace_tag"] == "new")
    after = api("GET", "/api/v1/rules/ops.on_push")
    assert after["criteria"] == shown["criteria"] and after["override"] == shown["override"], after
    assert len(executions_of(push("refs/tags/o"))) == 1
    assert SERVER.stop() == 0
    SERVER.start()
    assert api("GET", "/api/v1/rules/ops.on_push")["override"] == shown["override"]
    body = {k: after[k] for k in ("ref", "description", "enabled", "type", "trigger", "criteria", "action", "trace_tag")}
    api("PUT", "/api/v1/rules/ops.on_push", body | {"description": "by hand"})
    assert api("GET", "/api/v1/rules/ops.on_push")["override"]["set"]["description"] == "by hand"
    assert api("GET", "/api/v1/rules/ops.on_push")["pack"] == "ops"
    other = ("rule", "override", "ops.on_push", "--name", "other")
    for method, query, body in (("POST", "", {"name": "other", "set": {"enabled": False}}),
                                ("DELETE", "?name=other", None)):
        answer = refused(method, f"/api/v1/rules/ops.on_push/override{query}", body, 409)
        assert answer["code"] == "RUL-0111" and "is called 'only tags'" in json.dumps(answer), answer
    SERVER.cli(*other, "--undo", expect=1)
    before = api("GET", "/api/v1/rules/ops.on_push")["override"]
    assert before["name"] == "only tags", before
    would = json.loads(SERVER.cli(*other, "--replace", "--set", "trace_tag=x", "--dry-run", "-o", "json"))
    assert would["override"]["name"] == "other" and would["override"]["set"] == {"trace_tag": "x"}, would
    assert refused("DELETE", "/api/v1/rules/ops.on_push", None, 409)["code"] == "RUL-0112"
    SERVER.cli("rule", "override", "ops.on_push", "--disable")
    assert not api("GET", "/api/v1/rules/ops.on_push")["enabled"]
    SERVER.cli("rule", "override", "ops.on_push", "--undo", "--name", "only tags")
    assert refused("DELETE", "/api/v1/rules/ops.on_push/override", None, 409)["code"] == "RUL-0111"
    back = api("GET", "/api/v1/rules/ops.on_push")
    assert back["enabled"] and "override" not in back and back["description"] == "of a file", back
    assert back["criteria"]["trigger.ref"]["pattern"] == "refs/pull/", back
    api("POST", "/api/v1/rules", rule("own.free", "core.echo", {"message": "x"}))
    assert refused("POST", "/api/v1/rules/own.free/override", {"set": {"enabled": False}}, 409)["code"] == "RUL-0107"
    answer = json.dumps(refused("POST", "/api/v1/rules/ops.on_push/override", {"set": {"critera": {}}}))
    assert "did you mean 'criteria'" in answer, answer
    assert "did you mean 'core.echo'" in json.dumps(
        refused("POST", "/api/v1/rules/ops.on_push/override", {"set": {"action": {"ref": "core.ech"}}}))
    by = [r["by"] for r in api("GET", "/api/v1/rules/ops.on_push/revisions")]
    assert "pack:ops@1.0.0" in by, by


def bad_rules_are_refused_and_others_served():
    sound = rule("own.bad", "core.echo", {"message": "x"})
    deep = {"trigger.x": {"type": "exists"}}
    for _ in range(65):
        deep = {"all": [deep]}
    cases = {
        "a pattern of a megabyte": {"trigger.x": {"type": "equals", "pattern": "a" * (1 << 20)}},
        "a regex of 100 KiB": {"trigger.x": {"type": "regex", "pattern": "(a|b)" * 20_000}},
        "a tree of depth 65": deep,
        "too many tests": {f"trigger.x#{n}": {"type": "exists"} for n in range(1001)},
    }
    for name, criteria in cases.items():
        status, _, answer = SERVER.client().request("POST", "/api/v1/rules", sound | {"criteria": criteria})
        print(f"     {name}: {status} {str(answer.get('detail', answer))[:160]} {str(answer.get('errors', ''))[:200]}")
        assert status in (400, 413), (name, status, answer)
    SERVER.cli("run", "core.echo", "message=still here")


def secrets_of_actions_are_hidden():
    folder = SERVER.packs_folder / "ops"
    (folder / "actions/login.yaml").write_text(
        "name: login\npack: ops\ndescription: d\nenabled: true\nrunner_type: noop\n"
        "parameters: {token: {type: string, secret: true}, user: {type: string}}\n")
    SERVER.reload()
    until("the action is there", lambda: SERVER.client().request("GET", "/api/v1/actions/ops.login")[0] == 200)
    body = rule("own.login", "ops.login", {"token": "s3cret-s3cret", "user": "ann"})
    made = api("POST", "/api/v1/rules", body)
    assert made["action"]["parameters"] == {"token": "********", "user": "ann"}, made
    shown = api("GET", "/api/v1/rules/own.login")
    api("PUT", "/api/v1/rules/own.login", shown | {"description": "kept"})
    if not SERVER.store:  # else it is not in a file
        with contextlib.closing(sqlite3.connect(f"file:{SERVER.data}/millrace.db?mode=ro", uri=True)) as store:
            specs = store.execute("SELECT spec FROM rule WHERE ref = 'own.login' AND revision = 2").fetchall()
        assert b"s3cret-s3cret" in bytes(specs[0][0]), "the mask was written in its place"
    everything = SERVER.cli("rule", "list", "-o", "yaml") + SERVER.cli("rule", "history", "own.login")
    assert "s3cret-s3cret" not in everything, everything
    api("PUT", "/api/v1/rules/own.login", body | {"action": {"ref": "ops.login", "parameters": {"token": "{{ st2kv.system.t }}"}}})
    assert api("GET", "/api/v1/rules/own.login")["action"]["parameters"]["token"] == "{{ st2kv.system.t }}"
    api("DELETE", "/api/v1/rules/own.login", expect=(204,))


CASES = [
    secrets_of_actions_are_hidden,
    a_rule_sees_its_enforcement,
    a_workflow_sees_the_system_of_its_rule,
    verdicts_are_told_of_events_that_did_not_match,
    a_backstop_says_who_was_before_it,
    a_test_is_the_rules_own_way,
    an_event_of_a_trigger_is_checked,
    events_are_replayed_dry_and_for_real,
    what_the_server_makes_is_not_replayed_unless_named,
    a_disabled_rule_is_tried_as_if_it_were_enabled,
    a_rule_whose_timer_is_paused_says_so,
    events_are_replayed_by_filter,
    revisions_tell_who_changed_what,
    a_dry_run_changes_nothing,
    stackstorms_files_are_taken_as_they_are,
    an_override_outlives_reloads_and_is_undone,
    bad_rules_are_refused_and_others_served,
]


def main():
    global SERVER
    with tempfile.TemporaryDirectory() as folder:
        packs = Path(folder) / "packs"
        pack(packs)
        with Server(packs=[packs]) as SERVER:
            SERVER.packs_folder = packs
            SERVER.start()
            return run_cases(CASES)


sys.exit(main())
