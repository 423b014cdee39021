#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo: a signed GitHub push becomes a delivered commit, and survives kill -9 on the way.

The push starts the workflow demo.deliver: check out, lint and test side by side, ask, publish,
announce. Everything is real: the binary, the signature, the git repository, the kills.
"""
import collections
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
    """A git repository with one commit; returns its hash."""
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


def push_body(repository, commit, branch, before):
    """What GitHub sends for a push, cut to the fields that matter here."""
    return json.dumps({
        "ref": f"refs/heads/{branch}", "before": before, "after": commit, "deleted": False,
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


class Demo:
    """One server with its repository, and what the workflows write."""

    def __init__(self, server):
        self.server = server
        self.repository = server.home / "gears"
        self.commit = make_repository(self.repository)
        self.registry = server.home / "registry"
        self.registry.mkdir()
        self.workspace = server.home / "workspace"
        self.journal = server.home / "journal"
        self.client = None

    def start(self):
        began = time.monotonic()
        self.server.start()
        self.client = self.server.client()
        return (time.monotonic() - began) * 1000

    def kill(self, spawner=False):
        self.server.kill(spawner=spawner)
        say(f"    restarted, ready after {self.start():.0f} ms")

    def create_webhook_and_rule(self):
        secret_file = self.server.home / "secret"
        secret_file.write_text(SECRET)
        self.server.cli("webhook", "create", "github", "--scheme", "github",
                        "--secret-file", str(secret_file))
        rule_file = self.server.home / "rule.json"
        rule_file.write_text(json.dumps({
            "ref": "demo.pushed",
            "trigger": {"ref": "core.webhook", "parameters": {"name": "github"}},
            "criteria": {"trigger.body.ref": {"type": "equals", "pattern": "refs/heads/main"}},
            "action": {"ref": "demo.deliver", "parameters": {
                "url": "{{ event.payload.body.repository.clone_url }}",
                "commit": "{{ event.payload.body.after }}", "linger": 2,
                "workspace": str(self.workspace), "registry": str(self.registry),
                "journal": str(self.journal)}},
        }))
        self.server.cli("rule", "create", "--file", str(rule_file))

    def push(self, delivery, branch="main", before="0" * 40, **more):
        body = push_body(self.repository, self.commit, branch, before)
        return deliver(self.client, body, delivery, **more)

    def steps(self, workflow, task):
        """The executions of a task, the oldest first."""
        rows = self.client.data("GET", f"/api/v1/executions?parent={workflow}&limit=200")
        return [row for row in reversed(rows) if row["task"] == task]

    def step(self, workflow, task):
        """The execution of a task once it is under way."""
        return until(f"{task} runs", lambda: [row for row in self.steps(workflow, task)
                                              if row["status"] == "running"])[0]["id"]

    def follow(self, execution, words):
        """Shows the live output until it says `words`: the middle of the step's work."""
        command = [binary(), "execution", "logs", execution, "-f", "--data", str(self.server.data)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as follower:
            for line in follower.stdout:
                if words in line:
                    say(f"    live output: {line.strip()}")
                    follower.kill()
                    return
        raise AssertionError(f"the output ended and did not say '{words}'")

    def approve(self, workflow):
        """Waits for the workflow's question and answers it from the command line."""
        asking = until("the workflow asks", lambda: [
            row for row in self.steps(workflow, "approve") if row["status"] == "pending"])[0]["id"]
        print(self.server.cli("inquiry", "list", "--status", "pending"), end="")
        print(self.server.cli("inquiry", "answer", asking, "approved=true"), end="", flush=True)

    def expect_steps(self, workflow, wanted):
        """`wanted`: {task: how its executions ended}."""
        rows = self.client.data("GET", f"/api/v1/executions?parent={workflow}&limit=200")
        found = collections.defaultdict(list)
        for row in reversed(rows):
            found[row["task"]].append(row["status"])
        for task in wanted:
            expect(f"{task} ran as", " ".join(found[task]), wanted[task])
        expect("and nothing else", sorted(found), sorted(wanted))


def what_starts_nothing(demo):
    expect("a wrong signature", demo.push("d-0", secret="wrong")[0], 401)
    status, other = demo.push("d-1", branch="topic")
    expect("a push to another branch is accepted", status, 202)
    expect("and matches no rule", len(executions_of(demo.client, other["data"]["event"])), 0)


def server_dies_during_checkout(demo):
    """Returns the event and the workflow."""
    status, first = demo.push("d-2")
    expect("accepted", status, 202)
    event = first["data"]["event"]
    workflow = the_execution(demo.client, event)["id"]
    checkout = demo.step(workflow, "check_out")
    demo.follow(checkout, "checked out")
    demo.kill()
    row = finished(demo.client, checkout)
    expect("the child was adopted and finished, attempt", (row["attempt"], row["status"]),
           (1, "succeeded"))
    status, again = demo.push("d-2")
    expect("the same delivery again gives the same event", again["data"]["event"], event)
    expect("marked as a duplicate", again["data"]["duplicate"], True)
    the_execution(demo.client, event)
    return event, workflow


def server_and_spawner_die(demo, workflow):
    """Returns the announcement, of which nobody knows now whether it was made."""
    counting, announcing = demo.step(workflow, "count"), demo.step(workflow, "announce")
    demo.follow(counting, "checked out")
    demo.follow(announcing, "announced")
    demo.kill(spawner=True)
    row = finished(demo.client, counting)
    expect("the idempotent step ran again, attempt", (row["attempt"], row["status"]),
           (2, "succeeded"))
    row = demo.client.data("GET", f"/api/v1/executions/{announcing}")
    expect("the at_most_once step", row["status"], "needs_decision")
    say(f"    {row['held']}")
    return announcing


def a_person_decides(demo, workflow, announcing):
    demo.server.cli("execution", "resolve", announcing, "succeed", "--comment", "it is announced")
    row = finished(demo.client, workflow)
    expect("after `millrace execution resolve ... succeed` the workflow", row["status"], "succeeded")
    say(f"    output: {json.dumps(row['result']['output'])}")
    lines = [line.split() for line in demo.journal.read_text().splitlines()]
    expect("announcements in the journal", sum(line[0].endswith("announce") for line in lines), 1)
    demo.expect_steps(workflow, {
        "check_out": "succeeded", "lint": "succeeded succeeded succeeded",
        "test": "succeeded succeeded succeeded", "approve": "succeeded",
        "publish": "failed succeeded", "count": "succeeded", "announce": "succeeded",
        "report": "succeeded"})


def a_second_run_is_canceled(demo):
    """Returns its event and the workflow."""
    # What GitHub has signed is the body: an equal one would be the first push again.
    event = demo.push("d-3", before=demo.commit)[1]["data"]["event"]
    workflow = the_execution(demo.client, event)["id"]
    demo.approve(workflow)
    demo.step(workflow, "announce")
    published = demo.registry / demo.commit[:12]
    expect("published", published.exists(), True)
    demo.server.cli("execution", "cancel", workflow)
    row = finished(demo.client, workflow)
    expect("after `millrace execution cancel`", row["status"], "canceled")
    expect("published", published.exists(), False)
    expect("the checkout is there", (demo.workspace / demo.commit[:12]).exists(), False)
    demo.expect_steps(workflow, {
        "check_out": "succeeded", "lint": "succeeded succeeded succeeded",
        "test": "succeeded succeeded succeeded", "approve": "succeeded", "publish": "succeeded",
        "count": "canceled", "announce": "canceled", "withdraw": "succeeded",
        "clean_up": "succeeded"})
    return event, workflow


def main():
    with Server(packs=[ROOT / "packs/examples"], settings={"log.level": "warn"}) as server:
        demo = Demo(server)
        say("1. a server on a free port, with an empty data folder")
        demo.start()
        say(f"    {server.url()}, data in {server.data}")

        say("2. a webhook endpoint, and a rule: a push to main starts the workflow demo.deliver")
        demo.create_webhook_and_rule()

        say("3. what must not start anything")
        what_starts_nothing(demo)

        say("4. a push to main; the server is killed (kill -9) in the middle of the checkout")
        event, workflow = server_dies_during_checkout(demo)

        say("5. lint and test run side by side; then the workflow asks: `millrace inquiry answer`")
        (demo.registry / "busy").touch()  # it will refuse the first request
        demo.approve(workflow)

        say("6. publish fails once and is retried; then server and spawner are killed")
        announcing = server_and_spawner_die(demo, workflow)

        say("7. an at_most_once step waits for a person")
        a_person_decides(demo, workflow, announcing)

        say("8. a second run is cancelled after it has published: what was done is undone")
        event2, workflow2 = a_second_run_is_canceled(demo)

        say("9. the traces, from webhook to result, and where each task stands")
        for number in (event, event2):
            print(server.cli("trace", "show", number))
        print(f"$ millrace execution graph {workflow}\n{server.cli('execution', 'graph', workflow)}")
        expect("exit code of a stop (SIGTERM)", server.stop(), 0)
        print(server.doctor().strip())
        say("done")
        print("\nLook further:\n"
              "  ./dev up                       start a server of your own\n"
              "  millrace execution list        what ran\n"
              "  millrace trace show ID         what an event caused, or where an execution is from\n"
              "  millrace execution graph ID    the tasks of a workflow, and where each stands\n"
              "  millrace rule why RULE EVENT   why a rule matched an event, or did not\n"
              "  packs/examples/demo            the workflow: actions/workflows/deliver.yaml\n"
              "  docs/guides/workflows.md       your own workflow\n"
              "  README.md                      your own rule in ten minutes")


if __name__ == "__main__":
    main()
