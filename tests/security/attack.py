# SPDX-License-Identifier: Apache-2.0
"""What the attack tests share: a server under guard, raw sockets, the API as its document tells it.

A `Target` is a server whose memory is watched: above its limit it is killed, and the test fails.
Costs are CPU time beside a yardstick that the same server just did, so that a slow machine or a
sanitizer build changes nothing.
"""

import json
import os
import pathlib
import random
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import (  # noqa: E402,F401
    ROOT,
    Client,
    Server,
    argument,
    binary,
    cloud_event,
    everything,
    is_sanitized,
    rule,
    run_cases,
    start_time,
    until,
)

JSON = {"Content-Type": "application/json"}
EVENT = {"Content-Type": "application/cloudevents+json"}
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Target(Server):
    """A server that is attacked. `most_mib` is what it may hold beside what it held when it was
    ready; more ends it."""

    def __init__(self, packs=(), settings=None, most_mib=400, **more):
        super().__init__(packs=packs, settings=settings, **more)
        self.most_mib = most_mib * (8 if is_sanitized() else 1)
        self.base_kib = 0
        self.peak_kib = 0
        self.ate_too_much = False
        self.may_tell = ()  # events of the log that are errors and belong to the attack
        self.may_fail = None  # what a path ends with that may be answered 500

    def start(self, *arguments, **more):
        super().start(*arguments, **more)
        if self.alive():
            self.base_kib = self.rss_kib()
            threading.Thread(target=self.guard, args=(self.process,), daemon=True).start()
        return self

    def guard(self, process):
        while process.poll() is None:
            kib = self.rss_kib()
            self.peak_kib = max(self.peak_kib, kib)
            if kib - self.base_kib > self.most_mib * 1024 and process.poll() is None:
                self.ate_too_much = True
                process.kill()
                return
            time.sleep(0.02)

    def rss_kib(self):
        try:
            return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_KIB
        except (OSError, IndexError):
            return 0

    def grown_mib(self):
        return max(0, self.peak_kib - self.base_kib) // 1024

    def cpu(self):
        """Seconds of CPU that the server has used."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def cost(self, call):
        """(CPU seconds that the server spent, what call() gave)."""
        before = self.cpu()
        value = call()
        return self.cpu() - before, value

    def anyone(self):
        """A client without a token."""
        return Client(self.url(), None)

    def with_token(self, *permissions, identity="tester", roles=(), **more):
        return Client(self.url(), self.make_token(permissions, identity, roles, **more))

    def make_token(self, permissions, identity="tester", roles=(), **more):
        body = {"identity": identity, "permissions": list(permissions), **more}
        if roles:
            body["roles"] = list(roles)
        return self.client().data("POST", "/api/v1/tokens", body)["token"]

    def address(self):
        host, port = self.url().removeprefix("http://").split(":")
        return host, int(port)

    def still_well(self):
        """It lives, serves, and has not been killed for its memory."""
        assert not self.ate_too_much, f"more than {self.most_mib} MiB beside {self.base_kib >> 10}"
        assert self.alive(), f"the server ended with {self.process.returncode}"
        bare = self.anyone()
        assert bare.request("GET", "/health")[0] == 200
        bare.close()

    def finish(self):
        """After all attacks: it stops as it should, its store is sound, its log has no fault."""
        self.still_well()
        assert self.stop() == 0
        assert "0 findings" in self.doctor()
        for line in self.lines():
            fault = line.get("level") in ("error", "fatal") and line["event"] not in self.may_tell
            assert not fault, line
            failed = line["event"] == "http.answered" and line["status"] >= 500 and line["status"] != 503
            assert not failed or self.may_fail and line["path"].endswith(self.may_fail), line

    def lines(self):
        """The log, each line an object."""
        found = []
        for text in self.log.read_bytes().split(b"\n"):
            if text:
                entry = json.loads(text)  # each line is one JSON object
                assert isinstance(entry, dict) and "event" in entry, entry
                found.append(entry)
        return found


# Raw bytes


def connect(target, timeout=20):
    return socket.create_connection(target.address(), timeout)


def read_all(sock):
    """Everything until the server closes."""
    got = []
    while True:
        try:
            piece = sock.recv(1 << 16)
        except ConnectionResetError:
            break
        if not piece:
            break
        got.append(piece)
    return b"".join(got)


def send_raw(target, data, timeout=20):
    """Sends bytes and reads until the server closes. A server that keeps the connection open has
    not refused: that is the case's fault, and its timeout says so."""
    with connect(target, timeout) as sock:
        try:
            sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it closed before it had all
        return read_all(sock)


