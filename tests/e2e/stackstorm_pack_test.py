#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pack in StackStorm's format, unmodified: python actions, configuration, an Orquesta workflow."""
import json
import os
import sys
import zipfile

from harness import ROOT, Server, run_cases, until

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


def shell_actions_are_run_as_stackstorm_runs_them():
    with Server(packs=(PACK,)).start() as server:
        def result(action, **parameters):
            return run(server, action, **parameters)["result"]
        told = result("warehouse.tell", first="a b", name="x y", loud=True)
        assert told["stdout"] == {"arguments": ["--name=x y", "--loud", "a b"]}, told
        told = result("core.local", cmd="echo $[1+2]; echo err >&2")
        assert (told["stdout"], told["stderr"]) == ("3", "err"), told
        told = result("core.local", cmd="printf '[1, \"b\"]\\r\\n'")
        assert told["stdout"] == [1, "b"], told
        assert result("core.local", cmd="echo 1.10")["stdout"] == "1.10"
        logged = run(server, "core.local", cmd="echo '{}'")
        assert logged["result"]["stdout"] == {}, logged
        assert server.cli("execution", "logs", logged["id"]) == "{}\n"


def write_pack_with_requirements(folder, requirement):
    files = {
        "pack.yaml": "name: brewery\nversion: 1.0.0\n",
        "requirements.txt": f"--find-links wheels\n{requirement}\n",
        "actions/brew.yaml": "name: brew\nrunner_type: python-script\nentry_point: brew.py\n",
        "actions/brew.py": "import tea\nfrom st2common.runners.base_action import Action\n"
                           "class Brew(Action):\n    def run(self):\n        return tea.kind\n",
    }
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "wheels").mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "wheels/tea-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tea.py", "kind = 'green'\n")
        info = "tea-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tea\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL",
                       "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")


def an_environment_is_built_before_the_first_run():
    os.environ["PIP_NO_INDEX"] = "1"  # of pip's own configuration: no registry is asked
    server = Server(packs=())
    server.packs = (server.home / "brewery",)
    write_pack_with_requirements(server.home / "brewery", "tea==1.0")
    with server.start():
        runs = [run(server, "brewery.brew") for _ in range(2)]
        assert [r["status"] for r in runs] == ["succeeded"] * 2, runs
        assert runs[0]["result"]["result"] == "green", runs
        built = server.log_lines("environment.built")
        assert len(built) == 1, built
        write_pack_with_requirements(server.home / "brewery", "no-such-tea==7.0")
        server.reload()
        until("the new release is in force", lambda: server.client().data(
            "GET", "/api/v1/packs/brewery")["digest"] != runs[0]["release"])
        failed = run(server, "brewery.brew")
        assert failed["status"] == "failed", failed
        assert "no-such-tea" in failed["result"]["message"], failed


if __name__ == "__main__":
    sys.exit(run_cases([
        a_python_action_runs_with_its_library_and_configuration,
        what_fails_fails_as_in_stackstorm,
        a_workflow_reads_what_its_python_actions_return,
        shell_actions_are_run_as_stackstorm_runs_them,
        an_environment_is_built_before_the_first_run,
    ]))
