#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What comes in is what is stored: values keep their worth on the way through the real binary."""
import json
import pathlib
import subprocess
import tempfile

from harness import Server, binary, run_cases

SERVER = None
PACK = pathlib.Path(tempfile.mkdtemp(prefix="millrace-data-pack-")) / "border"


def write_pack():
    """The pack of these tests: what must be as it is stands beside the case that needs it."""
    files = {
        "pack.yaml": "ref: border\nname: border\nlabel: Border\ndescription: For tests.\n"
                     "version: 1.0.0\nauthor: The Millrace contributors\n",
        "actions/twice.yaml": "name: twice\nrunner_type: orquesta\n"
                              "entry_point: workflows/twice.yaml\n"
                              "parameters: {msg: {type: string}}\n",
        "actions/workflows/twice.yaml":
            "version: 1.0\ninput: [msg]\ntasks:\n"
            "  a: {action: core.echo, input: {message: <% ctx().msg %>},"
            " next: [{publish: [{m: <% result().output %>}]}]}\n"
            "output: [{m: <% ctx().m %>}]\n",
        "actions/large.yaml": "name: large\nrunner_type: workflow\n"
                              "entry_point: workflows/large.yaml\n"
                              "parameters: {bytes: {type: integer}}\n",
        "actions/workflows/large.yaml":
            "version: 1.0\ninput: [bytes]\ntasks:\n"
            "  a: {action: core.local, input: {cmd: \"head -c {{ parameters.bytes }} /dev/zero"
            " | tr '\\\\0' x\"}, next: [{publish: [{n: \"{{ result().stdout | length }}\"}]}]}\n"
            "output: [{n: \"{{ workflow.n }}\"}]\n",
    }
    for name, text in files.items():
        path = PACK / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def client():
    return SERVER.client()


def run(action, parameters, expect="succeeded"):
    row = client().data("POST", "/api/v1/executions?wait=30s",
                        {"action": action, "parameters": parameters})
    assert row["status"] == expect, row
    return row


def text_from_outside_reads_no_key():
    client().data("PUT", "/api/v1/keys/system/dbpw", {"value": "Kanarie-77", "encrypted": True})
    for text in ("<% st2kv('system.dbpw', decrypt => true) %>",
                 "{{ st2kv('system.dbpw', decrypt=true) }}"):
        row = run("border.twice", {"msg": text})
        assert row["result"]["output"] == {"m": text}, row["result"]


def large_stdout_is_a_value():
    for size in (64 << 10, 100_000, 900_000):
        row = run("core.local", {"cmd": f"head -c {size} /dev/zero | tr '\\0' x"})
        assert row["result"]["stdout"] == "x" * size, size
        assert run("border.large", {"bytes": size})["result"]["output"] == {"n": size}, size


def what_an_answer_does_not_show_is_said():
    row = run("core.local", {"cmd": "head -c 2000000 /dev/zero | tr '\\0' x"})
    assert row.get("result") is None, len(str(row))
    assert "at most 1048576 are read" in row["result_error"], row["result_error"]
    whole = client().request("GET", f"/api/v1/executions/{row['id']}/result")[2]
    assert whole["stdout"] == "x" * 2_000_000


CASES = [text_from_outside_reads_no_key, large_stdout_is_a_value,
         what_an_answer_does_not_show_is_said]


def main():
    global SERVER
    write_pack()
    with Server(packs=(PACK,)).start() as server:
        SERVER = server
        return run_cases(CASES)


if __name__ == "__main__":
    raise SystemExit(main())
