#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one of several servers has in its folder, and every one gives: releases of packs, output,
from server to server and from S3."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "contract"))
import servers_test  # noqa: E402
from agent_test import Agent, make_pack  # noqa: E402
from fake_s3 import FakeS3  # noqa: E402
from harness import Postgres, run_cases, until  # noqa: E402
from servers_test import Cluster, refusal  # noqa: E402

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
        states = servers_test.POSTGRES.query(
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


CASES = [
    a_pack_of_one_server_runs_on_all,
    a_pack_that_is_installed_through_any_server_is_on_all,
    an_agent_gets_a_release_that_its_server_has_to_bring,
    what_a_dead_server_had_is_read_from_s3,
    while_s3_is_away_output_stays_and_goes_up_later,
    a_bucket_that_cannot_be_is_refused,
]

if __name__ == "__main__":
    with Postgres(fsync="off") as postgres:
        servers_test.POSTGRES = postgres
        sys.exit(run_cases(CASES))
