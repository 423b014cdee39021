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
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "contract"))
from agent_test import Agent, make_pack  # noqa: E402
from fake_s3 import FakeS3  # noqa: E402
from harness import (Client, Postgres, Server, binary, cloud_event, everything, rule, run_cases,
                     until)

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


SHOP = {
    "pack.yaml": "ref: shop\nversion: VERSION.0.0\n",
    "actions/sell.yaml": "name: sell\ndescription: sells VERSION\nrunner_type: shell\nentry_point: sell.sh\n"
                         "effect_class: idempotent\n",
    "actions/sell.sh": "#!/bin/sh\necho sold vVERSION by $0\nsleep 0.2\n",
    "data/large": "VERSION" * 700_000,  # several pieces
}


def write_shop(folder, version):
    for name, text in SHOP.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("VERSION", version))
    (folder / "actions/sell.sh").chmod(0o755)


def sold_on(cluster, server, version):
    """Runs it until the worker of that server has had one: it says where its release lies."""
    client = cluster.client(server)

    def one_more():
        many = [client.data("POST", "/api/v1/executions", {"action": "shop.sell"})["id"]
                for _ in range(6)]
        texts = []
        for execution in many:
            done = client.data("GET", f"/api/v1/executions/{execution}?wait=30s")
            assert done["status"] == "succeeded", done
            texts.append(client.data("GET", f"/api/v1/executions/{execution}/output")["data"])
        assert all(text.startswith(f"sold v{version} ") for text in texts), texts
        return any(str(server.data) in text for text in texts)
    until(f"{server.data} has sold", one_more)


def a_pack_of_one_server_runs_on_all():
    cluster = Cluster("api,executor,worker", "api,executor,worker", "api")
    first, second, front = cluster.servers
    shop = first.home / "shop"
    write_shop(shop, "1")
    first.packs, second.packs, front.packs = (shop,), (), ()
    first.settings["log.level"] = second.settings["log.level"] = "info"
    with cluster:
        brought = second.log_lines("release.brought")
        assert len(brought) == 1 and brought[0]["from"] == "n1", brought
        sold_on(cluster, second, "1")
        pack = cluster.client(second).data("GET", "/api/v1/packs/shop")
        assert pack["version"] == "1.0.0", pack
        # Another release is live on both, by the feed.
        write_shop(shop, "2")
        first.reload()
        for other in (second, front):
            until("the other one has it", lambda o=other: cluster.client(o).data(
                "GET", "/api/v1/packs/shop")["version"] == "2.0.0")
            until("its actions are there", lambda o=other: cluster.client(o).data(
                "GET", "/api/v1/actions/shop.sell")["description"] == "sells 2")
        assert len(second.log_lines("release.brought")) == 2
        sold_on(cluster, second, "2")
        # What is gone from a disk comes again with the run that needs it.
        shutil.rmtree(second.data / "packs/shop")
        sold_on(cluster, second, "2")
        assert len(second.log_lines("release.brought")) == 3
        # So does what somebody has changed there.
        changed, = (second.data / "packs/shop").glob("*/actions/sell.sh")
        changed.chmod(0o755)
        changed.write_text("#!/bin/sh\necho changed\n")
        sold_on(cluster, second, "2")
        assert len(second.log_lines("release.brought")) == 4
        assert not list((second.data / "fetch").iterdir())
        assert not first.log_lines("release.brought")
        states = POSTGRES.query(
            f"SELECT DISTINCT state FROM {cluster.schema}.pack_release WHERE pack = 'shop'")
        assert states == ["0"], f"the folder is there, on one of them: {states}"
        for server in cluster.servers:
            assert not server.log_lines("packs.not_reloaded"), server.name


def a_pack_that_is_installed_through_any_server_is_on_all():
    cluster = Cluster("api,executor,worker", "api,executor,worker", "api",
                      settings={"log.level": "info"})
    first, second, front = cluster.servers
    first.packs = second.packs = front.packs = ()
    with cluster:
        shop = first.home / "shop"
        for version, through in (("1", second), ("2", first), ("3", front)):
            write_shop(shop, version)
            where = ("--url", through.url(), "--token-file", str(first.data / "admin.token"))
            said = first.cli("pack", "install", str(shop), *where)
            assert f"pack 'shop' " in said and f"{version}.0.0" in said, said
            for server in cluster.servers:
                until(f"version {version} is known", lambda s=server: cluster.client(s).request(
                    "GET", "/api/v1/packs/shop")[2].get("data", {}).get("version")
                    == f"{version}.0.0")
                shown = cluster.client(server).data("GET", "/api/v1/packs/shop")
                assert (shown["state"], shown["source"]) == ("installed", str(shop)), shown
            sold_on(cluster, first, version)
            sold_on(cluster, second, version)
        back = cluster.client(second).data("POST", "/api/v1/packs/shop/rollback")
        assert back["version"] == "2.0.0", back
        for server in cluster.servers:
            until("it is back", lambda s=server: cluster.client(s).data(
                "GET", "/api/v1/packs/shop")["version"] == "2.0.0")
        sold_on(cluster, first, "2")
        for server in cluster.servers:
            assert not server.log_lines("pack.source_gone"), server.name
            assert not server.log_lines("packs.not_reloaded"), server.name


