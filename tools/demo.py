#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo: a signed GitHub push becomes a finished action, and survives kill -9 on the way.

Everything is real: the binary, the signature, the git repository, the kills.
"""
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from harness import Server, binary, until  # noqa: E402

SECRET = os.urandom(20).hex()
BEGAN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", flush=True)


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted}, found {found}")
    say(f"    {what}: {found}")


def make_repository(folder):
    """A git repository with two commits on main and one on another branch."""
    def git(*arguments):
        env = {**os.environ, "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
               "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
               "GIT_CONFIG_NOSYSTEM": "1"}
        run = subprocess.run(["git", "-C", str(folder), *arguments], check=True, env=env,
                             capture_output=True, text=True)
        return run.stdout.strip()

    folder.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    for number in range(3):
        (folder / f"part{number}.py").write_text("print('part')\n" * (number + 1))
    (folder / "README.md").write_text("# Gears\n\nSmall ones.\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "Add gears")
    return git("rev-parse", "HEAD")


def push_body(repository, commit, branch):
    """What GitHub sends for a push, cut to the fields that matter here."""
    return json.dumps({
        "ref": f"refs/heads/{branch}", "before": "0" * 40, "after": commit, "deleted": False,
        "repository": {"id": 1, "name": "gears", "full_name": "ada/gears", "private": False,
                       "clone_url": str(repository), "default_branch": "main"},
        "pusher": {"name": "ada", "email": "ada@example.com"},
        "head_commit": {"id": commit, "message": "Add gears", "added": ["README.md"]},
    })


def deliver(client, body, delivery, secret=SECRET):
    signature = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push",
               "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": f"sha256={signature}"}
    status, _, answer = client.request("POST", "/api/v1/webhooks/github", body, headers)
    return status, answer


def executions_of(client, event):
    rows = client.data("GET", f"/api/v1/enforcements?event={event}")
    return [client.data("GET", f"/api/v1/executions/{row['execution']}") for row in rows]


def the_execution(client, event):
    rows = executions_of(client, event)
    expect("executions of this event", len(rows), 1)
    return rows[0]


def finished(client, execution, seconds=30):
    return client.data("GET", f"/api/v1/executions/{execution}?wait={seconds}s")


def until_checked_out(server, execution):
    """Follows the live output until the action has made its checkout: the middle of its work."""
    command = [binary(), "execution", "logs", execution, "-f", "--data", str(server.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as follower:
        for line in follower.stdout:
            if "checked out" in line:
                say(f"    live output: {line.strip()}")
                follower.kill()
                return
    raise AssertionError("the output ended before the checkout")


def restart(server):
    began = time.monotonic()
    server.start()
    say(f"    restarted, ready after {(time.monotonic() - began) * 1000:.0f} ms")
    return server.client()


def main():
    with Server(packs=[ROOT / "packs/examples"], settings={"log.level": "warn"}) as server:
        repository = server.home / "gears"
        commit = make_repository(repository)
        body = push_body(repository, commit, "main")
        journal = server.home / "journal"

        say("1. a server on a free port, with an empty data folder")
        server.start()
        client = server.client()
        say(f"    {server.url()}, data in {server.data}")

        say("2. a webhook endpoint and a rule on pushes to main")
        secret_file = server.home / "secret"
        secret_file.write_text(SECRET)
        server.cli("webhook", "create", "github", "--scheme", "github",
                   "--secret-file", str(secret_file))
        rule_file = server.home / "rule.json"
        rule_file.write_text(json.dumps({
            "ref": "demo.pushed",
            "trigger": {"ref": "core.webhook", "parameters": {"name": "github"}},
            "criteria": {"trigger.body.ref": {"type": "equals", "pattern": "refs/heads/main"}},
            "action": {"ref": "demo.count_repository",
                       "parameters": {"url": "{{ event.payload.body.repository.clone_url }}",
                                      "commit": "{{ event.payload.body.after }}", "linger": 2}},
        }))
        server.cli("rule", "create", "--file", str(rule_file))

        say("3. what must not start anything")
        expect("a wrong signature", deliver(client, body, "d-0", secret="wrong")[0], 401)
        status, other = deliver(client, push_body(repository, commit, "topic"), "d-1")
        expect("a push to another branch is accepted", status, 202)
        expect("and matches no rule", len(executions_of(client, other["data"]["event"])), 0)

        say("4. a push to main; the server is killed (kill -9) in the middle of the action")
        status, first = deliver(client, body, "d-2")
        expect("accepted", status, 202)
        event = first["data"]["event"]
        execution = the_execution(client, event)["id"]
        until_checked_out(server, execution)
        server.kill()
        client = restart(server)
        row = finished(client, execution)
        expect("the child was adopted and finished, attempt", (row["attempt"], row["status"]),
               (1, "succeeded"))
        say(f"    report: {json.dumps(row['result']['output'])}")
        status, again = deliver(client, body, "d-2")
        expect("the same delivery again gives the same event", again["data"]["event"], event)
        expect("marked as a duplicate", again["data"]["duplicate"], True)
        the_execution(client, event)

        say("5. server and spawner are killed: an idempotent action runs again")
        body2 = json.dumps({**json.loads(body), "before": commit})
        event2 = deliver(client, body2, "d-3")[1]["data"]["event"]
        second = the_execution(client, event2)["id"]
        announced = client.data("POST", "/api/v1/executions", {
            "action": "demo.announce",
            "parameters": {"commit": commit, "journal": str(journal), "linger": 30}})["id"]
        until("the announcement is made", journal.exists)
        until_checked_out(server, second)
        server.kill(spawner=True)
        client = restart(server)
        row = finished(client, second)
        expect("the idempotent one ran again, attempt", (row["attempt"], row["status"]),
               (2, "succeeded"))

        say("6. an at_most_once action waits for a person")
        row = client.data("GET", f"/api/v1/executions/{announced}")
        expect("status", row["status"], "needs_decision")
        say(f"    {row['held']}")
        server.cli("execution", "resolve", announced, "succeed", "--comment", "it is in the journal")
        row = client.data("GET", f"/api/v1/executions/{announced}")
        expect("after `millrace execution resolve ... succeed`", row["status"], "succeeded")
        expect("announcements in the journal", len(journal.read_text().splitlines()), 1)

        say("7. the traces, from webhook to result")
        for number in (event, event2):
            print(server.cli("trace", "show", number))
        expect("exit code of a stop (SIGTERM)", server.stop(), 0)
        print(server.doctor().strip())
        say("done")
        print("\nLook further:\n"
              "  ./dev up                       start a server of your own\n"
              "  millrace execution list        what ran\n"
              "  millrace rule why RULE EVENT   why a rule matched an event, or did not\n"
              "  README.md                      your own rule in ten minutes")


if __name__ == "__main__":
    main()
