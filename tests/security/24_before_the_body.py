# SPDX-License-Identifier: Apache-2.0
"""Who has shown no right costs neither memory nor descriptors nor others' places (review, H4).

Attackers come from 127.0.0.2, the honest one from 127.0.0.1.
"""

import pathlib
import resource
import socket
import sys
import time

from attack import JSON, Client, Target, connect, main, responses, until, wrong

MIB = 1 << 20
TARGET = Target(most_mib=400)
BLOCK = b"x" * (64 << 10)


def attacker(target=None, timeout=10):
    """A connection from another address than the honest one's."""
    return socket.create_connection((target or TARGET).address(), timeout, source_address=("127.0.0.2", 0))


def head(method, path, *fields):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


def first_status(sock):
    """The status of the first answer; None when the connection ended, or nothing came in time."""
    got = b""
    try:
        while b"\r\n" not in got and (piece := sock.recv(4096)):
            got += piece
    except OSError:
        return None
    return int(got.split()[1]) if got.startswith(b"HTTP/1.1 ") else None


def unknown_senders():
    """(what, head): requests whose senders have no right, that say they bring a large body."""
    large, bearer = f"Content-Length: {900_000}", "Authorization: Bearer mr_" + "0" * 64
    kind = "Content-Type: application/json"
    for path in (
        "/api/v1/rules",
        "/api/v1/executions",
        "/api/v1/events",
        "/api/v1/workflows/inspect",
        "/api/v1/tokens",
    ):
        yield f"no token, {path}", head("POST", path, kind, large)
        yield f"an unknown token, {path}", head("POST", path, kind, large, bearer)
    yield "another scheme", head("POST", "/api/v1/rules", kind, large, "Authorization: Basic eDp5")
    yield "no hook", head("POST", "/api/v1/webhooks/nohook", kind, large)
    yield "no hook of a tenant", head("POST", "/api/v1/tenants/1/webhooks/nohook", kind, large)
    yield "a hook without a signature", head("POST", "/api/v1/webhooks/hub", kind, large)
    yield "a hook of who has a token, without one", head("POST", "/api/v1/webhooks/own", kind, large)
    yield "no route", head("POST", "/api/v1/nowhere", kind, large)
    yield "no method", head("POST", "/health", kind, large)
    yield "a run's token that is forged", head(
        "POST", "/api/v1/rules", kind, large, "Authorization: Bearer mrx.1.1.1.1." + "0" * 64
    )


def a_right_is_asked_for_before_the_body():
    """The head is sent and nothing more: the answer comes all the same."""
    admin = TARGET.client()
    admin.data(
        "POST",
        "/api/v1/webhook-endpoints",
        {"name": "hub", "scheme": "github", "secrets": ["a secret of the hub"]},
    )
    admin.data("POST", "/api/v1/webhook-endpoints", {"name": "own", "scheme": "token"})
    bad = []
    for what, request in unknown_senders():
        with attacker(timeout=3) as sock:
            sock.sendall(request)
            status = first_status(sock)
        if status not in (401, 404, 405, 413):
            bad.append((what, status))
    wrong(bad)


def a_right_that_lacks_is_told_before_the_body():
    token = TARGET.make_token(["rules:read"])
    with attacker(timeout=3) as sock:
        sock.sendall(
            head(
                "POST",
                "/api/v1/executions",
                "Content-Type: application/json",
                "Content-Length: 900000",
                f"Authorization: Bearer {token}",
            )
        )
        assert first_status(sock) == 403


def bodies_of_many_unknown_senders_cost_little():
    """40 at once send up to 8 MiB each, and stay."""
    before, socks = TARGET.rss_kib(), []
    signature = "X-Hub-Signature-256: sha256=" + "0" * 64
    for number in range(40):
        path, more = (
            ("/api/v1/webhooks/nohook", ()),
            ("/api/v1/webhooks/hub", (signature,)),
            ("/api/v1/webhooks/hub", ()),
            ("/api/v1/events", ()),
        )[number % 4]
        sock = attacker()
        sock.setblocking(False)
        try:
            sock.send(
                head("POST", path, "Content-Type: application/json", f"Content-Length: {8 * MIB}", *more)
            )
        except OSError:
            pass
        socks.append([sock, 0])
    quiet = 0
    while quiet < 30:  # until nobody can send more: what the server read then is all that it reads
        moved, spent = sum(sent for _, sent in socks), TARGET.cpu()
        for entry in socks:
            try:
                entry[1] += entry[0].send(BLOCK) if entry[1] < 8 * MIB - len(BLOCK) else 0
            except OSError:
                pass  # it takes no more for now, or not at all
        time.sleep(0.02)
        quiet = quiet + 1 if (moved, spent) == (sum(sent for _, sent in socks), TARGET.cpu()) else 0
    TARGET.still_well()
    grown = (TARGET.rss_kib() - before) >> 10
    for sock, _ in socks:
        sock.close()
    print(f"     {sum(sent for _, sent in socks) >> 20} MiB were sent, {grown} MiB held")
    assert grown < 150, f"{grown} MiB"  # the budget of signed deliveries is 64 MiB


