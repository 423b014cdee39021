#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What becomes of packs that nobody here wrote.

    tools/try_packs.py [--binary MILLRACE] [--build] [--envs DIR] [--calls N] [--sensors] [-o json]
                       DIR...

DIR is a pack, or a folder of packs. For each it says
  - what `pack check` says: does it load, whole or without which files;
  - its aliases, and how many of them load;
  - its actions by runner, and how many of them a server can run;
  - of its python-script actions how many could be imported, made and called. Each is run by the SDK
    in a process of its own, as a worker does it, with values made up from its parameters, against a
    server on loopback that says yes to everything (tools/pack_fakes). Called is called: an action
    that then finds the answers strange and raises has been called. --calls N takes N of each pack;
  - with --sensors, how far its sensors come: each is started by the SDK against the same fakes,
    watched for some seconds, and stopped;
  - with --build, whether the environment of its requirements.txt can be built, or pip's reason.
    Environments are kept in --envs, and used when they are there.

An action is code of somebody else's, and runs as you: where that matters, run this in a container.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
SDK = ROOT / "sdk/python/src"
sys.path.insert(0, str(ROOT / "sdk/python/tests"))
from fake_api import FakeApi  # noqa: E402
from pack_protocols import speaks_otherwise  # noqa: E402
from pack_sensors import STARTED, try_sensor  # noqa: E402

CALL_TIMEOUT_S = 10
BUILD_TIMEOUT_S = 600
AT_ONCE = 2
# What a worker installs beside a pack's requirements (src/app/environments.cpp).
OF_STACKSTORM = ["requests", "six", "PyYAML", "python-dateutil", "pytz", "Jinja2", "eventlet",
                 "mock"]
FAULT = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): (?P<warning>warning: )?(?P<message>.*)$")
NO_RUNNER = re.compile(r"action '([^']+)': runner type '[^']+' is not supported")
NO_FILE = re.compile(r"action '([^']+)': 'entry_point': the pack has no file")
# In its order: the furthest that a call came.
CALLED = ("returned", "failed as it should", "ended", "raised", "ran on")


class Yes(BaseHTTPRequestHandler):
    """Answers every request with 200 and an object that many clients are content with."""

    protocol_version = "HTTP/1.1"
    ANSWER = json.dumps({
        "ok": True, "version": "8.0.0", "versionNumbers": [8, 0, 0], "deploymentType": "Server",
        "baseUrl": "http://127.0.0.1", "serverTitle": "fake", "buildNumber": 1,
        # Of GitHub's, Trello's, Elasticsearch's and Jira's answers, what sensors look at.
        "id": "1", "name": "x", "login": "x", "url": "https://api.github.com/x", "closed": False,
        "hits": {"total": 0, "hits": []}, "key": "MY_PROJECT", "issues": [], "startAt": 0,
        "maxResults": 50, "total": 0,
    }).encode()
    LISTS = re.compile(r"/(events|field|actions)(\?|$)")

    def handle(self):
        if not speaks_otherwise(self.connection):
            super().handle()

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = b"[]" if self.LISTS.search(self.path) else self.ANSWER
        if self.path.endswith("/project"):
            answer = b"[" + answer + b"]"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer

    def log_message(self, *_):
        pass


class FakeWorld:
    """Servers on loopback: ours for the shim, and one for all that packs ask."""

    def __init__(self):
        self.api = FakeApi()
        self.world = ThreadingHTTPServer(("127.0.0.1", 0), Yes)
        threading.Thread(target=self.world.serve_forever, daemon=True).start()
        self.home = tempfile.TemporaryDirectory(prefix="try-packs-")

    def environment(self):
        return {
            **self.api.env,
            "PATH": os.environ["PATH"], "HOME": self.home.name, "LANG": "C.UTF-8",
            "PYTHONPATH": f"{SDK}:{ROOT / 'tools/pack_fakes'}",
            # eventlet would ask name servers of its own, beside the fakes.
            "EVENTLET_NO_GREENDNS": "yes",
            "PYTHONPYCACHEPREFIX": f"{self.home.name}/pycache", "PYTHONWARNINGS": "ignore",
            "FAKE_WORLD_PORT": str(self.world.server_port),
            "FAKE_API_PORT": self.api.url.rsplit(":", 1)[1],
        }

    def close(self):
        self.api.close()
        self.world.shutdown()
        self.home.cleanup()


