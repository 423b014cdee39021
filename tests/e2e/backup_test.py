#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A backup of a running server, its disk lost, and a restored server that goes on."""
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys

from harness import LEDGER_PACKS, Server, binary, cloud_event, run_cases, until
from packs_test import answer, cli_json, status_of, until_status, write_pack

EVENT = {"Content-Type": "application/cloudevents+json"}
LONG = "yes 0123456789 | head -c 300000"  # above 64 KiB: a file, not a row


def millrace(*words, expect=0, text=None):
    run = subprocess.run([binary(), *map(str, words)], capture_output=True, text=True, timeout=60,
                         input=text)
    assert run.returncode == expect, f"{words}: exit {run.returncode}: {run.stdout}{run.stderr}"
    return run.stdout + run.stderr


def passphrase(server, text="correct horse"):
    file = server.home / "passphrase"
    file.write_text(text + "\n")
    return file


def a_restored_server_goes_on_with_a_workflow_of_an_older_release():
    with Server(packs=()) as server:
        server.packs = (write_pack(server, "1"),)
        server.start()
        client = server.client()
        seal = {"value": "s3cret", "encrypted": True}
        client.data("PUT", "/api/v1/keys/system/token", seal)
        long = server.cli("run", "core.local", f"cmd={LONG}", "--async").strip()
        until_status(server, long, "succeeded")
        order = server.cli("run", "shop.order", "--async").strip()
        old = until_status(server, order, "running", "paused", "pending")["release"]
        server.cli("rule", "disable", "shop.on_buy")
        server.stop()
        write_pack(server, "2")
        server.start()
        event = server.client().data("POST", "/api/v1/events",
                                     json.dumps(cloud_event("shop", "1", "buy")), EVENT)["event"]
        before = server.token()
        made = server.home / "set"
        assert "without keys.json" in millrace("backup", made, "--data", server.data)
        assert "whole" in millrace("backup", "verify", made)
        server.kill(spawner=True)
        shutil.rmtree(server.data)
        shutil.rmtree(server.home / "shop")
        said = millrace("restore", made, "--data", server.data, expect=1)
        assert "key token of system" in said and "give --yes" in said, said
        assert not server.data.exists()
        said = millrace("restore", made, "--data", server.data, "--yes")
        assert "doctor: 0 findings" in said and "keys_are_lost" in said, said
        server.packs = ()
        server.settings["store.keys_are_lost"] = "true"  # as it said
        server.start()
        assert server.token() != before, "a new admin token"
        assert status_of(server, order)["release"] == old
        assert cli_json(server, "rule", "show", "shop.on_buy")["enabled"] is False
        again = server.client().data("POST", "/api/v1/events",
                                     json.dumps(cloud_event("shop", "1", "buy")), EVENT)
        assert again == {"event": event, "duplicate": True}, "dedupe is kept"
        assert len(server.cli("execution", "logs", long)) == 300000
        answer(server)
        until_status(server, order, "succeeded")
        sold = server.client().data("GET", "/api/v1/executions?action=shop.sell")
        assert server.cli("execution", "logs", sold[0]["id"]) == "sold v1\n"
        fresh = server.cli("run", "shop.order", "--async").strip()
        assert until_status(server, fresh, "running", "paused", "pending")["release"] != old
        server.stop()
        server.doctor()


def a_set_is_private_and_its_manifest_names_all_of_it():
    with Server(packs=()) as server:
        server.packs = (write_pack(server),)
        server.start()
        made = server.home / "set"
        millrace("backup", made, "--data", server.data)
        manifest = json.loads((made / "MANIFEST.json").read_text())
        assert manifest["schema"] >= 1 and manifest["feed_seq"] >= 1 and manifest["version"]
        named = {file["path"]: file for file in manifest["files"]}
        found = {str(p.relative_to(made)) for p in made.rglob("*") if p.is_file()}
        assert found == set(named) | {"MANIFEST.json"}, found ^ set(named)
        assert "millrace.db" in named and "config.yaml" in named and "keys.json" not in named
        assert any(path.startswith("packs/shop/") for path in named), named
        for path in made.rglob("*"):
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), f"{path}: {mode:o}"
        for path, file in named.items():
            data = (made / path).read_bytes()
            assert file["size"] == len(data), path
            assert file["sha256"] == hashlib.sha256(data).hexdigest(), path
        assert not list(server.home.glob("set.part*")) and not list(made.glob("millrace.db-*"))
        said = millrace("backup", made, "--data", server.data, expect=1)
        assert "APP-0023" in said, said
        assert json.loads((made / "MANIFEST.json").read_text()) == manifest, "it was overwritten"


