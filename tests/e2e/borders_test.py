#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand clients without a right cost little, and who has one is served meanwhile.

The hostile ones come from 127.0.0.1, the honest one from 127.0.0.2. What the server takes of memory
is what /proc tells of it at its highest.
"""
import hashlib
import hmac
import http.client
import os
import pathlib
import re
import resource
import select
import socket
import sys
import time

from harness import Server, binary, run_cases, until

HOSTILE = 1000
SECONDS = 12
MIB = 1 << 20
SECRET = "a secret of the hook"
# A sanitizer keeps what was freed, and a shadow of all.
SANITIZED = b"__asan_init" in pathlib.Path(binary()).read_bytes()
MOST_RSS = (1500 if SANITIZED else 200) * MIB
os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=16:detect_leaks=0"


def peak_rss(server):
    status = pathlib.Path(f"/proc/{server.pid()}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def head(method, path, *lines):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", *lines, "", ""]).encode()


def signed(body, wrong=False):
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": "sha256=" + ("0" * 64 if wrong else digest),
            "X-GitHub-Event": "push", "X-GitHub-Delivery": hashlib.sha256(body).hexdigest()[:32],
            "Content-Type": "application/json"}


SIGNED = [f"{name}: {value}" for name, value in signed(b"", wrong=True).items()]
BLOCK = b"x" * (64 << 10)


class Hostile:
    """One connection: what it sends first, and what again and again, as far as it is taken."""

    def __init__(self, port, first, again=b"", every=0.0):
        self.port, self.first, self.again, self.every = port, first, again, every
        self.socket = None

    def connect(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", self.port))
        self.rest, self.due = self.first, 0.0

    def push(self, now):
        """Sends what is due; comes again when the server has closed."""
        try:
            if self.socket is None:
                self.connect()
            if not self.rest:
                if not self.again or now < self.due:
                    self.look()
                    return
                self.rest, self.due = self.again, now + self.every
            self.rest = self.rest[self.socket.send(self.rest):]
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def look(self):
        """Closed by the server? What it has answered stays unread."""
        if self.socket in select.select([self.socket], [], [], 0)[0]:
            if self.reads and not self.socket.recv(4096):
                self.close()

    reads = True

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


class DoesNotRead(Hostile):
    reads = False


def crowd(port):
    """All kinds of the review, in turn, as many as asked for."""
    delivery = ("POST", "/api/v1/webhooks/ci", *SIGNED)
    chunked = head(*delivery, "Transfer-Encoding: chunked")
    kinds = [
        lambda: Hostile(port, b"GET / HTTP/1.1\r\nX: ", b"x", 0.5),
        lambda: Hostile(port, b"\r\n", b"\r\n", 0.5),
        lambda: Hostile(port, b""),
        lambda: Hostile(port, head("POST", "/api/v1/webhooks/nosuch", f"Content-Length: {10 * MIB}"),
                        BLOCK),
        lambda: Hostile(port, head("POST", "/api/v1/executions", f"Content-Length: {MIB}"), BLOCK),
        lambda: Hostile(port, head(*delivery, f"Content-Length: {10 * MIB}"), BLOCK, 0.2),
        lambda: Hostile(port, head(*delivery, f"Content-Length: {64 << 10}") + BLOCK[:-1]),
        lambda: Hostile(port, chunked, b"1;" + b"a" * 8000 + b"\r\nx\r\n"),
        lambda: Hostile(port, chunked, b"10000\r\n" + BLOCK + b"\r\n", 0.2),
        lambda: DoesNotRead(port, head("GET", "/api/docs") * 200),
    ]
    return [kinds[i % len(kinds)]() for i in range(HOSTILE)]


class Honest:
    """A sender and a reader from another address."""

    def __init__(self, server):
        host, port = server.url().removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=30,
                                                     source_address=("127.0.0.2", 0))
        self.token = server.token()
        self.count = 0

    def ask(self, method, path, body=None, headers=None):
        for last in (False, True):
            try:
                self.connection.request(method, path, body, headers or {})
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection.close()  # it was idle, and had to make place
                if last:
                    raise

    def work(self):
        self.count += 1
        body = b'{"n":%d,"text":"%s"}' % (self.count, b"x" * 8000)
        status, text = self.ask("POST", "/api/v1/webhooks/ci", body, signed(body))
        assert status == 202, (status, text)
        status, text = self.ask("GET", "/api/v1/events?limit=1", None,
                                {"Authorization": f"Bearer {self.token}"})
        assert status == 200, (status, text)


def with_hook(server):
    server.start()
    server.client().data("POST", "/api/v1/webhook-endpoints",
                         {"name": "ci", "scheme": "github", "secrets": [SECRET]})
    return int(server.url().rsplit(":", 1)[1])


def a_thousand_clients_without_a_right():
    with Server(packs=()) as server:
        port = with_hook(server)
        honest = Honest(server)
        honest.work()
        before = peak_rss(server)
        clients = crowd(port)
        end = time.monotonic() + SECONDS
        while (now := time.monotonic()) < end:
            for client in clients:
                client.push(now)
            honest.work()
        peak = peak_rss(server)
        print(f"     resident at most {peak / MIB:.0f} MiB, before {before / MIB:.0f}; "
              f"{honest.count} honest deliveries", flush=True)
        assert peak < MOST_RSS, f"{peak / MIB:.0f} MiB"
        for client in clients:
            client.close()
        large = b'{"text":"%s"}' % (b"x" * (9 * MIB))
        until("there is room for a large delivery again", lambda: honest.ask(
            "POST", "/api/v1/webhooks/ci", large, signed(large))[0] == 202)
        assert server.stop() == 0
        server.doctor()


def bodies_for_a_webhook_that_is_not_there():
    with Server(packs=()) as server:
        port = with_hook(server)
        before = peak_rss(server)
        first = head("POST", "/api/v1/webhooks/nosuch", f"Content-Length: {10 * MIB}")
        clients = [Hostile(port, first, BLOCK) for _ in range(200)]
        end = time.monotonic() + 5
        while (now := time.monotonic()) < end:
            for client in clients:
                client.push(now)
        grown = peak_rss(server) - before
        print(f"     grown by {grown / MIB:.1f} MiB", flush=True)
        assert grown < 32 * MIB or SANITIZED, f"{grown / MIB:.0f} MiB"


def one_address_does_not_take_all_places():
    with Server(packs=(), settings={"server.max_connections": 300}) as server:
        port = with_hook(server)
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        Honest(server).work()
        for client in held:
            client.close()


def who_waits_and_leaves_frees_its_place():
    settings = {"server.max_connections": 300, "server.max_connections_per_address": 100}
    with Server(packs=(), settings=settings) as server:
        port = with_hook(server)
        run = server.cli("run", "core.sleep", "seconds=600", "--async").strip()
        for _ in range(3):
            waiting = []
            for _ in range(90):
                client = socket.create_connection(("127.0.0.1", port))
                client.sendall(head("GET", f"/api/v1/executions/{run}?wait=10m",
                                    f"Authorization: Bearer {server.token()}"))
                waiting.append(client)
            time.sleep(0.3)  # their handlers wait now; when not, the test is easier
            for client in waiting:
                client.close()
            until("their places are free", lambda: taken(port) is None)
        assert server.cli("execution", "cancel", run) is not None


def taken(port):
    """How ninety more connections are refused; None: they are not."""
    more = [socket.create_connection(("127.0.0.1", port)) for _ in range(90)]
    try:
        more[-1].sendall(head("GET", "/health", "Connection: close"))
        answer = more[-1].recv(4096)
        return None if answer.startswith(b"HTTP/1.1 200 ") else answer
    except OSError as error:
        return error
    finally:
        for client in more:
            client.close()


def few_open_files_leave_the_store_its_own():
    """All places are taken; who has one reads and writes, through files that are opened now."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))
    with Server(packs=()) as server:
        port = with_hook(server)
        places = server.client().data("GET", "/info")["max_connections"]
        assert places == 400 - 256, places
        honest = Honest(server)
        honest.work()
        held = []
        for number in range(places + 20):
            held.append(socket.socket())
            held[-1].bind((f"127.0.0.{10 + number // 50}", 0))
            held[-1].connect(("127.0.0.1", port))
        for _ in range(20):
            honest.work()
        assert "500" not in {str(line["status"]) for line in server.log_lines("http.answered")}
        assert not server.log_lines("http.accept_failed"), "it ran out of files"
        for client in held:
            client.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    sys.exit(run_cases([
        a_thousand_clients_without_a_right,
        bodies_for_a_webhook_that_is_not_there,
        one_address_does_not_take_all_places,
        who_waits_and_leaves_frees_its_place,
        few_open_files_leave_the_store_its_own,  # the last: the limit stays
    ]))