def an_agent_gets_a_release_that_its_server_has_to_bring():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-far-"))
    make_pack(folder / "pack")
    cluster = Cluster("api,executor,worker", "api,executor,worker",
                      settings={"log.level": "info"})
    first, second = cluster.servers
    first.packs, second.packs = (folder / "pack",), ()
    with cluster:
        shutil.copy(first.data / "admin.token", second.data / "admin.token")
        shutil.rmtree(second.data / "packs/far")
        agent = Agent(second, "a", folder)
        try:
            agent.start()
            (folder / "go").touch()
            words = {"ledger": str(folder / "ledger"), "go": str(folder / "go"), "bytes": 100_000}
            client = cluster.client(second)
            done = client.data("POST", "/api/v1/executions?wait=60s",
                               {"action": "far.once", "parameters": words})
            assert done["status"] == "succeeded", done
            assert len(second.log_lines("release.brought")) == 2  # at its start, and for the agent
            for server in (first, second):
                shown = cluster.client(server).data(
                    "GET", f"/api/v1/executions/{done['id']}/output?limit=200000")
                assert shown["complete"] and shown["size"] == 100_000, shown["size"]
        finally:
            agent.stop()
            shutil.rmtree(folder, ignore_errors=True)


LARGE = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"


@contextlib.contextmanager
def bucket_and_settings():
    """An S3, and what servers are told of it."""
    fake = FakeS3()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-keys-"))
    (folder / "access").write_text("AKIAMILLRACE\n")
    (folder / "secret").write_text("a secret/with+signs\n")
    try:
        yield fake.bucket, {
            "blob.s3.endpoint": fake.url, "blob.s3.bucket": "work", "blob.s3.prefix": "m/",
            "blob.s3.access_key_file": folder / "access",
            "blob.s3.secret_key_file": folder / "secret", "log.level": "info"}
    finally:
        fake.close()
        shutil.rmtree(folder)


def run_large(client):
    """An execution whose output is a blob."""
    done = client.data("POST", "/api/v1/executions?wait=60s",
                       {"action": "core.local", "parameters": {"cmd": LARGE}})
    assert done["status"] == "succeeded", done
    return done["id"]


def output_is_whole(client, execution):
    text = client.data("GET", f"/api/v1/executions/{execution}/output?limit=1000000")["data"]
    return text.endswith("line 19999\n") and text.startswith("line 0\n")


def what_a_dead_server_had_is_read_from_s3():
    with bucket_and_settings() as (bucket, settings):
        cluster = Cluster("api,executor,worker", "api,executor,worker", "api", settings=settings)
        first, second, front = cluster.servers
        shop = first.home / "shop"
        write_shop(shop, "1")
        first.packs, second.packs, front.packs = (shop,), (), ()
        with cluster:
            execution = run_large(cluster.client(first))
            keys = [key for _, key in bucket.objects]
            assert [key for key in keys if key.startswith("m/output/1/")], keys
            until("no copy stays", lambda: not list((first.data / "output").rglob("*.out")))
            until("its release is there", lambda: any(
                key.startswith("m/releases/shop/") for _, key in bucket.objects))
            os.kill(first.pid(), signal.SIGKILL)
            first.process.wait(timeout=60)
            shutil.rmtree(second.data / "packs/shop")
            for server in (second, front):
                assert output_is_whole(cluster.client(server), execution)
            # The only server that had the pack's folder is gone.
            assert second.log_lines("release.brought")[-1]["from"] in ("n1", "s3")
            sold_on(cluster, second, "1")
            assert second.log_lines("release.brought")[-1]["from"] == "s3"


def while_s3_is_away_output_stays_and_goes_up_later():
    with bucket_and_settings() as (bucket, settings):
        with Cluster("api,executor,worker", "api", settings=settings) as cluster:
            first, front = cluster.servers
            bucket.faults = [{"times": 1_000_000, "status": 503, "code": "SlowDown"}]
            execution = run_large(cluster.client(front))
            assert first.log_lines("blob.not_uploaded")
            health = cluster.client(first).request("GET", "/health")[2]
            assert "S3" in json.dumps(health), health
            # Of the server that has it.
            assert output_is_whole(cluster.client(front), execution)
            bucket.faults = []
            first.stop()
            first.start()  # it looks after five seconds
            until("it has gone up", lambda: any(
                key.startswith("m/output/") for _, key in bucket.objects))
            until("no copy stays", lambda: not list((first.data / "output").rglob("*.out")))
            assert output_is_whole(cluster.client(front), execution)


def a_bucket_that_cannot_be_is_refused():
    said = refusal("--set", "blob.s3.bucket=work", "--set", "blob.s3.prefix=no-slash",
                   data=tempfile.mkdtemp(prefix="millrace-refused-"))
    assert "BLB-0004" in said and "prefix" in said, said


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
        def states():
            return {s["name"]: s["state"] for s in cluster.list(front)}
        # Where none of them was its own, this comes later than their ends.
        until("it is silent", lambda: states()["n2"] == "silent", 60)
        assert states()["n1"] == "live", states()


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
    a_pack_of_one_server_runs_on_all,
    a_pack_that_is_installed_through_any_server_is_on_all,
    an_agent_gets_a_release_that_its_server_has_to_bring,
    what_a_dead_server_had_is_read_from_s3,
    while_s3_is_away_output_stays_and_goes_up_later,
    a_bucket_that_cannot_be_is_refused,
    a_wait_on_one_server_hears_of_the_end_on_another,
    when_an_owner_dies_another_takes_over_and_nothing_is_lost,
    without_a_server_that_decides_a_request_is_refused_in_time,
    between_servers_there_are_certificates_where_they_are_wanted,
    https_serves_and_follows_its_files,
]

if __name__ == "__main__":
    with Postgres(fsync="off") as POSTGRES:
        sys.exit(run_cases(CASES))