def chunk_extensions_count():
    """Of a body of 4 KB, 64 MiB of extensions: it is cut long before."""
    token = TARGET.make_token(["events:send"])
    line = b"1;" + b"e" * 15_000 + b"\r\nx\r\n"
    sent = 0
    with attacker() as sock:
        sock.sendall(
            head(
                "POST",
                "/api/v1/webhooks/own",
                "Content-Type: text/plain",
                "Transfer-Encoding: chunked",
                f"Authorization: Bearer {token}",
            )
        )
        try:
            while sent < 64 * MIB:
                sock.sendall(line)
                sent += len(line)
        except OSError:
            pass  # it has closed
    assert sent < 40 * MIB, f"{sent >> 20} MiB of extensions were taken"


def own_sockets(target, state):
    """How many connections of the server are in a state of TCP, by its number."""
    port = f":{target.address()[1]:04X}"
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(port) and line.split()[3] == state for line in lines)


def who_leaves_a_wait_is_seen_to_leave():
    row = TARGET.client().data(
        "POST", "/api/v1/executions", {"action": "core.ask", "parameters": {"prompt": "?"}}
    )
    socks = []
    for _ in range(50):
        sock = connect(TARGET)
        sock.sendall(
            head(
                "GET", f"/api/v1/executions/{row['id']}?wait=10m", f"Authorization: Bearer {TARGET.token()}"
            )
        )
        socks.append(sock)
    time.sleep(0.5)
    for sock in socks:
        sock.close()
    close_wait = "08"
    until("no connection is kept for who has left", lambda: own_sockets(TARGET, close_wait) == 0, 15)


def a_head_that_trickles_is_cut():
    """Each byte in time, the head never whole. Both are told or closed, within the time of a head."""
    slow = [attacker() for _ in range(5)]
    for sock in slow:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        sock.settimeout(0.01)
    open_ = set(slow)
    for _ in range(400):
        for sock in list(open_):
            try:
                sock.sendall(b"X")
                if not sock.recv(4096) or True:
                    open_.discard(sock)
            except TimeoutError:
                pass
            except OSError:
                open_.discard(sock)
        if not open_:
            return
        time.sleep(0.1)
    raise AssertionError(f"{len(open_)} still hold their head open")


def connections_of_one_address_leave_room_for_others():
    """More idle ones than the server takes, and fewer descriptors than it would need for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    for what, settings, prefix in (
        ("few connections", {"server.max_connections": 200}, ()),
        ("few descriptors", {}, ("prlimit", "--nofile=1024:1024")),
        ("the usual soft limit", {}, ("prlimit", f"--nofile=1024:{min(hard, 65536)}")),
    ):
        with Target(most_mib=200, settings=settings) as target:
            target.start(prefix=prefix)
            target.prefixed = False  # prlimit has become the server
            socks = []
            for _ in range(1_200):
                try:
                    sock = attacker(target, 2)
                    sock.sendall(b"GET /hea")
                    socks.append(sock)
                except OSError:
                    pass
            bad = []
            for number in range(20):
                client = target.client()
                try:
                    status, _, answer = client.request("GET", "/api/v1/rules", timeout=10)
                    made = client.request(
                        "POST", "/api/v1/executions?wait=20s", {"action": "core.noop", "parameters": {}}
                    )
                    if status != 200 or made[0] != 201:
                        bad.append((what, number, status, made[0], answer))
                except OSError as error:
                    bad.append((what, number, error))
                client.close()
            for sock in socks:
                sock.close()
            wrong(bad)
            target.finish()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


CASES = [
    a_right_is_asked_for_before_the_body,
    a_right_that_lacks_is_told_before_the_body,
    bodies_of_many_unknown_senders_cost_little,
    chunk_extensions_count,
    who_leaves_a_wait_is_seen_to_leave,
    a_head_that_trickles_is_cut,
    connections_of_one_address_leave_room_for_others,
]

sys.exit(main(TARGET, CASES))