def a_set_that_was_changed_is_not_restored():
    with Server() as server:
        server.start()
        server.stop()
        good = server.home / "set"
        millrace("backup", good, "--data", server.data)

        def spoilt(change):
            bad = server.home / "bad"
            shutil.copytree(good, bad)
            change(bad)
            said = millrace("backup", "verify", bad, expect=1)
            millrace("restore", bad, "--data", server.home / "new", "--yes", expect=2)
            assert not (server.home / "new").exists()
            shutil.rmtree(bad)
            return said

        def flip(path):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)

        assert "config.yaml" in spoilt(lambda bad: flip(bad / "config.yaml"))
        assert "pack.yaml" in spoilt(lambda bad: next(bad.rglob("pack.yaml")).unlink())
        assert "stranger" in spoilt(lambda bad: (bad / "stranger").write_text("x"))
        millrace("restore", server.home, "--data", server.home / "new", expect=3)
        said = millrace("restore", good, "--data", server.data, "--yes", expect=1)
        assert "APP-0025" in said, said
        server.start()
        server.stop()


def sealed_keys_open_with_their_passphrase_only():
    with Server() as server:
        server.start()
        client = server.client()
        client.data("PUT", "/api/v1/keys/system/token", {"value": "s3cret", "encrypted": True})
        made, word = server.home / "set", passphrase(server)
        millrace("backup", made, "--data", server.data, "--with-keys", word)
        ring = json.loads((server.data / "keys.json").read_text())["keys"][0]["key"]
        for path in made.rglob("*"):
            assert path.is_dir() or ring.encode() not in path.read_bytes(), f"{path} holds the ring"
        server.kill(spawner=True)
        shutil.rmtree(server.data)
        wrong = passphrase(server, "other")
        said = millrace("restore", made, "--data", server.data, "--with-keys", wrong, expect=4)
        assert "AUT-0014" in said and not server.data.exists(), said
        word = passphrase(server)
        said = millrace("restore", made, "--data", server.data, "--with-keys", word)
        assert "cannot be opened" not in said, said
        assert stat.S_IMODE(os.stat(server.data / "keys.json").st_mode) == 0o600
        server.start()
        shown = server.client().data("GET", "/api/v1/keys/system/token?decrypt=true")
        assert shown["value"] == "s3cret", shown


def a_server_without_its_key_ring_does_not_start_as_if_nothing_was():
    with Server() as server:
        server.start()
        client = server.client()
        client.data("PUT", "/api/v1/keys/system/token", {"value": "s3cret", "encrypted": True})
        server.stop()
        ring = (server.data / "keys.json").read_bytes()
        (server.data / "keys.json").unlink()
        for _ in range(2):  # the new ring that the first one made changes nothing
            done = subprocess.run(server.command(), capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 1 and "APP-0043" in done.stderr, done
            assert "key token of system" in done.stderr and "keys_are_lost" in done.stderr, done
        server.settings["store.keys_are_lost"] = "true"
        server.start()
        server.client().data("PUT", "/api/v1/keys/system/other", {"value": "new", "encrypted": True})
        server.stop()
        del server.settings["store.keys_are_lost"]
        server.start()
        server.client().data("DELETE", "/api/v1/keys/system/other", expect=(204,))
        server.stop()
        (server.data / "keys.json").write_bytes(ring)
        server.start()
        shown = server.client().data("GET", "/api/v1/keys/system/token?decrypt=true")
        assert shown["value"] == "s3cret", shown
        server.stop()


def runs_that_were_under_way_are_lost_by_their_effect_class():
    with Server(packs=(LEDGER_PACKS,)) as server:
        server.start()
        runs = {}
        for action in ("write_once", "write_again"):
            runs[action] = server.cli("run", f"ledger.{action}", f"ledger={server.home}/ledger",
                                      "linger=30", "--async").strip()
            until_status(server, runs[action], "running")
        made = server.home / "set"
        millrace("backup", made, "--data", server.data)
        server.kill(spawner=True)
        shutil.rmtree(server.data)
        said = millrace("restore", made, "--data", server.data, "--yes")
        assert "2 runs were under way: 1 will run again, 1 wait" in said, said
        server.start()
        until_status(server, runs["write_once"], "needs_decision")
        until_status(server, runs["write_again"], "running")
        assert status_of(server, runs["write_again"])["attempt"] == 2
        server.client().data("POST", f"/api/v1/executions/{runs['write_again']}/cancel")
        until_status(server, runs["write_again"], "canceled")
        server.stop()
        server.doctor()


if __name__ == "__main__":
    sys.exit(run_cases([
        a_restored_server_goes_on_with_a_workflow_of_an_older_release,
        a_set_is_private_and_its_manifest_names_all_of_it,
        a_set_that_was_changed_is_not_restored,
        sealed_keys_open_with_their_passphrase_only,
        a_server_without_its_key_ring_does_not_start_as_if_nothing_was,
        runs_that_were_under_way_are_lost_by_their_effect_class,
    ]))
