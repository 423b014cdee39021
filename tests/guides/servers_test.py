#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each command of docs/guides/several-servers.md, in its order, on three folders that stand for the
three machines, over a real PostgreSQL. Addresses and ports are those of this machine."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import ROOT, Client, Postgres, Server, binary, run_cases, until  # noqa: E402

GUIDE = ROOT / "docs/guides/several-servers.md"
# Three servers of this machine: no port twice, nothing beyond the loopback, and certificates.
HERE = ["--set", "server.port=0", "--set", "grpc.port=0", "--set", "grpc.tls=true",
        "--set", "log.level=warn"]


def commands():
    """[(machine, command)] of the sections `## On MACHINE: ...`."""
    found = []
    for section in re.split(r"^## ", GUIDE.read_text(), flags=re.M)[1:]:
        machine = re.match(r"On (\w+):", section)
        if machine:
            found += [(machine[1], line.strip()) for line in section.splitlines()
                      if line.startswith("    ")]
    return found


class Machines:
    def __init__(self, url):
        self.home = Path(tempfile.mkdtemp(prefix="millrace-guide-"))
        self.servers = {}
        for name in ("one", "two", "three"):
            (self.home / name).mkdir()
        (self.home / "one/store.url").write_text(url + "\n")
        (self.home / "one/store.url").chmod(0o600)

    def run(self, machine, command):
        words = command.split()
        here = self.home / machine
        if words[:2] == ["millrace", "serve"]:
            return self.serve(machine, [w.replace("0.0.0.0", "127.0.0.1") for w in words[1:]])
        if words[0] == "millrace":
            words[0] = binary()
        done = subprocess.run(words, cwd=here, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{machine}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def serve(self, machine, words):
        here = self.home / machine
        with open(here / "log", "ab") as log:
            process = subprocess.Popen([binary(), *words, *HERE], cwd=here, stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL)
        self.servers[machine] = process
        (here / "data/url").unlink(missing_ok=True)
        until(f"{machine} is ready", lambda: self.is_ready(machine), 60)
        return ""

    def is_ready(self, machine):
        process = self.servers[machine]
        assert process.poll() is None, (self.home / machine / "log").read_text()
        try:
            return self.client(machine).request("GET", "/ready")[0] == 200
        except OSError:
            return False

    def client(self, machine):
        token = self.home / "one/data/admin.token"
        return Client((self.home / machine / "data/url").read_text().strip(),
                      token.read_text().strip())

    def close(self):
        for process in self.servers.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.servers.values():
            process.wait(timeout=60)
        shutil.rmtree(self.home, ignore_errors=True)


def the_guide_leads_from_one_machine_to_three():
    with Postgres(fsync="off") as postgres:
        machines = Machines(postgres.url)
        try:
            # What one has before: a server with something in it.
            with Server(settings={"log.level": "warn"}, folder=machines.home / "one") as before:
                before.start()
                old = before.client().data("POST", "/api/v1/executions?wait=30s",
                                           {"action": "core.noop"})
                before.stop()
                before.close = lambda: None  # its folder goes on
            said = [(machine, command, machines.run(machine, command))
                    for machine, command in commands()]
            check(machines, said, old)
        finally:
            machines.close()


def check(machines, said, old):
    assert len(said) == 12, [command for _, command, _ in said]
    servers = machines.client("three").data("GET", "/api/v1/servers")
    assert {s["name"] for s in servers} == {"one", "two", "three"}, servers
    shards = {s["name"]: s["shards"] for s in servers}
    until("each that decides has half", lambda: {
        s["name"]: s["shards"] for s in machines.client("one").data("GET", "/api/v1/servers")
    } == {"one": 32, "two": 32, "three": 0})
    listed = next(out for _, command, out in said if "server list" in command)
    assert all(name in listed for name in shards), listed
    ran = next(out for _, command, out in said if "run core.echo" in command)
    assert "hello" in ran, ran
    path = f"/api/v1/executions/{old['id']}"
    assert machines.client("three").data("GET", path)["status"] == "succeeded"
    # As the guide says of a machine that is stopped and one that dies.
    machines.servers["two"].send_signal(signal.SIGTERM)
    machines.servers["two"].wait(timeout=60)
    done = machines.client("three").data("POST", "/api/v1/executions?wait=30s",
                                         {"action": "core.noop"})
    assert done["status"] == "succeeded", done
    os.kill(machines.servers["one"].pid, signal.SIGKILL)
    machines.servers["one"].wait(timeout=60)
    status, headers, _ = machines.client("three").request(
        "POST", "/api/v1/executions", {"action": "core.noop"}, timeout=90)
    assert status == 503 and "Retry-After" in headers, status


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_leads_from_one_machine_to_three]))
