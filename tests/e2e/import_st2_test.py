#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`millrace import st2`: what a StackStorm holds comes here, or is named (fake_stackstorm.py)."""
import json
import os
import subprocess
import sys

from fake_stackstorm import API_KEY, MASK, TOKEN, FakeStackstorm, key, rule
from harness import ROOT, Server, binary, run_cases
from pack_git_test import Repository
from pack_install_test import FILES

WAREHOUSE = ROOT / "tests/e2e/packs_st2/warehouse"


def moved_from():
    """A StackStorm with something of each kind."""
    fake = FakeStackstorm()
    fake.packs = [{"ref": each, "name": each, "version": "1.0.0"}
                  for each in ("core", "chatops", "warehouse", "lost")]
    fake.configs = [
        {"pack": "warehouse", "values": {"api_key": "sesame-7", "shelves": {"count": 5}}}]
    fake.secret_names = {"api_key"}
    fake.keys = [key("city", "Berlin"), key("mine", "own", user="st2admin"),
                 key("hers", "other", user="ann"), key("password", "Kanarie-88", secret=True),
                 key("a/b", "slash")]
    fake.rules = [
        rule("ops", "on_hook", "", "warehouse.count", {"thing": "{{ trigger.body.t }}"},
             trigger={"type": "core.st2.webhook", "ref": "core.x", "parameters": {"url": "sample"}},
             criteria={"trigger.body.t": {"type": "exists"}}),
        rule("warehouse", "on_delivery", "core.st2.webhook", "warehouse.count",
             metadata_file="rules/on_delivery.yaml"),
        rule("ops", "told", "core.st2.action.file_writen", "core.noop"),
        rule("ops", "broken", "core.st2.webhook", "lost.act"),
    ]
    fake.aliases = [{"name": "count", "pack": "warehouse", "ref": "warehouse.count"}]
    fake.policies = [{"name": "one", "pack": "warehouse", "ref": "warehouse.one"}]
    fake.api_keys = [{"user": "robot", "key_hash": MASK}]
    return fake


def imported(server, *words, expect=0, secret=API_KEY, kind="--api-key-file"):
    (server.home / "secret").write_text(secret + "\n")
    run = subprocess.run(
        [binary(), "import", "st2", *words, *([kind, server.home / "secret"] if kind else []),
         "--data", server.data], capture_output=True, text=True, timeout=120)
    assert run.returncode == expect, f"{run.returncode}\n{run.stdout}{run.stderr}"
    return run.stdout + run.stderr


def outcomes(text):
    return {(each["kind"], each["name"]): each["outcome"] for each in json.loads(text)}


def copy_of_packs(server):
    (server.home / "packs").mkdir(exist_ok=True)
    if not (server.home / "packs/warehouse").exists():
        os.symlink(WAREHOUSE, server.home / "packs/warehouse")
    return server.home / "packs"


def nothing_changes_until_it_is_applied():
    with Server(packs=()).start() as server, moved_from() as fake:
        client = server.client()
        packs = copy_of_packs(server)
        told = imported(server, "--url", fake.url, "--packs", packs)
        assert "nothing was changed: --apply does it" in told, told
        assert [each["ref"] for each in client.data("GET", "/api/v1/packs")] == ["core"]
        assert client.data("GET", "/api/v1/keys") == client.data("GET", "/api/v1/rules") == []
        assert "Kanarie-88" not in told and "sesame-7" not in told, told


def what_carries_over_is_there_and_the_rest_is_named():
    with Server(packs=()).start() as server, moved_from() as fake:
        client = server.client()
        packs = copy_of_packs(server)
        words = ["--url", fake.url + "/", "--packs", packs, "--user", "ann", "-o", "json"]
        told = outcomes(imported(server, *words, "--apply", expect=1))
        assert told == {
            ("pack", "core"): "is there", ("pack", "warehouse"): "moved",
            ("config", "warehouse"): "moved",
            ("key", "system city"): "moved", ("key", "user:st2admin mine"): "moved",
            ("key", "user:ann hers"): "moved",
            ("rule", "ops.on_hook"): "moved", ("rule", "ops.broken"): "failed",
            ("rule", "warehouse.on_delivery"): "comes with its pack",
            ("pack", "chatops"): "stays", ("pack", "lost"): "stays",
            ("key", "system password"): "stays", ("key", "system a/b"): "stays",
            ("rule", "ops.told"): "stays", ("alias", "warehouse.count"): "stays",
            ("policy", "warehouse.one"): "stays", ("api key", "robot"): "stays",
        }, told
        assert client.data("GET", "/api/v1/keys/user%3Aann/hers")["value"] == "other"
        config = client.data("GET", "/api/v1/packs/warehouse/config")
        assert config["values"]["shelves"] == {"count": 5}, config
        sent = client.data("POST", "/api/v1/webhooks/sample", {"t": "boxes"})
        [enforced] = client.data("GET", f"/api/v1/enforcements?event={sent['event']}")
        done = client.data("GET", f"/api/v1/executions/{enforced['execution']}?wait=60s")
        assert done["status"] == "succeeded", done
        assert done["result"]["result"]["shelves"] == 5, done


