# SPDX-License-Identifier: Apache-2.0
"""DBOS, graphile-worker and BullMQ: libraries in a node process over PostgreSQL or Redis."""
import socket
import time

from contestant import NODE, PROGRAMS, Commanded, until
from load import free_port


class DrainedByCount(Commanded):
    """Says how many of the waiting items have ended."""

    def ended_at_last(self, count, limit_s):
        """From the first that ended on: before it the program was starting."""
        ended = until("the first waiting item has ended", lambda: self.ask("ended")["ended"])
        begin, before = time.monotonic(), ended
        while ended < count and time.monotonic() - begin < limit_s:
            time.sleep(0.05)
            ended = self.ask("ended")["ended"]
        return ended - before, time.monotonic() - begin


class Dbos(DrainedByCount):
    name = "DBOS"
    works = ("empty", "three", "fan_steps", "fan_calls")

    def start(self, *more):
        self.start_driver("dbos_app.mjs", self.start_postgres(), self.ledger, *more)

    def drain(self, count, limit_s):
        """Another process of the application works off what the first one has put in."""
        self.end_driver()
        self.start_driver("dbos_app.mjs", self.url, self.ledger, "--listen")
        return self.ended_at_last(count, limit_s)

    def start_postgres(self):
        self.url = super().start_postgres()
        return self.url


class Graphile(DrainedByCount):
    name = "graphile-worker"
    works = ("empty",)

    def start(self):
        self.start_driver("graphile_app.mjs", self.start_postgres(), self.ledger)

    def load(self, work, in_flight, seconds):
        self.ask("listen")
        return super().load(work, in_flight, seconds)

    def timers(self, count, lead_s, window_s, in_flight):
        self.ask("listen")
        return super().timers(count, lead_s, window_s, in_flight)

    def drain(self, count, limit_s):
        self.ask("listen")
        return self.ended_at_last(count, limit_s)

    def accept(self, first, count, in_flight):
        self.ask("listen")
        yield from super().accept(first, count, in_flight)

    def resume(self):
        self.ask("listen")


class Bullmq(Commanded):
    name = "BullMQ"
    works = ("empty", "three", "fan_calls")

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()

    def start(self):
        (self.folder / "redis").mkdir(exist_ok=True)
        self.enclosure.spawn(
            ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir",
             self.folder / "redis", "--appendonly", "yes", "--appendfsync", "always", "--save", "",
             "--maxmemory-policy", "noeviction"], self.log)
        until("Redis has read its log", self.redis_answers)
        self.start_worker("work")
        self.start_driver("bullmq_client.mjs", str(self.port), inside=False)

    def redis_answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def start_worker(self, queue):
        self.enclosure.spawn([NODE, PROGRAMS / "bullmq_worker.mjs", self.port, self.ledger, queue],
                             self.log)

    def drain(self, count, limit_s):
        self.start_worker("later")
        until("the first waiting item has ended", lambda: self.ask("left")["left"] < count)
        begin, before = time.monotonic(), self.ask("left")["left"]
        left = before
        while left and time.monotonic() - begin < limit_s:
            time.sleep(0.05)
            left = self.ask("left")["left"]
        return before - left, time.monotonic() - begin
