#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents as processes: what they run, and what becomes of it when they are killed, stopped, cut off
or drained, and when their server is. The lease is 3 s instead of 30: renewed each second, the
spawner ends runs after 2.2 s, the server gives them to others after 4."""
import hashlib
import json
import os
import pathlib
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from harness import Server, binary, run_cases, spawners_of, start_time, steady_port, until  # noqa: E402

ACTION = """ref: far.{name}
runner_type: shell
entry_point: {name}.sh
runs_on: [far]
effect_class: {effect}
output_format: text
parameters:
  ledger: {{type: string}}
  go: {{type: string}}
  bytes: {{type: integer, default: 0}}
"""
# One line at its begin, with its pid; then it waits for a file, and prints so many bytes.
SCRIPT = r"""#!/bin/sh
params=$(cat)
value() { printf '%s' "$params" | sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; }
echo "begin $$" >> "$(value ledger)"
while ! [ -e "$(value go)" ]; do sleep 0.05; done
bytes=$(value bytes)
[ "${bytes:-0}" -gt 0 ] && seq 1 100000000 | head -c "$bytes"
echo left > "$MILLRACE_ARTIFACTS_DIR/report.txt"
echo "end $$" >> "$(value ledger)"
"""


def make_pack(folder):
    (folder / "actions").mkdir(parents=True)
    (folder / "pack.yaml").write_text("ref: far\nversion: 1.0.0\n")
    for name, effect in (("once", "at_most_once"), ("again", "idempotent")):
        (folder / f"actions/{name}.yaml").write_text(ACTION.format(name=name, effect=effect))
        (folder / f"actions/{name}.sh").write_text(SCRIPT)


class Proxy:
    """Passes TCP connections on. `cut` lets nothing through, in both ways or in one, and leaves the
    connections open, as a network does that is gone."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.up = self.down = True  # from the client; to it
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        selector = selectors.DefaultSelector()
        selector.register(self.listener, selectors.EVENT_READ, None)
        while not self.stopping:
            for key, _ in selector.select(0.05):
                if key.data is None:
                    client, _ = self.listener.accept()
                    if not (self.up and self.down):
                        client.close()
                        continue
                    host, port = self.target().rsplit(":", 1)
                    try:
                        server = socket.create_connection((host, int(port)), timeout=5)
                    except OSError:
                        client.close()
                        continue
                    selector.register(client, selectors.EVENT_READ, (server, "up"))
                    selector.register(server, selectors.EVENT_READ, (client, "down"))
                    continue
                other, way = key.data
                if not getattr(self, way):
                    time.sleep(0.01)  # it stays unread
                    continue
                try:
                    data = key.fileobj.recv(65536)
                    if data:
                        other.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    for one in (key.fileobj, other):
                        try:
                            selector.unregister(one)
                        except (KeyError, ValueError):
                            pass
                        one.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()

    def cut(self, up=False, down=False):
        self.up, self.down = up, down

    def heal(self):
        self.up = self.down = True

    def close(self):
        self.stopping = True
        self.thread.join()


class Agent:
    def __init__(self, server, name, folder, slots=2, labels="far", grpc=None):
        self.server, self.name, self.slots, self.labels, self.grpc = server, name, slots, labels, grpc
        self.data = folder / name
        self.join = folder / f"{name}.join"
        self.log = folder / f"{name}.log"
        made = server.cli("worker", "token", "--name", name)
        self.join.write_text(made)
        self.join.chmod(0o600)
        self.process = None

    def start(self, prefix=(), ready=True):
        command = [*prefix, binary(), "agent", "--server", self.server.url(), "--join-file", str(self.join),
                   "--data", str(self.data), "--name", self.name, "--labels", self.labels,
                   "--slots", str(self.slots), "--drain-timeout", "60s"]
        if self.grpc:
            command += ["--grpc", self.grpc]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        if ready:
            until(f"agent {self.name} has a session", self.has_session)
        return self

    def row(self):
        rows = self.server.client().data("GET", "/api/v1/workers")
        return next((row for row in rows if row["name"] == self.name), {})

    def has_session(self):
        if self.process.poll() is not None:
            raise AssertionError(f"agent {self.name} ended:\n" + self.log.read_text()[-3000:])
        return self.row().get("session")

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.spawners():
            os.kill(pid, signal.SIGTERM)
        until("its spawner has left", lambda: not self.spawners())

    def spawners(self):
        return [pid for pid, _ in spawners_of(self.data)]


