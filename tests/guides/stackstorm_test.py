#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/guides/stackstorm.md, one after the other, against a server."""
import os
import shutil

from commands import ROOT, Server, run_all, run_cases, shown
from fake_stackstorm import API_KEY, FakeStackstorm, key, rule

IMPORT = 'millrace import st2 --url "$ST2_URL" --api-key-file st2.key --packs packs'
SAYS = {
    "millrace pack check warehouse": "0 errors, 0 warnings",
    "millrace pack install warehouse": "installed pack 'warehouse' 1.2.0",
    "millrace run warehouse.count thing=boxes 'pieces=[4, 5]'": "counting boxes",
    "millrace run warehouse.inventory 'things=[\"boxes\", \"crates\"]'": "6",
    IMPORT: "nothing was changed: --apply does it",
    f"{IMPORT} --apply": "3 moved, 2 here already or with their pack, 1 stay, 0 failed",
    "millrace key get city": "Berlin",
    "millrace rule list": "ops.on_hook",
}


def the_commands_do_what_the_guide_says():
    with Server(packs=()) as server:
        server.start()
        shutil.copytree(ROOT / "tests/e2e/packs_st2/warehouse", server.home / "warehouse")
        # What is moved: a StackStorm with another pack, a key and a rule, and what stays.
        (server.home / "packs/shelf").mkdir(parents=True)
        (server.home / "packs/shelf/pack.yaml").write_text("name: shelf\nversion: 1.0.0\n")
        (server.home / "st2.key").write_text(API_KEY)
        with FakeStackstorm() as fake:
            fake.packs = [{"ref": each} for each in ("core", "warehouse", "shelf")]
            fake.keys = [key("city", "Berlin"), key("password", "hush", secret=True)]
            hook = {"type": "core.st2.webhook", "ref": "core.x", "parameters": {"url": "sample"}}
            fake.rules = [rule("ops", "on_hook", "", "core.echo", {"message": "{{ trigger.body }}"},
                               trigger=hook)]
            os.environ["ST2_URL"] = fake.url
            run_all(server, shown("stackstorm.md"), SAYS)


if __name__ == "__main__":
    raise SystemExit(run_cases([the_commands_do_what_the_guide_says]))
