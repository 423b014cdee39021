# SPDX-License-Identifier: Apache-2.0
"""Restate: its server and a node process with its SDK."""
import http.client
import json
import os
import time

from contestant import END_LIMIT_S, INSTALLED, NODE, PROGRAMS, Posted, until
from load import HttpLoad, free_port, post

SERVER = INSTALLED / "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"


class Restate(Posted):
    works = ("empty", "three", "fan_steps", "fan_calls")
    accepts = (202, b'"Accepted"')
    partitions = ""  # empty: as many as it takes itself
    at_once = 1_000  # handlers of one partition that run at the same time: its default
    answers = {"empty": ("1", b"1"), "three": ("1", b"4"), "fan_steps": ("1", b"100"),
               "fan_calls": ("1", b"100")}

    def __init__(self, folder):
        super().__init__(folder)
        self.port, self.admin, self.fabric, self.handlers = (free_port() for _ in range(4))

    def start(self):
        self.enclosure.spawn([NODE, PROGRAMS / "restate_service.mjs", self.handlers,
                              self.probe_port, self.ledger], self.log,
                             # Else it writes two lines for each call.
                             env={**os.environ, "RESTATE_LOGGING": "ERROR"})
        environment = {
            **os.environ, "RESTATE_LISTEN_MODE": "tcp", "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_BIND_PORT": str(self.fabric), "RESTATE_ADMIN__BIND_PORT": str(self.admin),
            "RESTATE_INGRESS__BIND_PORT": str(self.port), "RESTATE_NODE_NAME": "peers",
            "RESTATE_DISABLE_TELEMETRY": "true",
            # Handlers that wait at the gate are not taken for stuck.
            "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "30m", "RUST_LOG": "warn",
            "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": str(self.at_once),
            "RESTATE_BASE_DIR": str(self.folder / "data"),
        }
        if self.partitions:
            environment["RESTATE_DEFAULT_NUM_PARTITIONS"] = self.partitions
        self.enclosure.spawn([SERVER, "--no-logo"], self.log, env=environment, cwd=self.folder)
        self.until_answers(self.admin, "/health")
        self.until_answers(self.port, "/restate/health")
        uri = {"uri": f"http://127.0.0.1:{self.handlers}", "force": True}

        def registered():
            try:
                return self.ask(self.admin, "/deployments", json.dumps(uri)) is not None
            except OSError:
                return False
        until(f"{self.name} knows its service", registered)

    def ask(self, port, path, body=""):
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        link.request("POST", path, body, {"Content-Type": "application/json"} if body else {})
        answer = link.getresponse()
        text = answer.read()
        link.close()
        if answer.status >= 300:
            raise OSError(f"{path}: {answer.status} {text}")
        return json.loads(text or b"null")

    def call_of(self, work):
        body, part = self.answers[work]
        return f"/work/{work}", body, "", 200, part

    def sent(self, path_of, body_of, count, in_flight, limit_s=None):
        """Sends them, without waiting for their ends: when each was acknowledged, and how long all
        of it took."""
        at = {}
        told = HttpLoad(self.port, in_flight).run(
            lambda i: post(path_of(i), body_of(i)), self.accepts, count=count,
            seconds=limit_s, answered=lambda i, _: at.update({i: time.time() * 1e3}))
        return at, told.seconds

    def timers(self, count, lead_s, window_s, in_flight):
        first = time.time() + lead_s
        delays = [0] * count

        def path(number):
            due = first + number / count * window_s
            delays[number] = max(0, round((due - time.time()) * 1e3))
            return f"/work/tick/send?delay={delays[number]}ms"
        at, seconds = self.sent(path, str, count, in_flight)
        fired = {}

        def all_fired():
            fired.update((i, when) for i, when in self.probe("/take_fired"))
            return len(fired) == count
        time.sleep(max(0, first + window_s - time.time()))
        until(f"all timers of {self.name} have fired", all_fired, END_LIMIT_S, 0.1)
        return seconds, lambda: [max(0.0, fired[i] - at[i] - delays[i]) for i in range(count)]

    def fill(self, count, limit_s):
        self.probe("/close")
        at, _ = self.sent(lambda _: "/work/gated/send", lambda _: "", count, 64, limit_s)
        return len(at)

    def drain(self, count, limit_s):
        return self.opened(count, limit_s)

    def accept_call(self, number):
        return "/work/ledger/send", str(number), ""

    def finished(self):
        return set(self.ledger.read_text().split())


class OfCores(Restate):
    partitions = str(os.cpu_count())
    name = f"Restate, {partitions} partitions"


class AsItComes(Restate):
    name = "Restate, as it comes"
    # Of 24 partitions 1,000 each is too much for its SDK: with 24,000 handlers at a gate node does
    # not answer for minutes once that opens.
    at_once = 80
