#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each command of the command line once against the real server: exit codes, output, hints."""
import json
import os
import subprocess
import sys

from harness import LEDGER_PACKS, Server, binary, run_cases


def fails(server, code, *words, env=None):
    """Runs a command that must fail with `code`; returns stderr, whose last line is a hint."""
    run = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60,
                         env={**os.environ, "MILLRACE_DATA": str(server.data), **(env or {})})
    assert run.returncode == code, f"{words}: exit {run.returncode}, expected {code}: {run.stderr}"
    assert run.stderr.splitlines()[-1].startswith("hint: "), f"{words}: no hint: {run.stderr}"
    return run.stderr


def as_json(server, *words):
    return json.loads(server.cli(*words, "-o", "json"))


def actions_run_and_stream(server):
    assert server.cli("run", "core.echo", "message=hi").strip() == "hi"
    assert server.cli("run", "core.local", "cmd=echo out; echo err >&2") == "out\n"
    server.cli("run", "core.local", "cmd=exit 3", expect=1)
    server.cli("run", "core.local", "cmd=sleep 20", "--timeout", "300ms", expect=124)
    identifier = server.cli("run", "core.local", "cmd=echo later", "--async").strip()
    assert server.cli("execution", "logs", identifier, "-f") == "later\n"
    assert server.cli("execution", "logs", identifier) == "later\n"
    server.cli("execution", "watch", identifier)
    assert as_json(server, "execution", "show", identifier)["status"] == "succeeded"
    assert identifier in server.cli("execution", "list", "--action", "core.local")
    oldest = as_json(server, "execution", "list", "--sort", "created")
    assert oldest == as_json(server, "execution", "list", "--sort", "-created")[::-1]
    assert identifier in server.cli("trace", "show", identifier)
    slow = server.cli("run", "core.local", "cmd=sleep 30", "--async").strip()
    server.cli("execution", "cancel", slow)
    server.cli("execution", "watch", slow, expect=1)
    server.cli("execution", "resolve", slow, "fail", expect=1)


def scripts_of_packs_run(server):
    """The release lies in the data folder, which was given relative to where the server started."""
    note = server.home / "note"
    server.cli("run", "ledger.write_again", f"ledger={note}")
    assert note.read_text(), "the script wrote nothing"


def rules_are_kept_and_explained(server):
    file = server.home / "rule.yaml"
    file.write_text("ref: cli.on_event\ntrigger: {ref: core.cloudevent}\n"
                    "criteria: {trigger.go: {type: equals, pattern: true}}\n"
                    "action: {ref: core.echo, parameters: {message: hi}}\n")
    server.cli("rule", "create", "--file", str(file))
    server.cli("rule", "update", "--file", str(file))
    assert as_json(server, "rule", "show", "cli.on_event")["action"]["ref"] == "core.echo"
    server.cli("rule", "disable", "cli.on_event")
    server.cli("rule", "enable", "cli.on_event")
    assert "cli.on_event" in server.cli("rule", "list")
    sent = as_json(server, "event", "send", "core.cloudevent", "--payload", '{"go":true}')["event"]
    missed = as_json(server, "event", "send", "core.cloudevent", "--payload", '{"go":false}')["event"]
    assert "matched" in server.cli("rule", "why", "cli.on_event", sent)
    assert "did not match" in server.cli("rule", "why", "cli.on_event", missed)
    server.cli("rule", "test", "cli.on_event", "--event", sent)
    server.cli("rule", "test", "--file", str(file), "--event", missed, expect=1)
    tree = server.cli("trace", "show", sent)
    assert "rule cli.on_event" in tree and "core.echo  succeeded" in tree, tree
    assert "did not match" in server.cli("trace", "show", missed)
    assert as_json(server, "event", "show", sent)["payload"] == {"go": True}
    assert len(server.cli("event", "list", "-o", "jsonl").splitlines()) == 2
    server.cli("event", "replay", sent)
    server.cli("rule", "delete", "cli.on_event")


def keys_are_kept_and_read(server):
    token, file = server.home / "token", server.home / "keys.yaml"
    token.write_text("s3cret-token\n")
    server.cli("key", "set", "host", "db.local")
    server.cli("key", "set", "token", "--file", str(token), "--encrypt", "--ttl", "1h")
    server.cli("key", "set", "host", "other", "--scope", "user:alice")
    assert server.cli("key", "get", "host") == "db.local\n"
    assert server.cli("key", "get", "host", "--scope", "user:alice") == "other\n"
    assert server.cli("key", "get", "token") == "********\n"
    assert server.cli("key", "get", "token", "--decrypt") == "s3cret-token\n"
    assert "s3cret" not in server.cli("key", "list") and "db.local" in server.cli("key", "list")
    assert "--file" in fails(server, 2, "key", "set", "token", "s3cret", "--encrypt")
    file.write_text("ref: cli.with_keys\ntrigger: {ref: core.cloudevent}\naction: {ref: core.echo, "
                    "parameters: {message: \"{{ st2kv.system.host }} "
                    "{{ st2kv.system.token | decrypt_kv }}\"}}\n")
    server.cli("rule", "create", "--file", str(file))
    sent = as_json(server, "event", "send", "core.cloudevent", "--payload", "{}")["event"]
    assert "did not match" not in server.cli("trace", "show", sent)
    run = as_json(server, "execution", "list", "--action", "core.echo")[0]["id"]
    assert server.cli("execution", "logs", run) == "db.local s3cret-token"
    server.cli("rule", "delete", "cli.with_keys")
    server.cli("key", "delete", "host")
    fails(server, 3, "key", "get", "host")


