#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The actions of the core pack that StackStorm has, under its refs and with its parameters."""
import email
import email.policy
import sys

from harness import Server, run_cases

# Read off StackStorm's contrib/core: what a call there may name.
STACKSTORM = {
    "announcement": "message",
    "ask": "prompt? schema users roles ttl route",
    "echo": "message",
    "error": "message",
    "http": "url method headers body params timeout",
    "inject_trigger": "trigger trigger_name payload trace_tag",
    "local": "cmd",
    "local_sudo": "cmd",
    "noop": "",
    "pause": "max_pause random",
    "remote": "cmd hosts username password private_key",
    "remote_sudo": "cmd hosts username password private_key",
    "sendmail": "sendmail_binary from to subject send_empty_body content_type body attachments",
    "uuid": "uuid_type",
    "winrm_cmd": "cmd host username password",
    "winrm_ps_cmd": "cmd host username password",
}


def run(server, action, **parameters):
    return server.client().data("POST", "/api/v1/executions?wait=60s",
                                {"action": action, "parameters": parameters})


def result(server, action, **parameters):
    done = run(server, action, **parameters)
    assert done["status"] == "succeeded", done
    return done["result"]


def all_are_there_with_their_parameters():
    with Server(packs=()).start() as server:
        for name, expected in STACKSTORM.items():
            action = server.client().data("GET", f"/api/v1/actions/core.{name}")
            known = {parameter["name"] for parameter in action["parameters"]}
            missing = {word for word in expected.split() if not word.endswith("?")} - known
            assert not missing, (name, missing, known)


def those_that_run_give_what_stackstorm_gives():
    with Server(packs=()).start() as server:
        made = result(server, "core.uuid")["result"]
        assert len(made) == 36 and made[14] == "4", made
        assert result(server, "core.uuid", uuid_type="uuid1")["result"][14] == "1"
        assert result(server, "core.pause", max_pause=0)["result"] == 0
        assert result(server, "core.pause", max_pause=1, random=True)["result"] == 1
        told = result(server, "core.error", message="$(id) it's \"so\"")
        assert (told["stdout"], told["stderr"]) == ("", "$(id) it's \"so\""), told


def an_event_is_injected_by_either_name():
    with Server(packs=()).start() as server:
        for name in ("trigger", "trigger_name"):
            given = {name: "core.cloudevent",
                     "payload": {"id": name, "source": "test", "type": "test"}}
            sent = result(server, "core.inject_trigger", **given)["output"]["event"]
            event = server.client().data("GET", f"/api/v1/events/{sent}")
            assert (event["trigger"], event["payload"]["id"]) == ("core.cloudevent", name), event
        assert run(server, "core.inject_trigger")["status"] == "failed"


def mail_is_handed_to_sendmail():
    with Server(packs=()).start() as server:
        program, kept = server.home / "sendmail", server.home / "mail"
        program.write_text(f"#!/bin/sh\ncat > {kept}; [ ! -e {server.home}/full ]\n")
        program.chmod(0o755)
        (server.home / "notes.txt").write_text("two lines\nof notes\n")
        given = {"sendmail_binary": str(program), "to": "ann@example.com, bob@example.com",
                 "subject": "Grüße", "body": "<b>$(id)</b> ü",
                 "attachments": f"{server.home}/notes.txt,{server.home}/missing"}
        told = result(server, "core.sendmail", **given)
        assert told["stdout"] == "Successfully sent mail to ann@example.com, bob@example.com", told
        assert "missing not found, skipping" in told["stderr"], told
        mail = email.message_from_bytes(kept.read_bytes(), policy=email.policy.default)
        assert mail["To"] == given["to"] and mail["Subject"] == "Grüße", mail
        assert mail["From"].startswith("stanley@"), mail["From"]
        body, attachment = mail.iter_parts()
        assert body.get_content_type() == "text/html", body
        assert body.get_content().strip() == given["body"], body
        assert attachment.get_filename() == "notes.txt", attachment
        assert attachment.get_content() == "two lines\nof notes\n"

        kept.unlink()
        told = result(server, "core.sendmail", **{**given, "body": " ", "send_empty_body": False})
        assert told["stdout"] == "Nothing to send" and not kept.exists(), told
        failed = run(server, "core.sendmail", **{**given, "subject": "two\nlines"})
        assert (failed["status"], failed["result"]["exit_code"]) == ("failed", 2), failed
        (server.home / "full").touch()
        failed = run(server, "core.sendmail", **given)
        assert (failed["status"], failed["result"]["exit_code"]) == ("failed", 2), failed
        assert failed["result"]["stdout"].startswith("Failed to send mail to "), failed


def what_cannot_run_fails_and_says_why():
    with Server(packs=()).start() as server:
        for action, given, why in (
            ("core.winrm_cmd", {"cmd": "dir", "host": "w"}, "winrm-cmd"),
            ("core.winrm_ps_cmd", {"cmd": "dir", "host": "w"}, "winrm-ps-cmd"),
            ("core.local_sudo", {"cmd": "id"}, "sudo"),
        ):
            done = run(server, action, **given)
            assert done["status"] == "failed", done
            assert why in str(done["result"]), done


if __name__ == "__main__":
    sys.exit(run_cases([
        all_are_there_with_their_parameters,
        those_that_run_give_what_stackstorm_gives,
        an_event_is_injected_by_either_name,
        mail_is_handed_to_sendmail,
        what_cannot_run_fails_and_says_why,
    ]))