def a_pack_comes_from_the_repository_that_the_index_names():
    with Server(packs=()).start() as server, Repository() as repository, FakeStackstorm() as fake:
        repository.commit(FILES)
        repository.git("tag", "v1.0.0")
        fake.packs = [{"ref": "tea", "version": "1.0.0"}, {"ref": "gone", "version": "1.0.0"}]
        fake.index = {"tea": {"repo_url": repository.url},
                      "gone": {"repo_url": repository.url.replace("tea", "gone")}}
        told = outcomes(imported(server, "--url", fake.url, "--apply", "-o", "json", expect=1))
        assert told == {("pack", "tea"): "moved", ("pack", "gone"): "failed"}, told
        source = server.client().data("GET", "/api/v1/packs/tea")["source"]
        assert source.startswith(repository.url), source


def encrypted_keys_come_sealed_when_asked_for():
    with Server(packs=()).start() as server, moved_from() as fake:
        packs = copy_of_packs(server)
        told = imported(server, "--url", fake.url, "--packs", packs, "--decrypt", "--apply",
                        "-o", "json", secret=TOKEN, kind="--token-file", expect=1)
        assert outcomes(told)["key", "system password"] == "moved", told
        assert "Kanarie-88" not in told and "sesame-7" not in told, told
        client = server.client()
        found = client.data("GET", "/api/v1/keys/system/password")
        assert (found["encrypted"], found["value"]) == (True, MASK), found
        found = client.data("GET", "/api/v1/keys/system/password?decrypt=true")
        assert found["value"] == "Kanarie-88", found
        done = client.data("POST", "/api/v1/executions?wait=60s", {
            "action": "warehouse.count", "parameters": {"thing": "boxes"}})
        assert done["result"]["result"]["shelves"] == 5, done


def a_second_time_leaves_what_is_there():
    with Server(packs=()).start() as server, moved_from() as fake:
        fake.rules = fake.rules[:2]
        words = ["--url", fake.url, "--packs", copy_of_packs(server), "--apply", "-o", "json"]
        imported(server, *words)
        server.cli("key", "set", "city", "Hamburg")
        told = outcomes(imported(server, *words))
        assert told["key", "system city"] == told["rule", "ops.on_hook"] == "is there", told
        assert told["pack", "warehouse"] == told["rule", "warehouse.on_delivery"] == "is there", told
        assert server.client().data("GET", "/api/v1/keys/system/city")["value"] == "Hamburg"


def long_lists_are_read_whole():
    with Server(packs=()).start() as server, FakeStackstorm() as fake:
        fake.keys = [key(f"k{number}", str(number)) for number in range(250)]
        fake.rules = [rule("ops", f"r{number}", "core.st2.webhook", "core.noop")
                      for number in range(250)]
        told = outcomes(imported(server, "--url", fake.url, "-o", "json"))
        assert len(told) == 500, len(told)
        fake.is_admin = False
        told = outcomes(imported(server, "--url", fake.url, "-o", "json"))
        assert told["list", "rules"] == "not read" and len(told) == 351, len(told)


def files_of_its_api_do_as_well():
    with Server(packs=()).start() as server, moved_from() as fake:
        dump = copy_of_packs(server).parent
        for name, rows in (("keys", fake.keys), ("rules", fake.rules[:2])):
            (dump / f"{name}.json").write_text(json.dumps(rows))
        (dump / "configs").mkdir()
        (dump / "configs/warehouse.yaml").write_text("shelves: {count: 7}\n")
        told = outcomes(imported(server, "--dump", dump, "--apply", "-o", "json", kind=None))
        assert told["pack", "warehouse"] == told["config", "warehouse"] == "moved", told
        assert told["key", "system password"] == "stays", told
        config = server.client().data("GET", "/api/v1/packs/warehouse/config")
        assert config["values"]["shelves"] == {"count": 7}, config


def what_is_wrong_is_told():
    with Server(packs=()).start() as server, moved_from() as fake:
        for words, more, says in (
            (["--url", fake.url], {"secret": "wrong", "expect": 4}, "Unauthorized - One of Token"),
            (["--url", "http://127.0.0.1:1"], {"expect": 1}, "127.0.0.1:1"),
            (["--url", fake.url + "/other/v1"], {"expect": 1}, "404"),
            ([], {"expect": 2}, "expected either --url or --dump"),
            (["--dump", server.home / "gone"], {"kind": None, "expect": 3}, "keys.json"),
            (["--dump", server.home], {"expect": 2}, "--api-key-file goes with --url"),
        ):
            told = imported(server, *words, **more)
            assert says in told, (words, told)
        (server.home / "keys.json").write_text('{"keys": []}')
        told = imported(server, "--dump", server.home, kind=None, expect=2)
        assert "expected a list, as StackStorm's API answers it" in told, told


if __name__ == "__main__":
    sys.exit(run_cases([
        nothing_changes_until_it_is_applied,
        what_carries_over_is_there_and_the_rest_is_named,
        a_pack_comes_from_the_repository_that_the_index_names,
        encrypted_keys_come_sealed_when_asked_for,
        a_second_time_leaves_what_is_there,
        long_lists_are_read_whole,
        files_of_its_api_do_as_well,
        what_is_wrong_is_told,
    ]))