def read_yaml(path):
    """A map; an empty one where the file holds none."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def find_packs(folders):
    found = []
    for folder in map(pathlib.Path, folders):
        inside = sorted(each.parent for each in folder.glob("*/pack.yaml"))
        if not inside and not (folder / "pack.yaml").exists():
            sys.exit(f"try_packs: {folder}: no pack, and no folder of packs")
        found += [folder] if (folder / "pack.yaml").exists() else inside
    return [each.resolve() for each in found]


def check(binary, pack):
    """What `pack check` says: (ref, [(file, message)] that are wrong, [message] of warnings)."""
    run = subprocess.run([binary, "pack", "check", str(pack)], capture_output=True, text=True,
                         check=False)
    last = re.search(r"^pack '([^']*)'", run.stdout, re.M)
    if run.returncode not in (0, 1) or not last:
        return "", [("pack.yaml", (run.stderr or run.stdout).strip() or
                     f"pack check ended with {run.returncode}")], []
    wrong, warnings = [], []
    for line in run.stdout.splitlines():
        found = FAULT.match(line)
        if not found:
            continue
        file = os.path.relpath(found["file"], pack)
        (warnings if found["warning"] else wrong).append((file, found["message"]))
    return last[1], wrong, warnings


class Pack:
    """One row of the table."""

    def __init__(self, binary, folder):
        self.folder = folder
        self.ref, self.wrong, self.warnings = check(binary, folder)
        self.name = self.ref or folder.name
        bad_files = {file for file, _ in self.wrong}
        self.runners = collections.Counter()
        self.python = []
        cannot = set()
        for _, message in self.warnings:
            for pattern in (NO_RUNNER, NO_FILE):
                cannot.update(pattern.findall(message))
        self.can_run = 0
        aliases = {path.relative_to(folder).as_posix() for path in folder.glob("aliases/*.y*ml")}
        self.aliases, self.aliases_loaded = len(aliases), len(aliases - bad_files) if self.ref else 0
        self.sensors = {}  # file -> (how far, why)
        for path in sorted((folder / "actions").glob("*.y*ml")):
            action = read_yaml(path)
            runner = action.get("runner_type")
            if not runner or not self.ref:
                continue
            self.runners[runner] += 1
            if path.relative_to(folder).as_posix() in bad_files:
                continue
            self.can_run += f"{self.ref}.{action.get('name')}" not in cannot
            if str(runner).lower() == "python-script":
                self.python.append((path, action))
        self.environment = "none needed"
        self.interpreter = sys.executable
        self.calls = {}  # file -> (how far, why)

    def loads(self):
        if not self.ref:
            return "no"
        files = len({file for file, _ in self.wrong})
        return f"without {files} file{'s' * (files > 1)}" if files else "whole"

    def called(self):
        return sum(how in CALLED for how, _ in self.calls.values())

    def started(self):
        return sum(how in STARTED for how, _ in self.sensors.values())

    def row(self):
        runners = ", ".join(f"{runner} {n}" for runner, n in self.runners.most_common())
        total = sum(self.runners.values())
        called = f"{self.called()} of {len(self.calls)}" if self.calls else "-"
        aliases = f"{self.aliases_loaded} of {self.aliases}" if self.aliases else "-"
        started = f"{self.started()} of {len(self.sensors)}" if self.sensors else "-"
        return [self.name, self.loads(), len(self.warnings), aliases, started,
                f"{self.can_run} of {total}", called,
                self.environment.splitlines()[0], runners or "no actions"]

    def as_json(self):
        return {
            "pack": self.name, "loads": self.loads(), "actions": sum(self.runners.values()),
            "runners": dict(self.runners), "can_run": self.can_run, "called": self.called(),
            "python": len(self.calls), "environment": self.environment,
            "aliases": self.aliases, "aliases_loaded": self.aliases_loaded,
            "sensors": {file: {"how": how, "why": why}
                        for file, (how, why) in self.sensors.items()},
            "wrong": [{"file": file, "message": message} for file, message in self.wrong],
            "warnings": [{"file": file, "message": message} for file, message in self.warnings],
            "calls": {file: {"how": how, "why": why} for file, (how, why) in self.calls.items()},
        }


# Environments, as a worker makes them.

def reason_of(text):
    """Of what pip has printed, the line that says why: git's word, pip's, that of a build."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for what in ("fatal:", "error: (?!subprocess-exited)", "\u00d7 "):
        found = [line for line in lines if re.match(what, line, re.I)]
        if found:
            return found[-1]
    return (lines or ["no reason given"])[-1]


