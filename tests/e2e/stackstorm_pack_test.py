#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pack in StackStorm's format, unmodified: python actions, configuration, an Orquesta workflow."""
import json
import sys

from harness import ROOT, Server, run_cases

PACK = ROOT / "tests/e2e/packs_st2/warehouse"


def run(server, action, **parameters):
    return server.client().data("POST", "/api/v1/executions?wait=60s",
                                {"action": action, "parameters": parameters})


def a_python_action_runs_with_its_library_and_configuration():
    with Server(packs=(PACK,)).start() as server:
        done = run(server, "warehouse.count", thing="boxes", pieces=[4, 5])
        assert done["status"] == "succeeded", done
        result = done["result"]
        assert result["result"] == {
            "thing": "boxes", "sum": 9, "shelves": 3, "key": "********"}, result
        assert result["stdout"] == "counting boxes\n", result
        assert "counting boxes" in result["stderr"], result
        assert result["exit_code"] == 0, result
        assert "open-sesame-42" not in json.dumps(done)


def what_fails_fails_as_in_stackstorm():
    with Server(packs=(PACK,)).start() as server:
        done = run(server, "warehouse.count", thing="ghosts")
        assert done["status"] == "failed", done
        assert done["result"]["result"] == {"why": "nobody can count ghosts"}, done
        done = run(server, "warehouse.count", thing="broken")
        assert done["status"] == "failed", done
        assert "a shelf broke" in done["result"]["stderr"], done
        done = run(server, "warehouse.count", thing="exit")
        assert (done["status"], done["result"]["exit_code"]) == ("failed", 7), done


def a_workflow_reads_what_its_python_actions_return():
    with Server(packs=(PACK,)).start() as server:
        done = run(server, "warehouse.inventory", things=["boxes", "crates"])
        assert done["status"] == "succeeded", done
        assert done["result"]["output"] == {"sums": [6, 6]}, done
        done = run(server, "warehouse.inventory", things=["boxes", "ghosts"])
        assert done["status"] == "failed", done


if __name__ == "__main__":
    sys.exit(run_cases([
        a_python_action_runs_with_its_library_and_configuration,
        what_fails_fails_as_in_stackstorm,
        a_workflow_reads_what_its_python_actions_return,
    ]))