class Site:
    """A server with its own worker, which offers nothing, and agents that do."""

    def __init__(self, **settings):
        self.settings = settings

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-agents-"))
        make_pack(self.folder / "pack")
        self.server = Server(packs=[self.folder / "pack"],
                             settings={"server.port": steady_port(), "grpc.port": steady_port(),
                                       "agents.session_ttl_ms": 3000,
                                       **self.settings})
        self.server.start()
        self.agents, self.proxies, self.runs = [], [], 0
        return self

    def __exit__(self, *_):
        for agent in self.agents:
            agent.stop()
        for proxy in self.proxies:
            proxy.close()
        self.server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def agent(self, name, **options):
        agent = Agent(self.server, name, self.folder, **options)
        self.agents.append(agent)
        return agent.start()

    def proxied_agent(self, name):
        proxy = Proxy(self.grpc_address)
        self.proxies.append(proxy)
        return self.agent(name, grpc=proxy.address), proxy

    def grpc_address(self):
        return self.server.client().data("GET", "/info")["grpc"]

    def run(self, action="once", size=0):
        self.runs += 1
        run = Run(self, self.folder / f"run{self.runs}")
        body = {"action": f"far.{action}",
                "parameters": {"ledger": str(run.ledger), "go": str(run.go), "bytes": size}}
        run.id = self.server.client().data("POST", "/api/v1/executions", body)["id"]
        return run


class Run:
    def __init__(self, site, path):
        self.site, self.ledger, self.go = site, path.with_suffix(".ledger"), path.with_suffix(".go")

    def row(self):
        return self.site.server.client().data("GET", f"/api/v1/executions/{self.id}")

    def lines(self, word):
        if not self.ledger.exists():
            return []
        return [int(line.split()[1]) for line in self.ledger.read_text().splitlines()
                if line.startswith(word)]

    def begun(self, times=1):
        until("it has begun", lambda: len(self.lines("begin")) >= times)
        return self.lines("begin")[-1]

    def ends(self, status="succeeded"):
        self.go.touch()
        until(f"it is {status}", lambda: self.row()["status"] == status)
        return self.row()


def printed(size):
    process = subprocess.run(f"seq 1 100000000 | head -c {size}", shell=True, capture_output=True,
                             check=True)
    return process.stdout


def a_script_of_a_pack_runs_elsewhere_and_its_output_is_here():
    with Site() as site:
        site.agent("a")
        small, large = site.run(size=1000), site.run(size=5_000_000)
        for run, size in ((small, 1000), (large, 5_000_000)):
            run.begun()
            run.ends()
            found, at = b"", 0
            while at < size:
                piece = site.server.client().data(
                    "GET", f"/api/v1/executions/{run.id}/output?stream=stdout&from={at}")
                assert piece["next"] > at and piece["encoding"] == "utf-8", piece
                found, at = found + piece["data"].encode(), piece["next"]
            assert hashlib.sha256(found).digest() == hashlib.sha256(printed(size)).digest(), len(found)
        kept = list((site.server.data / "artifacts").rglob("report.txt"))
        assert len(kept) == 2 and kept[0].read_text() == "left\n", kept
        assert not list((site.folder / "a/artifacts").rglob("report.txt"))


def who_waits_for_a_label_says_so():
    with Site() as site:
        run = site.run()
        until("it says why", lambda: run.row().get("held") ==
              "needs label far: 1 worker does not offer it")
        text = site.server.cli("execution", "show", run.id)
        assert "needs label far: 1 worker does not offer it" in text, text
        site.agent("a")
        run.begun()
        run.ends()
        listed = site.server.cli("worker", "list")
        assert "far" in listed, listed


def an_agent_that_is_killed_adopts_its_runs_when_it_is_back():
    with Site() as site:
        agent = site.agent("a")
        run = site.run()
        pid = run.begun()
        agent.kill()
        assert start_time(pid), "the run lives on"
        agent.start()
        row = run.ends()
        assert row["attempt"] == 1 and run.lines("begin") == [pid], run.ledger.read_text()