def build(pack, folder):
    """'' when it is there, else why not."""
    python = f"{folder}/bin/python3"
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    steps = [[sys.executable, "-m", "venv", "--clear", str(folder)],
             [*pip, "-r", "requirements.txt"], [*pip, *OF_STACKSTORM]]
    for step in steps:
        try:
            run = subprocess.run(step, cwd=pack, capture_output=True, text=True,
                                 timeout=BUILD_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return f"not built within {BUILD_TIMEOUT_S} s"
        if run.returncode != 0 and step is not steps[-1]:
            return reason_of(run.stderr + run.stdout)
    return ""


def prepare(pack, envs, may_build):
    requirements = pack.folder / "requirements.txt"
    lines = requirements.read_text(errors="replace").splitlines() if requirements.exists() else []
    if not any(line.strip() and not line.strip().startswith("#") for line in lines):
        return
    digest = hashlib.sha256(("\n".join(lines) + sys.version).encode()).hexdigest()[:16]
    folder = envs / f"{pack.folder.name}-{digest}"
    mark = folder / "outcome"  # empty: it is whole
    if not mark.exists():
        if not may_build:
            pack.environment = "not built"
            return
        why = build(pack.folder, folder)
        mark.write_text(why)
    why = mark.read_text()
    pack.environment = f"cannot be built: {why}" if why else "built"
    # Where it could not be built whole, what is there is tried all the same.
    if (folder / "bin/python3").exists():
        pack.interpreter = f"{folder}/bin/python3"


# Calls, through the SDK.

def made_up(schema, name=""):
    """A value that fits a parameter, as far as can be told."""
    if not isinstance(schema, dict):
        return "x"
    default = schema.get("default")
    if default is not None and not (isinstance(default, str) and "{{" in default):
        return default
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "string")
    if kind == "object":
        return {key: made_up(each, key) for key, each in (schema.get("properties") or {}).items()}
    if kind == "string" and re.search("url|host|server|endpoint", name):
        return "http://127.0.0.1:1"
    return {"string": "x", "integer": 1, "number": 1.0, "boolean": True, "array": []}.get(kind, "x")


def filled(value, name=""):
    """What an example leaves open, made up."""
    if isinstance(value, dict):
        return {key: filled(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, name) for each in value]
    if value == "":
        return "127.0.0.1" if name == "hostname" else made_up({}, name)
    return value


# Of ways that an example shows, those that need no file of its author's machine.
CHOSEN = {"auth_method": "basic"}


def configuration(pack):
    schema = read_yaml(pack / "config.schema.yaml")
    config = {name: made_up(each, name) for name, each in schema.items()}
    for example in sorted(pack.glob("*.yaml.example"))[:1]:
        # What its authors show: values with templates are not known here.
        shown = read_yaml(example).items()
        config.update((k, v) for k, v in shown if not (isinstance(v, str) and "{{" in v))
    config.update((name, value) for name, value in CHOSEN.items() if name in config)
    return filled(config)


def how_far(frame, stderr, code):
    """(how far a call came, why not further), from the result and the traceback."""
    if frame is None:
        return ("ended", "") if code == 0 else ("no result", f"exit code {code}")
    error = frame.get("error")
    if not error:
        return ("returned" if frame["status"] == "succeeded" else "failed as it should"), ""
    if error["type"] == "SystemExit":
        return "ended", ""
    why = f"{error['type']}: {error['message'].splitlines()[0] if error['message'] else ''}"
    inside = [name for file, name in re.findall(r'File "([^"]+)", line \d+, in (\S+)', stderr)
              if not file.startswith(str(SDK))]
    if inside and inside[0] not in ("<module>", "__init__"):
        return "raised", why
    if inside and inside[0] == "__init__":
        return "not made", why
    return "not imported", why


