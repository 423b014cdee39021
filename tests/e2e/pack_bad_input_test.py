#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of packs that are wrong on purpose: each costs itself, is told with its line, in a short
time, and nothing is half-installed."""
import sys
import time

from harness import Server, run_cases
from pack_install_test import FILES, GZIP, archive, brew, cli_json, releases

# Ten levels of ten: 10,000,000,000 values.
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join(f'*a{i - 1}' for _ in range(10))}]\n" for i in range(1, 10))
DEEP = "name: " + "[" * 100_000 + "]" * 100_000 + "\n"
MANY_KEYS = "".join(f"k{i}: 1\n" for i in range(50_000))
ALIASES = "a: &a {b: &b {c: 1}}\n<<: [" + ", ".join(["*a"] * 10_000) + "]\n"

# What stands in a file, and a word of what is told.
FAULTS = {
    "bomb": (BOMB, "more than"),
    "deep": (DEEP, "nested deeper"),
    "twice": ("name: a\nname: b\nrunner_type: noop\n", "name"),
    "a list": ("- 1\n", "expected an action, a map"),
    "nothing": ("", "an empty document"),
    "wrong types": ("name: {a: 1}\nrunner_type: [noop]\nparameters: 7\n", ":"),
    "many keys": (MANY_KEYS, "at most 10000 keys"),
    "no name": ("runner_type: noop\n", "expected 'name'"),
    "a name with a NUL": ('name: "a\\0b"\nrunner_type: noop\n', "name"),
    "a path that leads out": ("name: x\nrunner_type: shell\nentry_point: ../../x.sh\n",
                              "inside of actions/"),
    "no YAML": ("\x01\x02: [", ":"),
    "two documents": ("name: a\n---\nname: b\n", ":"),
    "a tag": ("name: !!python/object:os.system x\nrunner_type: noop\n", ":"),
}


def install(server, files, expect):
    status, _, body = server.client().request(
        "POST", "/api/v1/packs", archive(files), GZIP, timeout=60)
    assert status in expect, (status, str(body)[:2000])
    return body


def a_wrong_file_costs_itself_and_is_told():
    with Server(packs=()) as server:
        server.start()
        for what, (text, told) in FAULTS.items():
            begun = time.monotonic()
            done = install(server, {**FILES, "actions/bad.yaml": text}, (200,))["data"]
            took = time.monotonic() - begun
            assert took < 20, (what, took)
            problems = [one for one in done["problems"] if one.startswith("actions/bad.yaml:")]
            assert problems and any(told in one for one in problems), (what, done["problems"])
            assert done["actions"] == 1 and done["rules"] == 1, (what, done)
            assert len(str(problems)) < 100_000, what
        assert "brewed green" in brew(server)
        for folder in ("triggers", "rules", "sensors", "policies", "aliases"):
            for text in (BOMB, DEEP, "- 1\n", MANY_KEYS):
                done = install(server, {**FILES, f"{folder}/bad.yaml": text}, (200,))["data"]
                assert any(one.startswith(f"{folder}/bad.yaml:") for one in done["problems"]), done
        for text in (BOMB, DEEP, "- 1\n"):
            done = install(server, {**FILES, "config.schema.yaml": text}, (200,))["data"]
            assert any(one.startswith("config.schema.yaml:") for one in done["problems"]), done
        assert "brewed green" in brew(server)
        server.stop()
        server.doctor()


def a_wrong_pack_yaml_is_refused_and_nothing_is_left():
    with Server(packs=()) as server:
        server.start()
        for text in (BOMB, DEEP, "", "- 1\n", "ref: [tea]\n", "ref: ../tea\n", 'ref: "te\\0a"\n',
                     "ref: tea\nref: milk\n", "ref: Tea Shop\n", "ref: core\nversion: 1.0.0\n",
                     "version: 1.0.0\n"):
            body = install(server, {**FILES, "pack.yaml": text}, (400, 409, 422))
            assert body["code"].startswith("PCK-00"), body
            assert not releases(server)
        assert [row["ref"] for row in cli_json(server, "pack", "list")] == ["core"]


def a_configuration_that_is_wrong_is_refused():
    with Server(packs=()) as server:
        server.start()
        schema = "cups: {type: array, items: {type: integer}, maxItems: 3}\n"
        install(server, {**FILES, "config.schema.yaml": schema}, (200,))
        client = server.client()
        deep = 1
        for _ in range(60):
            deep = [deep]
        for values in ([], "x", {"cups": ["a"]}, {"cups": [1] * 4}, {"cups": deep},
                       {"other": "x" * 70_000}):
            status, _, body = client.request("PUT", "/api/v1/packs/tea/config", {"values": values})
            assert 400 <= status < 500, (status, body)
        # 50,000 levels
        status, _, _ = client.request(
            "PUT", "/api/v1/packs/tea/config",
            b'{"values": {"cups": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
            {"Content-Type": "application/json"})
        assert 400 <= status < 500, status
        assert client.data("GET", "/api/v1/packs/tea/config")["version"] == 0


if __name__ == "__main__":
    sys.exit(run_cases([
        a_wrong_file_costs_itself_and_is_told,
        a_wrong_pack_yaml_is_refused_and_nothing_is_left,
        a_configuration_that_is_wrong_is_refused,
    ]))
