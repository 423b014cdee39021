#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Actions in JavaScript: through sdk/node, with node_modules by package.json, and as plain programs."""
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile

from harness import Server, run_cases, until

FILES = {
    "pack.yaml": "name: kettle\nversion: 1.0.0\n",
    "actions/add.yaml": "name: add\nrunner_type: node-script\nentry_point: add.js\n"
                        "parameters:\n  a: {type: integer, required: true}\n"
                        "  b: {type: integer}\n",
    "actions/add.js": "import { action, Failed } from '@millrace/sdk';\n"
                      "export default action(async ({ a, b = 40 }, { logger, call }) => {\n"
                      "  console.log('adding');\n  logger.info('to %d', b);\n"
                      "  if (a < 0) throw new Failed('too small', { a });\n"
                      "  return { sum: a + b, action: call.action };\n});\n",
    "actions/plain.yaml": "name: plain\nrunner_type: Node.js\nentry_point: plain.cjs\n"
                          "output_format: json\nparameters:\n  x: {type: string}\n",
    "actions/plain.cjs": "let text = '';\nprocess.stdin.on('data', (d) => (text += d));\n"
                         "process.stdin.on('end', () => console.log(JSON.stringify("
                         "{ given: JSON.parse(text), kind: require('tea').kind })));\n",
    "actions/brew.yaml": "name: brew\nrunner_type: node-script\nentry_point: brew.js\n",
    "actions/brew.js": "import tea from 'tea';\nexport default () => tea.kind;\n",
}


def write_pack(folder, dependencies):
    files = dict(FILES)
    if dependencies is None:
        for name in ("plain.yaml", "plain.cjs", "brew.yaml", "brew.js"):
            del files["actions/" + name]
    else:
        files["package.json"] = json.dumps({"name": "kettle", "dependencies": dependencies})
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with tarfile.open(folder / "tea-1.0.0.tgz", "w:gz") as archive:
        for name, text in (("package.json", '{"name":"tea","version":"1.0.0"}'),
                           ("index.js", "exports.kind = 'green';\n")):
            entry = tarfile.TarInfo("package/" + name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))


def run(server, action, **parameters):
    return server.client().data("POST", "/api/v1/executions?wait=60s",
                                {"action": action, "parameters": parameters})


def server_with(dependencies, **config):
    # Of npm's own configuration: no registry is asked.
    os.environ.update(npm_config_offline="true", npm_config_cache="")
    server = Server(packs=(), **config)
    os.environ["npm_config_cache"] = str(server.home / "npm")
    server.packs = (server.home / "kettle",)
    write_pack(server.home / "kettle", dependencies)
    return server


def an_action_goes_through_the_sdk():
    with server_with(None).start() as server:
        done = run(server, "kettle.add", a=2)
        assert done["status"] == "succeeded", done
        result = done["result"]
        assert result["output"] == {"sum": 42, "action": "kettle.add"}, result
        assert result["stdout"] == "adding\n", result
        assert "to 40" in result["stderr"], result
        failed = run(server, "kettle.add", a=-2)
        assert failed["status"] == "failed", failed
        assert failed["result"]["output"] == {"a": -2}, failed
        assert "too small" in failed["result"]["message"], failed


def node_modules_are_installed_before_the_first_run():
    with server_with({"tea": "file:tea-1.0.0.tgz"}).start() as server:
        done = run(server, "kettle.brew")
        assert (done["status"], done["result"]["output"]) == ("succeeded", "green"), done
        done = run(server, "kettle.plain", x="y")
        assert done["result"]["output"] == {"given": {"x": "y"}, "kind": "green"}, done
        built = server.log_lines("environment.built")
        assert len(built) == 1, built
        write_pack(server.home / "kettle", {"tea": "file:no-such-tea.tgz"})
        server.reload()
        until("the new release is in force", lambda: server.client().data(
            "GET", "/api/v1/packs/kettle")["digest"] != done["release"])
        failed = run(server, "kettle.brew")
        assert failed["status"] == "failed", failed
        assert "npm" in failed["result"]["message"], failed
        assert "no-such-tea" in failed["result"]["message"], failed


def a_machine_without_node_says_so():
    with server_with(None).start() as server:
        (server.home / "kettle/runtimes").mkdir()
        (server.home / "kettle/runtimes/node.yaml").write_text(
            "ref: kettle.node\nexecution_config: {interpreter: {binary: no-such-node}}\n")
        (server.home / "kettle/actions/add.yaml").write_text(
            "name: add\nrunner_type: node\nentry_point: add.js\n")
        before = server.client().data("GET", "/api/v1/packs/kettle")["digest"]
        server.reload()
        until("the new release is in force", lambda: server.client().data(
            "GET", "/api/v1/packs/kettle")["digest"] != before)
        failed = run(server, "kettle.add")
        assert failed["status"] == "failed", failed
        assert "no-such-node" in failed["result"]["message"], failed


def node_is_new_enough():
    """What sdk/node runs in: Debian 12's own is older."""
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return [int(part) for part in told.strip("v\n").split(".")[:2]] >= [20, 19]


if __name__ == "__main__":
    if not node_is_new_enough():
        print("(node 20.19 or newer and npm are not here)")
        sys.exit(run_cases([a_machine_without_node_says_so]))
    sys.exit(run_cases([
        an_action_goes_through_the_sdk,
        node_modules_are_installed_before_the_first_run,
        a_machine_without_node_says_so,
    ]))