def an_agent_that_stays_dead_loses_its_runs_before_others_begin_them():
    with Site() as site:
        first = site.agent("a", slots=1)
        again, once = site.run("again"), None
        pid = again.begun()
        first.kill()
        site.agent("b")
        second = again.begun(2)
        assert start_time(pid) is None, "two run at a time"
        assert second != pid
        again.ends()


def an_agent_that_is_stopped_beyond_its_lease_has_no_runs_left():
    with Site() as site:
        first = site.agent("a")
        again, once = site.run("again"), site.run("once")
        pid, other = again.begun(), once.begun()
        first.process.send_signal(signal.SIGSTOP)
        site.agent("b")
        again.begun(2)
        assert start_time(pid) is None and start_time(other) is None, "two run at a time"
        until("somebody decides", lambda: once.row()["status"] == "needs_decision")
        again.ends()
        first.process.send_signal(signal.SIGCONT)
        until("it has a session again", first.has_session)
        next_one = site.run()
        next_one.begun()
        next_one.ends()
        assert len(once.lines("begin")) == 1, "an action that may run once has run twice"
        assert len(again.lines("begin")) == 2, again.ledger.read_text()


def a_server_that_is_started_again_adopts_what_its_agents_run():
    with Site() as site:
        site.agent("a")
        run = site.run(size=200_000)
        pid = run.begun()
        site.server.kill()
        site.server.start()
        row = run.ends()
        assert row["attempt"] == 1 and run.lines("begin") == [pid], run.ledger.read_text()


def a_short_cut_of_the_network_costs_nothing():
    with Site() as site:
        _, proxy = site.proxied_agent("a")
        run = site.run(size=3_000_000)
        pid = run.begun()
        proxy.cut()
        run.go.touch()
        time.sleep(1)  # shorter than the fence: it is the fault itself
        proxy.heal()
        row = run.ends()
        assert row["attempt"] == 1 and run.lines("begin") == [pid], run.ledger.read_text()
        assert row["result_size"] >= 3_000_000 if "result_size" in row else True


def a_long_cut_ends_the_runs_whichever_way_is_cut():
    for ways in ({}, {"up": True}, {"down": True}):
        with Site() as site:
            _, proxy = site.proxied_agent("a")
            once = site.run()
            pid = once.begun()
            proxy.cut(**ways)
            until("the spawner has ended it", lambda: start_time(pid) is None)
            until("somebody decides", lambda: once.row()["status"] == "needs_decision")
            proxy.heal()
            next_one = site.run("again")
            next_one.begun()
            next_one.ends()
            assert len(once.lines("begin")) == 1, (ways, once.ledger.read_text())


def who_is_told_to_stop_ends_what_it_runs_and_takes_nothing_more():
    with Site() as site:
        agent = site.agent("a")
        run = site.run()
        run.begun()
        agent.process.terminate()
        until("it drains", lambda: '"agent.draining"' in agent.log.read_text())
        waits = site.run("again")
        run.ends()
        assert agent.process.wait(timeout=60) == 0
        assert waits.row()["status"] == "requested" and not waits.lines("begin")
        site.agent("b")
        waits.begun()
        waits.ends()


def a_second_signal_ends_what_runs():
    with Site() as site:
        agent = site.agent("a")
        run = site.run()
        pid = run.begun()
        agent.process.terminate()
        until("it drains", lambda: '"agent.draining"' in agent.log.read_text())
        agent.process.terminate()
        assert agent.process.wait(timeout=60) == 0
        until("it is gone", lambda: start_time(pid) is None)
        until("somebody decides", lambda: run.row()["status"] == "needs_decision")


def a_cancel_reaches_an_agent():
    with Site() as site:
        site.agent("a")
        run = site.run()
        pid = run.begun()
        site.server.client().data("POST", f"/api/v1/executions/{run.id}/cancel")
        until("it is canceled", lambda: run.row()["status"] == "canceled")
        assert start_time(pid) is None


def identity(agent):
    return json.loads((agent.data / "agent/identity.json").read_text())


def age(agent, hours):
    """As if it had got its identity, which lasts for 24 hours, so long ago."""
    facts, now = identity(agent), int(time.time() * 1000)
    facts["begins_ms"] = now - hours * 3_600_000
    facts["expires_ms"] = now + (24 - hours) * 3_600_000
    (agent.data / "agent/identity.json").write_text(json.dumps(facts))


