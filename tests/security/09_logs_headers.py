# SPDX-License-Identifier: Apache-2.0
"""What others write into paths, names and values breaks no line of the log, no header, no metric."""

import http.server
import json
import re
import subprocess
import sys
import threading
import urllib.parse

from attack import (
    EVENT,
    JSON,
    Target,
    binary,
    cloud_event,
    connect,
    main,
    read_all,
    responses,
    rule,
    send_raw,
    wrong,
)

TARGET = Target(most_mib=100, settings={"log.level": "debug"})
TEXT = Target(most_mib=100, settings={"log.level": "debug", "log.format": "text"})
MARK = "injected"
CONTROL = rb"[\x00-\x09\x0b-\x1f]"
FORGED = f'{{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"{MARK}"}}'
ODD = [
    "\n" + FORGED,
    "\r\n" + FORGED,
    "\r" + FORGED,
    "\x1b[2J\x1b[31m" + MARK,
    "\x1b]0;" + MARK + "\x07",
    "\x00" + MARK,
    "\x08" * 8 + MARK,
    "\x7f" + MARK,
    "\u0085" + FORGED,
    "\u2028" + FORGED,
    "\u202e" + MARK,
    "\x9b31m" + MARK,
    '","event":"' + MARK,
    "\\n" + FORGED,
    "\t" + MARK,
    "%0a" + FORGED,
    "%s%n%p" + MARK,
    "{}" + MARK,
    "${jndi:ldap://" + MARK + "}",
]


def quote(text):
    return urllib.parse.quote(text, safe="")


def attack_log(target):
    """Odd texts in all places that the log shows."""
    admin = target.client()
    for i, text in enumerate(ODD):
        admin.request("GET", f"/api/v1/rules/{quote(text)}")
        admin.request("GET", f"/{quote(text)}")
        admin.request("GET", f"/api/v1/rules?{quote(text)}=1")
        status, _, made = admin.request(
            "POST", "/api/v1/tokens", {"identity": f"who{text}", "permissions": ["*"]}
        )
        assert status in (201, 400), made
        if status == 201:
            other = target.anyone()
            other.token = made["data"]["token"]
            other.request("GET", "/api/v1/rules/nobody")
            other.request("POST", "/api/v1/executions", {"action": "core.noop", "parameters": {}})
            other.close()
        admin.request("POST", "/api/v1/rules", rule(f"log.r{i}{text}", "core.noop", {}))
        admin.request(
            "POST",
            "/api/v1/rules",
            {**rule(f"log.r{i}", "core.fail", {"message": text}), "description": text},
        )
        admin.request("POST", "/api/v1/executions", {"action": f"core.{text}", "parameters": {}})
        admin.request(
            "POST",
            "/api/v1/executions",
            {"action": "core.echo", "parameters": {"message": text}, "trace_tag": text},
        )
        admin.request(
            "POST",
            "/api/v1/executions?wait=5s",
            {
                "action": "core.local",
                "parameters": {
                    "cmd": "exit 3",
                    "env": {f"A{text}": "x", "B": text},
                    "cwd": f"/nowhere{text}",
                },
            },
        )
        admin.request(
            "POST", "/api/v1/events", json.dumps(cloud_event(f"s{text}", f"i{text}", f"t{text}")), EVENT
        )
        admin.request("PUT", f"/api/v1/keys/system/{quote(text)}", {"value": text})
        admin.request(
            "POST", "/api/v1/webhook-endpoints", {"name": text, "scheme": text, "secrets": [text * 8]}
        )
        admin.request("POST", "/api/v1/workflows/inspect", {"text": f"a: {text}"})
        for line in (f"GET /a{text} HTTP/1.1", f"{text} / HTTP/1.1", f"GET / HTTP/{text}"):
            for field in (
                "",
                f"X-Request-Id: {text}\r\n",
                f"traceparent: 00-{text}\r\n",
                f"User-Agent: {text}\r\n",
            ):
                send_raw(target, f"{line}\r\nHost: x\r\n{field}Connection: close\r\n\r\n".encode())


