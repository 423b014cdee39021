#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packs of packs/: clean, whole, their own tests pass, and they run through the binary."""
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

from harness import ROOT, Server, binary, run_cases, until

PACKS = sorted(folder.parent for folder in ROOT.glob("packs/*/pack.yaml"))
TOUR = ROOT / "packs/examples/tour"
OURS = [*(folder for folder in PACKS if folder.name != "core"), TOUR]
# What a server does not do yet. Nothing else may be wrong.
NOT_YET = ("cannot be used yet", "have no effect yet")


def each_is_clean():
    for folder in OURS:
        run = subprocess.run([binary(), "pack", "check", str(folder)],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        told = [line for line in (run.stdout + run.stderr).splitlines() if "warning: " in line]
        assert all(line.endswith(NOT_YET) for line in told), told


def each_is_whole():
    for folder in OURS:
        for name in ("README.md", "icon.svg", "config.schema.yaml", "tests"):
            assert (folder / name).exists(), f"{folder.name} has no {name}"


def the_tests_of_each_pass():
    where = {**os.environ, "PYTHONPATH": str(ROOT / "sdk/python/src"),
             "PYTHONDONTWRITEBYTECODE": "1"}
    for folder in OURS:
        run = subprocess.run([sys.executable, "-m", "millrace.pack_tests", str(folder)],
                             capture_output=True, text=True, env=where, timeout=120)
        assert run.returncode == 0, f"{folder.name}:\n{run.stdout}{run.stderr}"


def all_load_together():
    with Server(packs=OURS).start() as server:
        packs = server.client().data("GET", "/api/v1/packs")
        assert {pack["ref"] for pack in packs} == {"core", *(each.name for each in OURS)}, packs


def result(server, action, **parameters):
    done = server.client().data("POST", "/api/v1/executions?wait=60s",
                                {"action": action, "parameters": parameters})
    assert done["status"] == "succeeded", done
    return done


def facts_and_commits_are_read():
    with Server(packs=[ROOT / "packs/linux", ROOT / "packs/git"]).start() as server:
        disk = result(server, "linux.disk")["result"]["result"]
        assert disk["total_bytes"] > disk["free_bytes"] > 0, disk
        found = result(server, "linux.processes", name="millrace")["result"]["result"]
        assert server.pid() in [each["pid"] for each in found["processes"]], found
        subprocess.run(["git", "init", "--quiet", server.home / "origin"], check=True)
        done = server.client().data("POST", "/api/v1/executions?wait=60s", {
            "action": "git.head", "parameters": {"url": f"file://{server.home}/origin"}})
        assert done["status"] == "failed", "file:// is no transport that was configured"
        assert "'file' not allowed" in done["result"]["stderr"], done


def the_tour_shows_what_runs():
    with Server(packs=[TOUR]).start() as server:
        assert result(server, "tour.greet", name="you")["result"]["stdout"] == "Hello, you!\n"
        loud = result(server, "tour.greet", name="$(id)", shout=True)
        assert loud["result"]["stdout"] == "HELLO, $(ID)!\n", loud
        assert float(result(server, "tour.uptime")["result"]["stdout"]) > 0
        longest = result(server, "tour.longest_word", text="how very long")
        assert longest["result"]["stdout"] == "very\n", longest
        (server.home / "new.txt").write_text("three words here\n")
        server.cli("event", "send", "tour.file_arrived", "--payload",
                   json.dumps({"path": f"{server.home}/new.txt"}))
        client = server.client()
        ran = until("the rule has run it", lambda: ended(client, "tour.measure"), 60)
        assert ran[0]["status"] == "succeeded", ran
        done = client.data("GET", f"/api/v1/executions/{ran[0]['id']}")
        assert done["result"]["result"] == {"lines": 1, "words": 3}, done
        compared = result(server, "tour.compare", first=f"{server.home}/new.txt",
                          second=f"{server.home}/new.txt")
        assert compared["result"]["output"] == {"words": [3, 3]}, compared
    for case in TOUR.glob("rehearsals/*.yaml"):
        run = subprocess.run([binary(), "workflow", "test", str(case)],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr


def a_sensor_tells_that_a_limit_is_crossed():
    server = Server(packs=())
    server.packs = [server.home / "linux"]
    shutil.copytree(ROOT / "packs/linux", server.home / "linux")
    with open(server.home / "linux/pack.yaml", "a") as file:
        file.write("config: {processes: [{name: no such process, least: 1}]}\n")
    with server.start():
        client = server.client()
        client.data("POST", "/api/v1/rules", {
            "ref": "ops.look", "trigger": {"ref": "linux.threshold_crossed"},
            "criteria": {"trigger.ok": {"type": "equals", "pattern": False}},
            "action": {"ref": "core.echo", "parameters": {"message": "{{ trigger.subject }}"}}})
        told = until("the rule has run", lambda: ended(client, "core.echo"), 60)
        done = client.data("GET", f"/api/v1/executions/{told[0]['id']}")
        assert done["result"]["output"] == "no such process", done


class Slack(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def ended(client, action):
    runs = client.data("GET", f"/api/v1/executions?action={action}")
    return [each for each in runs if each["status"] in ("succeeded", "failed")]


def an_alert_comes_in_once_and_a_rule_posts_it():
    slack = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slack)
    slack.bodies = []
    threading.Thread(target=slack.serve_forever, daemon=True).start()
    server = Server(packs=())
    server.packs = [ROOT / "packs/prometheus", server.home / "slack"]
    shutil.copytree(ROOT / "packs/slack", server.home / "slack")
    url = f"http://127.0.0.1:{slack.server_port}/services/hush-hush"
    with open(server.home / "slack/pack.yaml", "a") as file:
        file.write(f"config: {{webhook_url: '{url}'}}\n")
    with server.start():
        client = server.client()
        server.cli("webhook", "create", "alertmanager", "--scheme", "token")
        client.data("POST", "/api/v1/rules", {
            "ref": "ops.page", "trigger": {"ref": "prometheus.alert"},
            "criteria": {"trigger.labels.severity": {"type": "equals", "pattern": "page"}},
            "action": {"ref": "slack.post_webhook", "parameters": {
                "text": "{{ trigger.status }}: {{ trigger.annotations.summary }}"}}})
        alert = {"status": "firing", "labels": {"alertname": "DiskFull", "severity": "page"},
                 "annotations": {"summary": "97 % used"}, "startsAt": "2026-01-02T03:04:05Z",
                 "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "c0ffee"}
        quiet = {**alert, "labels": {"alertname": "Slow"}, "fingerprint": "decaf"}
        for repeat in range(2):
            client.data("POST", "/api/v1/webhooks/alertmanager", {
                "version": "4", "receiver": "millrace", "alerts": [alert, quiet], "n": repeat})
        until("both deliveries were taken",
              lambda: len(ended(client, "prometheus.take_alerts")) == 2, 60)
        posts = until("it was posted", lambda: ended(client, "slack.post_webhook"), 60)
        assert [each["status"] for each in posts] == ["succeeded"], posts
        assert slack.bodies == [{"text": "firing: 97 % used"}], slack.bodies
        assert "hush-hush" not in json.dumps(posts)
    slack.shutdown()


if __name__ == "__main__":
    sys.exit(run_cases([
        each_is_clean,
        each_is_whole,
        the_tests_of_each_pass,
        all_load_together,
        facts_and_commits_are_read,
        the_tour_shows_what_runs,
        a_sensor_tells_that_a_limit_is_crossed,
        an_alert_comes_in_once_and_a_rule_posts_it,
    ]))