def serial(agent):
    return subprocess.run(["openssl", "x509", "-in", agent.data / "agent/agent.pem", "-noout",
                           "-serial", "-subject"], capture_output=True, text=True,
                          check=True).stdout


def an_agent_renews_its_certificate_and_goes_on():
    with Site(**{"grpc.tls": "true"}) as site:
        agent = site.agent("a")
        run = site.run()
        run.begun()
        first, before = serial(agent), identity(agent)
        agent.kill()
        age(agent, 17)  # two thirds are over
        agent.start()
        until("it has another certificate", lambda: serial(agent) != first)
        until("it knows", lambda: identity(agent)["expires_ms"] > before["expires_ms"])
        assert run.ends() and len(run.lines("begin")) == 1
        # The next connection shows the new one; the join token is used up.
        agent.join.unlink()
        site.server.stop()
        site.server.start()
        grpc = site.grpc_address()
        agent.kill()
        agent.grpc = grpc
        agent.start()
        done = site.run()
        done.begun()
        done.ends()
        assert "agent.identity_not_renewed" not in agent.log.read_text()


def a_token_of_an_agent_on_this_machine_is_renewed_too():
    with Site() as site:
        agent = site.agent("a")
        before = identity(agent)
        assert before["token"]
        agent.kill()
        age(agent, 23)
        agent.start()
        until("it has another token", lambda: identity(agent)["token"] != before["token"])
        agent.kill()
        agent.start()
        run = site.run()
        run.begun()
        run.ends()


def an_agent_whose_time_is_over_joins_anew_and_no_other_way():
    with Site(**{"grpc.tls": "true"}) as site:
        agent = site.agent("a")
        first = serial(agent)
        agent.kill()
        age(agent, 25)
        with open(agent.log, "ab") as log:
            ended = subprocess.run(
                [binary(), "agent", "--server", site.server.url(), "--join-file", str(agent.join),
                 "--data", str(agent.data), "--name", "a"], stdout=log, stderr=log, timeout=60,
                check=False)
        assert ended.returncode != 0, "a join token counts once"
        agent.join.write_text(site.server.cli("worker", "token", "--name", "a"))
        agent.start()
        until("it has another certificate", lambda: serial(agent) != first)
        run = site.run()
        run.begun()
        run.ends()


def an_agent_that_dies_while_it_renews_is_still_somebody():
    """Killed at each rename of its renewal: what it has then is the old identity or the new one."""
    with Site(**{"grpc.tls": "true"}) as site:
        agent = site.agent("a")
        for number in range(1, 9):
            agent.kill()
            until("its session is over", lambda: not agent.row().get("session"))
            age(agent, 17)
            before = identity(agent)["begins_ms"]
            agent.start(["strace", "-f", "-qq", "-b", "execve", "-o", "/dev/null", "-e",
                         f"inject=rename:signal=SIGKILL:when={number}"], ready=False)
            until("it was killed, or has renewed it", lambda: agent.process.poll() is not None
                  or identity(agent)["begins_ms"] > before, 60)
            if agent.process.poll() is None:
                break  # there are no more
            agent.start()
        assert number > 3, "it renames nothing"
        tracer = agent.process.pid
        for child in pathlib.Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        agent.process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(run_cases([
        a_script_of_a_pack_runs_elsewhere_and_its_output_is_here,
        who_waits_for_a_label_says_so,
        an_agent_that_is_killed_adopts_its_runs_when_it_is_back,
        an_agent_that_stays_dead_loses_its_runs_before_others_begin_them,
        an_agent_that_is_stopped_beyond_its_lease_has_no_runs_left,
        a_server_that_is_started_again_adopts_what_its_agents_run,
        a_short_cut_of_the_network_costs_nothing,
        a_long_cut_ends_the_runs_whichever_way_is_cut,
        who_is_told_to_stop_ends_what_it_runs_and_takes_nothing_more,
        a_second_signal_ends_what_runs,
        a_cancel_reaches_an_agent,
        an_agent_renews_its_certificate_and_goes_on,
        a_token_of_an_agent_on_this_machine_is_renewed_too,
        an_agent_whose_time_is_over_joins_anew_and_no_other_way,
        an_agent_that_dies_while_it_renews_is_still_somebody,
    ]))
