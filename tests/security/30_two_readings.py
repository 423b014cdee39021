# SPDX-License-Identifier: Apache-2.0
"""Requests that a proxy reads in another way than we do are refused: lengths in a list, headers that stand
twice, folds before a value, targets whose path is none (review, L2)."""

import hashlib
import hmac
import sys

from attack import Target, connect, main, read_all, responses, send_raw, wrong

TARGET = Target(most_mib=100)
NEXT = b"GET /health HTTP/1.1\r\nHost: next\r\n\r\n"


def two_readings():
    """What is refused with one 4xx; nothing behind it is answered."""
    token = TARGET.token().encode()
    bearer, host = b"Authorization: Bearer " + token + b"\r\n", b"Host: x\r\n"
    post = b"POST /api/v1/webhooks/own HTTP/1.1\r\nContent-Type: text/plain\r\n" + bearer + host
    yield "a length twice in one line", post + b"Content-Length: 3, 3\r\n\r\nabc"
    yield "a length three times in one line", post + b"Content-Length: 3,3,3\r\n\r\nabc"
    yield "two Authorizations", b"GET /api/v1/rules HTTP/1.1\r\n" + host + bearer + bearer + b"\r\n"
    yield "a wrong Authorization behind the right one", b"GET /api/v1/rules HTTP/1.1\r\n" + host + bearer + b"Authorization: Bearer x\r\n\r\n"
    yield "? before /", b"GET http://h?/health HTTP/1.1\r\n" + host + b"\r\n"
    yield "# before /", b"GET http://h#/health HTTP/1.1\r\n" + host + b"\r\n"
    yield "? alone", b"GET ?/health HTTP/1.1\r\n" + host + b"\r\n"
    yield "a fold whose value is empty", b"GET /health HTTP/1.1\r\n" + host + b"X-A:\r\n \r\n\r\n"
    yield "a fold before the value", b"GET /health HTTP/1.1\r\n" + host + b"X-A:\r\n b\r\n\r\n"
    yield "a folded Transfer-Encoding", post + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"
    yield "a folded Transfer-Encoding, by a tab", post + b"Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n"
    yield "a folded length", post + b"Content-Length:\r\n 3\r\n\r\nabc"
    yield "a folded length beside a length", post + b"Content-Length: 3\r\nX:\r\n \r\n\r\nabc"


def what_two_could_read_in_two_ways_is_refused():
    TARGET.client().data("POST", "/api/v1/webhook-endpoints", {"name": "own", "scheme": "token"})
    bad = []
    for what, request in two_readings():
        with connect(TARGET, 3) as sock:
            sock.sendall(request + NEXT)
            try:
                statuses = [status for status, _, _ in responses(read_all(sock))]
            except (TimeoutError, AssertionError) as error:
                bad.append((what, f"taken: {error}"))
                continue
        if len(statuses) != 1 or not 400 <= statuses[0] < 500:
            bad.append((what, statuses))
    wrong(bad)


def two_signatures_are_none():
    body = b"{}"
    good = "a good secret of sixteen bytes and more"
    TARGET.client().data(
        "POST", "/api/v1/webhook-endpoints", {"name": "good", "scheme": "github", "secrets": [good]}
    )
    right = "sha256=" + hmac.new(good.encode(), body, hashlib.sha256).hexdigest()
    for first, second in ((right, "sha256=" + "0" * 64), ("sha256=" + "0" * 64, right), (right, right)):
        got = responses(
            send_raw(
                TARGET,
                (
                    f"POST /api/v1/webhooks/good HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: {first}\r\n"
                    f"X-Hub-Signature-256: {second}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
                ).encode(),
            )
        )
        assert got[0][0] in (400, 401), (first, second, got)


CASES = [what_two_could_read_in_two_ways_is_refused, two_signatures_are_none]

sys.exit(main(TARGET, CASES))