def each_line_of_the_log_stays_one_object():
    attack_log(TARGET)
    data = TARGET.log.read_bytes()
    assert not re.search(CONTROL, data), re.search(rb".*" + CONTROL + rb".*", data)[0]
    assert data.isascii() or data.decode(), "no UTF-8"
    lines = TARGET.lines()
    assert not [line for line in lines if line["event"] == MARK]
    assert [line for line in lines if MARK in json.dumps(line)], "nothing that was sent stands in the log"


def a_log_of_text_has_no_controls_either():
    with TEXT:
        TEXT.start()
        attack_log(TEXT)
        TEXT.still_well()
        data = TEXT.log.read_bytes()
        assert not re.search(CONTROL, data), re.search(rb".*" + CONTROL + rb".*", data)[0]
        for line in data.decode().strip("\n").split("\n"):
            assert not line.lstrip().startswith(FORGED[:10]), line
            assert re.match(r"\d{4}-\d\d-\d\dT", line), line


def no_answer_carries_a_header_that_was_sent():
    bad = []
    for text in ODD + ["a\r\nSet-Cookie: x=1", "a\nSet-Cookie: x=1", "a b", "a" * 129, "é", ""]:
        for request in (
            f"GET /api/v1/rules/{quote(text)} HTTP/1.1\r\n",
            f"DELETE /health?{quote(text)} HTTP/1.1\r\n",
            f"GET /health HTTP/1.1\r\nX-Request-Id: {text}\r\n",
            f"GET /health HTTP/1.1\r\nOrigin: {text}\r\n",
            f"GET /health HTTP/1.1\r\nAccept: {text}\r\n",
        ):
            for status, headers, _ in responses(
                send_raw(TARGET, f"{request}Host: x\r\nConnection: close\r\n\r\n".encode())
            ):
                if (
                    "set-cookie" in headers
                    or MARK in str(headers)
                    and MARK != text.strip()
                    or status >= 500
                ):
                    bad.append((request, status, headers))
                if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", headers.get("x-request-id", "")):
                    bad.append((request, headers))
    wrong(bad)


class Peer(http.server.BaseHTTPRequestHandler):
    seen = []
    answer_headers = b""

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        Peer.seen.append((self.requestline, self.headers.items(), self.rfile.read(length)))
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\n"
            + Peer.answer_headers
            + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"
        )
        self.close_connection = True

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


def call(url, **parameters):
    return (
        TARGET.client().data(
            "POST",
            "/api/v1/executions?wait=30s",
            {"action": "core.http", "parameters": {"url": url, "timeout": 5, **parameters}},
            expect=(201, 400),
        )
        or {}
    )


def what_leaves_is_one_request():
    """core.http takes no CR and LF in any place, and nothing that frames."""
    peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{peer.server_port}"
    assert call(f"{base}/plain")["status"] == "succeeded" and len(Peer.seen) == 1
    Peer.seen.clear()
    split = "a\r\nX-Injected: 1\r\n\r\nGET /second HTTP/1.1\r\nHost: y\r\n\r\n"
    bad = []
    for what, url, parameters in (
        [
            (f"header {name}", f"{base}/h", {"headers": {name: "5"}})
            for name in (
                "Host",
                "Content-Length",
                "Transfer-Encoding",
                "Connection",
                "host",
                "TRANSFER-ENCODING",
                "Upgrade",
                "TE",
                "Trailer",
                "a b",
                "a:b",
                "a\r\nb",
                "",
                "é",
                "a\x00",
            )
        ]
        + [
            (f"a value with {odd!r}", f"{base}/v", {"headers": {"X-A": f"a{odd}X-Injected: 1"}})
            for odd in ("\r\n", "\n", "\r", "\x00", "\r\n ", "\x0b")
        ]
        + [
            ("a query", f"{base}/q", {"params": {split: split}}),
            ("a url", f"{base}/u{split}", {}),
            ("a url's query", f"{base}/u?{split}", {}),
            ("a url's host", f"http://127.0.0.1:{peer.server_port}\r\nX-Injected: 1/", {}),
            ("a user", f"http://a\r\nb@127.0.0.1:{peer.server_port}/", {}),
            ("a fragment", f"{base}/f#{split}", {}),
            ("a method", f"{base}/m", {"method": "GET / HTTP/1.1\r\n\r\nGET"}),
            ("cookies", f"{base}/c", {"cookies": {"a": split}}),
            ("a body", f"{base}/b", {"method": "POST", "body": split}),
            ("basic", f"{base}/a", {"username": split, "password": split}),
        ]
    ):
        Peer.seen.clear()
        row = call(url, **parameters)
        injected = [
            r
            for r in Peer.seen
            if "X-Injected" in dict(r[1])
            or r[0].startswith("GET /second")
            or len(dict(r[1]).get("Host", "")) < 3
        ]
        doubled = [r for r in Peer.seen if sum(k.lower() in ("host",) for k, _ in r[1]) != 1]
        if injected or doubled or len(Peer.seen) > 1:
            bad.append((what, Peer.seen))
        if "header Host" in what and row.get("status") == "succeeded":
            bad.append((what, "was sent"))
    wrong(bad)
    peer.shutdown()