def call(pack, path, action, world):
    """Runs one action as a worker does: an order on stdin, the result on its own descriptor."""
    parameters = action.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    given = {name: made_up(schema, name) if isinstance(schema, dict) and (
        schema.get("required") or "default" in schema) else None
        for name, schema in parameters.items()}
    order = {"action": f"{pack.ref}.{action.get('name')}", "pack": pack.ref,
             "pack_path": str(pack.folder), "entry_point": str(action.get("entry_point")),
             "parameters": given, "config": pack.config, "user": "tried"}
    reads, writes = os.pipe()
    child = subprocess.Popen(
        [pack.interpreter, "-u", str(SDK / "millrace/runtime.py")], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[writes], cwd=world.home.name,
        env={**world.environment(), "MILLRACE_RESULT_FD": str(writes)}, start_new_session=True)
    os.close(writes)
    with os.fdopen(reads, "rb") as result:
        try:
            _, stderr = child.communicate(json.dumps(order, default=str).encode(), CALL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "ran on", f"{CALL_TIMEOUT_S} s"
        finally:
            end_group(child)
        data = result.read()
    try:
        frame = json.loads(data) if data else None
    except ValueError:
        return "no result", "what it wrote is not JSON"
    return how_far(frame, stderr.decode(errors="replace"), child.returncode)


def end_group(child):
    """What the action has started goes with it."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def call_all(pack, world, most):
    chosen = pack.python
    if most and len(chosen) > most:
        step = len(chosen) / most
        chosen = [chosen[int(i * step)] for i in range(most)]
    pack.config = configuration(pack.folder)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda one: call(pack, *one, world), chosen)
        for (path, _), outcome in zip(chosen, outcomes):
            pack.calls[path.relative_to(pack.folder).as_posix()] = outcome


def start_all(pack, world):
    pack.config = configuration(pack.folder)
    found = [(path, read_yaml(path)) for path in sorted(pack.folder.glob("sensors/*.y*ml"))]
    found = [(path, each) for path, each in found if each.get("class_name")]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda one: try_sensor(pack, one[1], world, SDK), found)
        for (path, _), outcome in zip(found, outcomes):
            pack.sensors[path.relative_to(pack.folder).as_posix()] = outcome


# What is printed.

HEAD = ["PACK", "LOADS", "WARNINGS", "ALIASES", "SENSORS", "CAN RUN", "CALLED", "ENVIRONMENT", "ACTIONS"]


def print_table(packs):
    rows = [HEAD, *([str(cell) for cell in pack.row()] for pack in packs)]
    widths = [min(60, max(len(row[i]) for row in rows)) for i in range(len(HEAD))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for pack in packs:
        told = [f"{file}: {message}" for file, message in pack.wrong]
        not_called = collections.Counter(
            f"{how}: {why}" for how, why in pack.calls.values() if how not in CALLED)
        told += [f"{n} python-script action{'s' * (n > 1)} {why}"
                 for why, n in not_called.most_common()]
        told += [f"{file}: {how}{': ' if why else ''}{why}"
                 for file, (how, why) in pack.sensors.items()]
        told += [pack.environment] if pack.environment.startswith("cannot") else []
        for line in told:
            print(f"{pack.name}: {line}")
    whole = sum(pack.loads() == "whole" for pack in packs)
    actions = sum(sum(pack.runners.values()) for pack in packs)
    print(f"{len(packs)} packs, {whole} load whole; {sum(p.can_run for p in packs)} of {actions} "
          f"actions can run; {sum(p.called() for p in packs)} of "
          f"{sum(len(p.calls) for p in packs)} python-script actions were called; "
          f"{sum(p.aliases_loaded for p in packs)} of {sum(p.aliases for p in packs)} aliases load; "
          f"{sum(p.started() for p in packs)} of {sum(len(p.sensors) for p in packs)} sensors start")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--binary", default=str(ROOT / "build/dev/millrace"))
    parser.add_argument("--build", action="store_true", help="build environments that are missing")
    parser.add_argument("--envs", default=str(ROOT / "build/pack-envs"), type=pathlib.Path)
    parser.add_argument("--calls", default=0, type=int, help="of each pack; 0 is all, -1 none")
    parser.add_argument("--sensors", action="store_true", help="start the sensors")
    parser.add_argument("-o", dest="output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    packs = [Pack(given.binary, folder) for folder in find_packs(given.folders)]
    world = FakeWorld()
    try:
        for pack in packs:
            prepare(pack, given.envs.resolve(), given.build)
            if given.calls >= 0:
                call_all(pack, world, given.calls)
            if given.sensors and pack.ref:
                start_all(pack, world)
            if given.output == "table":
                print(f"{pack.name}: done", file=sys.stderr, flush=True)
    finally:
        world.close()
    if given.output == "json":
        print(json.dumps([pack.as_json() for pack in packs], indent=2))
    else:
        print_table(packs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
