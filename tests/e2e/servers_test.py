#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several servers of one PostgreSQL, through the real binary: what each answers although another
one owns it, what becomes of it when that one dies, and what a process without an API tells."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import uuid

from harness import (
    Client, Postgres, Server, binary, cloud_event, rule, run_cases, until)

EVENT = {"Content-Type": "application/cloudevents+json"}
FAST = {"log.level": "warn", "server.drain_timeout_ms": 2000}
POSTGRES = None


class Cluster:
    """Servers of one store: the first one makes keys and admin token, the others have its keys."""

    def __init__(self, *roles, settings=None):
        self.schema = "s" + uuid.uuid4().hex[:12]
        self.servers = []
        for number, role in enumerate(roles, 1):
            one = Server(postgres=POSTGRES, roles=role, settings={
                **FAST, "worker.name": f"n{number}", "worker.slots": 2, "grpc.port": 0,
                "store.schema": self.schema, **(settings or {})})
            one.store["store.schema"] = one.settings["store.schema"] = self.schema
            self.servers.append(one)

    def __enter__(self):
        first = self.servers[0]
        for server in self.servers:
            if server is not first:
                server.data.mkdir(mode=0o700, parents=True)
                shutil.copy(first.data / "keys.json", server.data / "keys.json")
            server.start()
        self.token = first.token()
        until("every server knows all others", lambda: all(
            len(self.list(s)) == len(self.servers) for s in self.with_api()))
        until("the shards have owners", lambda: sum(
            s["shards"] for s in self.list(self.with_api()[0])) == 64)
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.close()

    def with_api(self):
        return [s for s in self.servers if "api" in s.roles and s.alive()]

    def client(self, server):
        return Client(server.url(), self.token)

    def list(self, server):
        with contextlib.closing(self.client(server)) as client:
            return client.data("GET", "/api/v1/servers")


def a_process_without_an_api_answers_probes_alone():
    with Cluster("api,executor,worker", "executor") as cluster:
        first, second = cluster.servers
        client = cluster.client(second)
        for path in ("/livez", "/ready", "/health"):
            assert client.request("GET", path)[0] == 200, path
        info = client.data("GET", "/info")
        assert info["grpc"].startswith("127.0.0.1:"), info
        status, _, text = client.request("GET", "/metrics")
        assert status == 200 and b"millrace_commits_total" in text
        assert Client(second.url(), None).request("GET", "/metrics")[0] == 401
        status, _, problem = client.request("GET", "/api/v1/servers")
        assert status == 404 and problem["code"] == "API-0006", problem
        servers = {s["name"]: s for s in cluster.list(first)}
        assert servers["n1"]["roles"] == ["api", "executor", "worker"], servers
        assert servers["n2"]["roles"] == ["executor"] and servers["n2"]["shards"] == 32, servers
        assert servers["n2"]["state"] == "live"
        table = first.cli("server", "list")
        assert re.search(r"\bn2\b.*\b32\b", table), table


def a_server_takes_what_another_one_decides():
    with Cluster("api,executor,worker", "api") as cluster:
        first, front = cluster.servers
        client = cluster.client(front)
        done = client.data("POST", "/api/v1/executions?wait=30s",
                           {"action": "core.echo", "parameters": {"message": "hi"}})
        assert done["status"] == "succeeded", done
        seen = cluster.client(first).data("GET", f"/api/v1/executions/{done['id']}")
        assert seen["status"] == "succeeded"
        # An event, a rule, what the rule has run.
        ledger = first.home / "ledger"
        client.data("POST", "/api/v1/rules",
                    rule("ledger.on_event", "ledger.write_again", {"ledger": str(ledger)}))
        until("the rule is known to the server that decides", lambda: cluster.client(first).request(
            "GET", "/api/v1/rules/ledger.on_event")[0] == 200)
        for number in range(20):
            sent = client.data("POST", "/api/v1/events",
                               json.dumps(cloud_event("test", str(number))), EVENT)
            assert not sent["duplicate"], sent
        until("all have run", lambda: ledger.exists() and len(ledger.read_text().split()) >= 20)
        again = client.data("POST", "/api/v1/events", json.dumps(cloud_event("test", "3")), EVENT)
        assert again["duplicate"], again