def what_comes_back_is_a_value():
    """Headers of an answer are data of the result; odd ones break neither the run nor a line."""
    peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    for odd in (
        b"X-A: \x1b[31mred\r\n",
        b"X-A: a\r\n b\r\n",
        b"X-\xff: 1\r\n",
        b"X-A: \xff\xfe\r\n",
        b": x\r\n",
        b"X-A: a\rb\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X-A: " + b"a" * 100_000 + b"\r\n",
        b"X: y\r\n" * 5_000,
        b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n",
        b"Content-Type: application/json; charset=utf-7\r\n",
    ):
        Peer.answer_headers = odd
        row = call(f"http://127.0.0.1:{peer.server_port}/")
        assert row["status"] in ("succeeded", "failed", "timeout"), row
    TARGET.lines()
    peer.shutdown()


def odd_methods_and_paths_add_no_series():
    admin = TARGET.client()

    def series():
        status, _, text = admin.request("GET", "/metrics")
        assert status == 200
        names = [
            line.split(" ")[0] for line in text.decode().splitlines() if line and not line.startswith("#")
        ]
        assert all(re.fullmatch(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^\n]*\})?', name) for name in names), names
        return set(names)

    before = series()
    with connect(TARGET) as sock:
        count = 4_000
        for start in range(0, count, 200):
            sock.sendall(
                b"".join(
                    b"ODD%d /odd/%d HTTP/1.1\r\nHost: h%d\r\n\r\n" % (i, i, i)
                    for i in range(start, start + 200)
                )
            )
            got = b""
            while got.count(b"HTTP/1.1 ") < 200 or not got.endswith(b"}"):
                got += sock.recv(1 << 20)
    for text in ODD:
        admin.request("POST", "/api/v1/executions", {"action": f"core.{text}", "parameters": {}})
        admin.request("GET", f"/api/v1/{quote(text)}")
    assert series() == before, series() ^ before


def what_a_terminal_is_told_of_has_no_escapes():
    """The command line shows names that others chose."""
    for i, text in enumerate(ODD):
        TARGET.client().request(
            "POST", "/api/v1/executions", {"action": "core.fail", "parameters": {"message": text}}
        )
    run = subprocess.run(
        [binary(), "execution", "list", "--data", str(TARGET.data)], capture_output=True, timeout=60
    )
    assert run.returncode == 0 and b"\x1b" not in run.stdout, run


CASES = [
    each_line_of_the_log_stays_one_object,
    a_log_of_text_has_no_controls_either,
    no_answer_carries_a_header_that_was_sent,
    what_leaves_is_one_request,
    what_comes_back_is_a_value,
    odd_methods_and_paths_add_no_series,
    what_a_terminal_is_told_of_has_no_escapes,
]

sys.exit(main(TARGET, CASES))