def responses(data, bodies=True):
    """[(status, headers, body)] of bytes that a server sent; AssertionError when they are none.
    Answers to HEAD have no bodies."""
    found = []
    while data:
        head, gap, rest = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        assert gap and re.fullmatch(rb"HTTP/1\.1 \d{3} [ -~]*", line), f"no response: {data[:200]!r}"
        status = int(line.split()[1])
        headers = {}
        for field in fields:
            name, colon, value = field.partition(b":")
            assert colon and re.fullmatch(rb"[A-Za-z0-9-]+", name), f"bad header {field!r}"
            assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value), f"bad header {field!r}"
            headers[name.decode().lower()] = value.decode("latin-1").strip()
        size = int(headers.get("content-length", 0)) if bodies and status >= 200 else 0
        assert len(rest) >= size, f"cut: {data[:200]!r}"
        found.append((status, headers, rest[:size]))
        data = rest[size:]
    return found


# The API as its document tells it


def api_document(target):
    status, _, document = target.client().request("GET", "/api/v1/openapi.json")
    assert status == 200
    return document


def operations(document):
    """[(METHOD, path, operation)] of all routes."""
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


# Every parameter of a path, as it is when there is no such thing.
NOBODY = {
    "ref": "nobody.nothing",
    "name": "nothing",
    "scope": "system",
    "id": "999999999999",
    "tenant": "1",
}


def nowhere(path):
    """A path of a route with nothing at its end."""
    return re.sub(r"\{(\w+)\}", lambda m: NOBODY.get(m[1], "nothing"), path)


def mutated(rng, data):
    """Bytes with a few of them changed, cut, doubled or moved."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(6)
        if what == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif what == 1:
            data[at:at] = rng.choice(
                (
                    b"\r\n",
                    b"\n",
                    b"\r",
                    b"\0",
                    b":",
                    b" ",
                    b"\t",
                    b"\xff",
                    b"%",
                    b"0",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Content-Length: 5\r\n",
                    b"\r\n\r\n",
                    b"HTTP/1.1",
                    b"9" * 30,
                    b"A" * 300,
                )
            )
        elif what == 2:
            del data[at : at + rng.randrange(1, 20)]
        elif what == 3:
            piece = data[at : at + rng.randrange(1, 60)]
            data[at:at] = piece * rng.randrange(1, 5)
        elif what == 4:
            del data[at:]
        elif len(data) > 1:
            other = rng.randrange(len(data))
            data[at % len(data)], data[other] = data[other], data[at % len(data)]
    return bytes(data)


def wrong(found):
    """Fails with all cases that came out wrong, not only the first."""
    found = list(found)
    assert not found, "\n  ".join([f"{len(found)} wrong", *(str(f)[:600] for f in found)])


def main(target, cases):
    """Runs the cases against one target, then looks whether it is still well."""
    with target:
        target.start()
        failed = run_cases(cases)
        try:
            target.finish()
            print(f"the server grew by at most {target.grown_mib()} MiB", flush=True)
        except Exception as error:  # a test's failure, whatever it is, is the result
            print(f"FAIL at the end: {type(error).__name__}: {error}", flush=True)
            failed = 1
        return failed