def every_server_gives_the_same_verdicts():
    """Those that never judged the events too; and rules are changed and events replayed anywhere."""
    with Cluster("api,executor,worker", "api,executor", "api") as cluster:
        clients = [cluster.client(s) for s in cluster.servers]
        front = clients[2]
        criteria = {"trigger.data.n": {"type": "lessthan", "pattern": 5}}
        front.data("POST", "/api/v1/rules", rule("own.small", "core.echo", {"message": "x"}, criteria))
        until("all know the rule", lambda: all(
            c.request("GET", "/api/v1/rules/own.small")[0] == 200 for c in clients))
        events = [clients[n % 3].data("POST", "/api/v1/events", json.dumps(
            cloud_event("verdicts", str(n), data={"n": n})), EVENT)["event"] for n in range(10)]
        until("all events are judged", lambda: len(front.data(
            "GET", "/api/v1/enforcements?rule=own.small")) == 5)
        told = [c.data("GET", "/api/v1/rules/own.small/verdicts?limit=10") for c in clients]
        assert told[0] == told[1] == told[2] and len(told[0]) == 10, told
        assert sum(v["matched"] for v in told[0]) == 5, told[0]
        why = [c.data("GET", f"/api/v1/events/{events[9]}/why") for c in clients]
        assert why[0] == why[1] == why[2] and why[0]["matched"] == 0, why
        done = front.data("POST", "/api/v1/events/replay", {"trigger": "core.cloudevent"})
        assert (done["events"], done["failed"]) == (10, 0), done
        one = front.data("POST", f"/api/v1/events/{events[9]}/replay", {"dry_run": True})
        assert one["verdicts"]["matched"] == 0, one
        body = rule("own.small", "core.echo", {"message": "y"}, criteria)
        assert front.data("PUT", "/api/v1/rules/own.small", body)["revision"] == 2
        front.data("POST", "/api/v1/triggers/core.announcement/events",
                   {"payload": {"route": "r", "message": "m", "execution": "0"}})
        history = [c.data("GET", "/api/v1/rules/own.small/revisions") for c in clients]
        assert history[0] == history[1] == history[2] and len(history[0]) == 2, history


def the_same_rights_hold_on_the_way():
    with Cluster("api,executor,worker", "api") as cluster:
        front = cluster.servers[1]
        made = cluster.client(front).data("POST", "/api/v1/tokens", {
            "identity": "reader", "permissions": ["executions:read"]})
        reader = Client(front.url(), made["token"])
        status, _, problem = reader.request("POST", "/api/v1/executions", {"action": "core.noop"})
        assert status == 403 and problem["code"] == "API-0011", problem
        assert Client(front.url(), "mr_nobody").request(
            "POST", "/api/v1/executions", {"action": "core.noop"})[0] == 401
        # What the owner refuses comes back as it is.
        status, headers, problem = cluster.client(front).request(
            "POST", "/api/v1/executions", {"action": "no.such"}, {"X-Request-Id": "mine-1"})
        assert status in (400, 404, 422) and problem["request_id"] == "mine-1", problem
        assert headers["X-Request-Id"] == "mine-1"


def a_key_counts_once_over_all_servers():
    with Cluster("api,executor,worker", "api", "api") as cluster:
        key = {"Idempotency-Key": "once"}
        ids = set()
        for server in cluster.servers * 2:
            ids.add(cluster.client(server).data(
                "POST", "/api/v1/executions", {"action": "core.noop"}, key)["id"])
        assert len(ids) == 1, ids


def every_server_shows_output_and_cancels():
    with Cluster("api,executor,worker", "api,executor,worker") as cluster:
        clients = [cluster.client(s) for s in cluster.servers]
        shell = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
        long = clients[0].data("POST", "/api/v1/executions?wait=60s",
                               {"action": "core.local", "parameters": {"cmd": shell}})
        assert long["status"] == "succeeded", long
        texts = [c.request("GET", f"/api/v1/executions/{long['id']}/output?limit=1000000")
                 for c in clients]
        assert texts[0][0] == texts[1][0] == 200, texts
        assert texts[0][2] == texts[1][2] and "line 19999" in json.dumps(texts[0][2]), texts[1]
        for taken, other in (clients, clients[::-1]):
            running = taken.data("POST", "/api/v1/executions",
                                 {"action": "core.local", "parameters": {"cmd": "sleep 600"}})
            path = f"/api/v1/executions/{running['id']}"
            until("it runs", lambda: other.data("GET", path)["status"] == "running")
            other.data("POST", f"{path}/cancel", {})
            until("it has ended", lambda: other.data("GET", path)["status"] == "canceled")


