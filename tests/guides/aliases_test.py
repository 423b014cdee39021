#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what docs/guides/aliases.md shows, and holds its table of formats against the server."""
import json
import sys

from commands import ROOT, Server, run_all, run_cases, shown
from tables import code, rows


def write_pack(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


SAYS = {
    "millrace chat deploy web to prod": "done: web is on prod",
    """millrace chat "deploy 'my web'\"""": "done: my web is on staging",
    "millrace chat --match deploy web by=ann":
        'ops.deploy runs ops.deploy with {"what":"web","where":"staging","by":"ann"}',
    "millrace alias help": "deploy <what> [to <where>]",
    "millrace alias list": "Puts a service somewhere",
    "millrace alias show ops.deploy": "on it: {{ execution.parameters.what }}",
}


def the_guide_works():
    with Server(packs=()).start() as server:
        run_all(server, shown("aliases.md"), SAYS)


def each_row_of_formats_gives_its_parameters():
    found = [row for row in rows(ROOT / "docs/guides/aliases.md") if "format" in row]
    assert len(found) >= 8, found
    wanted = [json.loads(code(row["parameters"])) for row in found]
    names = {name for parameters in wanted for name in parameters}
    files = {"pack.yaml": "ref: table\nversion: 1.0.0\n",
             "actions/take.yaml": json.dumps({
                 "name": "take", "runner_type": "noop",
                 "parameters": {name: {"type": "string"} for name in sorted(names)}})}
    for number, row in enumerate(found):
        files[f"aliases/row{number}.yaml"] = json.dumps({
            "name": f"row{number}", "action_ref": "table.take", "formats": [code(row["format"])]})
    with Server(packs=()) as server:
        folder = write_pack(server.home / "packs/table", files)
        server.packs = (folder.parent,)
        client = server.start().client()
        for number, row in enumerate(found):
            status, _, answer = client.request(
                "POST", "/api/v1/aliases/execute",
                {"command": code(row["command"]), "alias": f"table.row{number}"})
            assert status == 201, (row, answer)
            assert answer["data"][0]["execution"]["parameters"] == wanted[number], (row, answer)


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_works, each_row_of_formats_gives_its_parameters]))