def the_rest_answers(server):
    secret = server.home / "secret"
    secret.write_text("a long enough secret\n")
    server.cli("webhook", "create", "gh", "--scheme", "github", "--secret-file", str(secret))
    assert "gh" in server.cli("webhook", "list")
    server.cli("webhook", "delete", "gh")
    assert "core.echo" in server.cli("action", "list")
    assert "message" in server.cli("action", "show", "core.echo")
    assert "core" in server.cli("pack", "list")
    assert "core.webhook" in server.cli("trigger", "list", "-o", "yaml")
    assert "admin" in server.cli("auth", "whoami")
    token = as_json(server, "auth", "token", "create", "ci", "--permission", "rules:read")
    assert token["id"] in server.cli("auth", "token", "list")
    denied = {"MILLRACE_URL": server.url(), "MILLRACE_TOKEN": token["token"]}
    fails(server, 4, "execution", "list", env=denied)
    server.cli("auth", "token", "revoke", token["id"])
    server.cli("pack", "check", str(LEDGER_PACKS / "ledger"))
    server.cli("config", "check")
    server.cli("backup", str(server.home / "copy"))
    assert "whole" in server.cli("backup", "verify", str(server.home / "copy"))
    assert "installed" in server.cli("pack", "list")
    server.cli("pack", "uninstall", "core", expect=1)
    server.cli("doctor")
    server.cli("version")
    assert server.cli("--version") == server.cli("-V") == server.cli("version")
    for shell in ("bash", "zsh", "fish"):
        assert "resolve" in server.cli("completion", shell)


def errors_have_codes_and_hints(server):
    assert "did you mean 'list'" in fails(server, 2, "rule", "lst")
    assert "did you mean '--status'" in fails(server, 2, "execution", "list", "--stauts", "x")
    assert "did you mean 'message'" in fails(server, 2, "run", "core.echo", "mesage=hi")
    assert "secret" in fails(server, 2, "run", "core.local", "cmd=id", "sudo_password=x")
    assert "did you mean 'core.echo'" in fails(server, 3, "run", "core.ehco")
    fails(server, 3, "execution", "show", "1")
    fails(server, 4, "rule", "list", env={"MILLRACE_URL": server.url(), "MILLRACE_TOKEN": "mr_x"})
    fails(server, 5, "rule", "list", "--url", "http://127.0.0.1:1")
    fails(server, 5, "rule", "list", "--data", "/nonexistent")


def bytes_that_are_no_text_are_not_sent(server):
    file = server.home / "bytes"
    file.write_bytes(b"a\xff\xfe")
    error = fails(server, 2, "run", "core.echo", f"message=@{file}")
    assert "CLI-0006: /parameters/message: expected text in UTF-8" in error, error


def local_commands_fail_like_the_others(server):
    nowhere, bad = server.home / "nowhere", server.home / "bad.yaml"
    bad.write_text("server: {prot: 1}\n")
    fails(server, 3, "doctor", "--data", str(nowhere))
    fails(server, 3, "backup", str(server.home / "b"), "--data", str(nowhere))
    fails(server, 3, "backup", "verify", str(nowhere))
    fails(server, 3, "restore", str(nowhere), "--data", str(server.home / "r"))
    fails(server, 1, "backup", str(bad))
    assert bad.read_text() == "server: {prot: 1}\n"
    assert "did you mean 'port'" in fails(server, 2, "config", "check", "--config", str(bad))
    fails(server, 3, "config", "check", "--config", str(nowhere))
    fails(server, 2, "config", "check", "--set", "server.prot=1")
    # A worker that said so was refused by its server, each half second.
    assert "worker.labels" in fails(server, 2, "config", "check", "--set", "worker.labels=[\"os = linux\"]")
    fails(server, 3, "pack", "check", str(nowhere))
    fails(server, 1, "up", "--port", "0")  # the data folder has a server
    fails(server, 2, "up", "--port", "many", "--data", str(nowhere))
    port = server.url().rsplit(":", 1)[1]
    fails(server, 1, "up", "--port", port, "--data", str(server.home / "other"))


def a_lost_run_ends_the_wait(server):
    """`run` does not wait for a decision that somebody has to take."""
    run = subprocess.Popen([binary(), "run", "core.local", "cmd=echo begun; sleep 60",
                            "--data", str(server.data)], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "begun\n"
    server.kill(spawner=True)
    server.start()
    try:
        _, said = run.communicate(timeout=40)
    finally:
        run.kill()
    identifier = as_json(server, "execution", "list", "--status", "needs_decision")[0]["id"]
    assert run.returncode == 1, f"exit {run.returncode}: {said}"
    assert f"millrace execution resolve {identifier} retry|succeed|fail|abandon" in said, said
    assert said.splitlines()[-1].startswith("hint: "), said
    server.cli("execution", "resolve", identifier, "succeed")


def commands():
    with Server(settings={"log.level": "warn"}, relative=True) as server:
        server.start()
        for part in (actions_run_and_stream, scripts_of_packs_run, rules_are_kept_and_explained,
                     keys_are_kept_and_read, the_rest_answers, errors_have_codes_and_hints,
                     bytes_that_are_no_text_are_not_sent,
                     local_commands_fail_like_the_others, a_lost_run_ends_the_wait):
            part(server)
        assert server.stop() == 0


if __name__ == "__main__":
    sys.exit(run_cases([commands]))