def a_wait_on_one_server_hears_of_the_end_on_another():
    with Cluster("api,executor,worker", "api") as cluster:
        first, front = cluster.servers
        running = cluster.client(first).data("POST", "/api/v1/executions", {
            "action": "core.local", "parameters": {"cmd": "sleep 1; echo over"}})
        done = cluster.client(front).data("GET", f"/api/v1/executions/{running['id']}?wait=30s")
        assert done["status"] == "succeeded", done


class Following:
    """Server-sent events of an execution's output, as they come."""

    def __init__(self, client, execution, last=None):
        self.connection = client.connect(60)
        headers = {"Authorization": f"Bearer {client.token}"}
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", f"/api/v1/executions/{execution}/output?follow=true",
                                headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()

    def next(self):
        """(kind, data, id) of the next event; comments are left out."""
        event = {}
        end = time.monotonic() + 60
        while time.monotonic() < end:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and "data" in event:
                return event.get("event"), json.loads(event["data"]), event.get("id")
            name, _, value = line.partition(":")
            if name:
                event[name] = value.strip()
        raise AssertionError("nothing came but comments")

    def until_text(self, text):
        """All output until `text` has come, and the id of the last event."""
        got = ""
        while text not in got:
            kind, data, last = self.next()
            assert kind == "output", (kind, data)
            got += data["data"]
        return got, last

    def close(self):
        self.connection.close()


def output_of_a_run_is_followed_on_every_server():
    with Cluster("api,executor,worker", "api,executor,worker", "api") as cluster:
        clients = [cluster.client(s) for s in cluster.servers]
        go = cluster.servers[0].home / "go"
        shell = f"echo begun; while ! [ -e {go} ]; do sleep 0.05; done; echo over"
        for taken in clients[:2]:  # so that both workers have one, whoever takes it
            go.unlink(missing_ok=True)
            running = taken.data("POST", "/api/v1/executions",
                                 {"action": "core.local", "parameters": {"cmd": shell}})["id"]
            path = f"/api/v1/executions/{running}"
            following = [Following(client, running) for client in clients]
            for each in following:
                assert each.until_text("begun\n")[0] == "begun\n"
            for client in clients:
                shown = client.data("GET", f"{path}/output")
                assert shown["data"] == "begun\n" and not shown["complete"], shown
            # Who comes back goes on where he was, at another server.
            front = Following(clients[2], running)
            _, last = front.until_text("begun\n")
            front.close()
            again = Following(clients[1], running, last)
            go.touch()
            for each in [*following, again]:
                assert each.until_text("over\n")[0] == "over\n"
                kind, data, _ = each.next()
                assert kind == "end" and data["status"] == "succeeded", (kind, data)
                assert data["size"] == len("begun\nover\n"), data
                each.close()


def a_follower_who_was_there_first_hears_the_run_begin():
    with Cluster("api,executor,worker", "api") as cluster:
        first, front = cluster.servers
        client = cluster.client(front)
        block = [client.data("POST", "/api/v1/executions", {
            "action": "core.local", "parameters": {"cmd": "sleep 600"}})["id"] for _ in range(2)]
        waiting = client.data("POST", "/api/v1/executions", {
            "action": "core.local", "parameters": {"cmd": "echo begun; sleep 2; echo over"}})["id"]
        following = Following(client, waiting)
        for execution in block:
            cluster.client(first).data("POST", f"/api/v1/executions/{execution}/cancel", {})
        assert following.until_text("begun\n")[0] == "begun\n"
        path = f"/api/v1/executions/{waiting}"
        assert client.data("GET", path)["status"] == "running", "it came with the end"
        assert following.until_text("over\n")[0] == "over\n"
        following.close()


def when_an_owner_dies_another_takes_over_and_nothing_is_lost():
    with Cluster("api,executor,worker", "executor", "api") as cluster:
        first, second, front = cluster.servers
        client = cluster.client(front)
        accepted = []
        for number in range(10):
            accepted.append(client.data("POST", "/api/v1/executions", {"action": "core.ask"})["id"])
        os.kill(second.pid(), signal.SIGKILL)
        second.process.wait(timeout=60)
        # Each is answered, wherever it was: within the time of a takeover.
        for execution in accepted:
            client.data("POST", f"/api/v1/executions/{execution}/cancel", {})
        for execution in accepted:
            path = f"/api/v1/executions/{execution}"
            until("it is canceled", lambda p=path: client.data("GET", p)["status"] == "canceled")

        def each(key):
            return {s["name"]: s[key] for s in cluster.list(front)}

        assert each("shards") == {"n1": 64, "n2": 0, "n3": 0}, each("shards")
        # The front looks at the beats on its own, every three seconds.
        until("it is silent", lambda: each("state")["n2"] == "silent", 10)
        assert each("state")["n1"] == "live", each("state")


def without_a_server_that_decides_a_request_is_refused_in_time():
    with Cluster("api,executor,worker", "api") as cluster:
        first, front = cluster.servers
        first.kill(spawner=True)
        client = cluster.client(front)
        status, headers, problem = client.request(
            "POST", "/api/v1/executions", {"action": "core.noop"}, timeout=60)
        assert status == 503 and "Retry-After" in headers, (status, problem)
        assert client.request("GET", "/api/v1/executions")[0] == 200  # reads go on


def between_servers_there_are_certificates_where_they_are_wanted():
    with Cluster("api,executor,worker", "api", settings={"grpc.tls": "true"}) as cluster:
        first, front = cluster.servers
        done = cluster.client(front).data("POST", "/api/v1/executions?wait=30s",
                                          {"action": "core.noop"})
        assert done["status"] == "succeeded", done
        tls = front.data / "tls"
        assert oct(tls.stat().st_mode)[-3:] == "700"
        shown = subprocess.run(
            ["openssl", "x509", "-in", tls / "server.crt", "-noout", "-ext", "subjectAltName"],
            capture_output=True, text=True, check=True).stdout
        assert "URI:millrace://service/server/n2" in shown, shown


def https_serves_and_follows_its_files():
    with Server(settings={"log.level": "info"}) as server:
        def certificate(name):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-keyout", server.home / f"{name}.key",
                 "-out", server.home / f"{name}.crt", "-days", "1", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        certificate("one")
        shutil.copy(server.home / "one.crt", server.home / "tls.crt")
        shutil.copy(server.home / "one.key", server.home / "tls.key")
        server.settings["server.tls.certificate_file"] = server.home / "tls.crt"
        server.settings["server.tls.key_file"] = server.home / "tls.key"
        server.start(ready=False)
        until("it has a URL", lambda: (server.data / "url").exists())
        port = int(server.url().rsplit(":", 1)[1])
        assert server.url() == f"https://127.0.0.1:{port}"

        def ready(trusted):
            context = ssl.create_default_context(cafile=server.home / trusted)
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
            try:
                connection.request("GET", "/ready")
                return connection.getresponse().status == 200
            except ssl.SSLCertVerificationError:
                return False
            finally:
                connection.close()
        until("it answers over TLS", lambda: ready("one.crt"))
        certificate("two")
        shutil.copy(server.home / "two.key", server.home / "tls.key")
        shutil.copy(server.home / "two.crt", server.home / "tls.crt")
        until("it has the new certificate", lambda: ready("two.crt"), seconds=60)
        assert not ready("one.crt")


def refusal(*words, data="/nowhere/millrace"):
    run = subprocess.run([binary(), "serve", "--data", data, *words],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode != 0, run.stdout
    return run.stdout + run.stderr


def roles_that_cannot_be_are_refused():
    assert "APP-0036" in refusal("--roles", "apis")
    assert "APP-0037" in refusal("--roles", "api")
    assert "APP-0038" in refusal("--roles", "api,worker", "--store", "postgres://db/x")


CASES = [
    roles_that_cannot_be_are_refused,
    a_process_without_an_api_answers_probes_alone,
    a_server_takes_what_another_one_decides,
    every_server_gives_the_same_verdicts,
    the_same_rights_hold_on_the_way,
    a_key_counts_once_over_all_servers,
    every_server_shows_output_and_cancels,
    output_of_a_run_is_followed_on_every_server,
    a_follower_who_was_there_first_hears_the_run_begin,
    a_wait_on_one_server_hears_of_the_end_on_another,
    when_an_owner_dies_another_takes_over_and_nothing_is_lost,
    without_a_server_that_decides_a_request_is_refused_in_time,
    between_servers_there_are_certificates_where_they_are_wanted,
    https_serves_and_follows_its_files,
]

if __name__ == "__main__":
    with Postgres(fsync="off") as POSTGRES:
        sys.exit(run_cases(CASES))
