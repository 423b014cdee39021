# SPDX-License-Identifier: Apache-2.0
"""HTTP as attackers write it: requests that two readers could read in two ways are refused, the
connection is closed, and nothing behind them is answered."""

import sys
import time

from attack import Target, connect, everything, main, read_all, responses, send_raw, wrong

TARGET = Target(most_mib=100)
TOKEN = b""  # of who may deliver
HOST = b"Host: x\r\n"
NEXT = b"GET /health HTTP/1.1\r\nHost: next\r\n\r\n"  # answered only when the one before was taken
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# Taken with any body, by who has the token: what was read shows in the event.
POST = (
    b"POST /api/v1/webhooks/own HTTP/1.1\r\nContent-Type: text/plain\r\n"
    b"Authorization: Bearer %TOKEN%\r\n" + HOST
)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"


def get(fields=b"", line=b"GET /health HTTP/1.1"):
    return line + b"\r\n" + HOST + fields + b"\r\n"


def post(fields, body=b""):
    return POST + fields + b"\r\n" + body


def chunks(body):
    return CHUNKED + b"\r\n" + body


# One 4xx, then the end.
REFUSED = {
    # how long is the body
    "CL then TE": post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "TE then CL": post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    "TE twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "TE twice, the second identity": post(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"
    ),
    "TE xchunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "TE chunkedx": post(b"Transfer-Encoding: chunkedx\r\n", b"0\r\n\r\n"),
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "TE identity, chunked": post(b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"),
    "TE chunked, chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"),
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "TE gzip": post(b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n"),
    "TE identity": post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "TE quoted": post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "TE with a parameter": post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n"),
    "TE with a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "TE with a form feed": post(b"Transfer-Encoding: chunked\x0c\r\n", b"0\r\n\r\n"),
    "TE with a NUL": post(b"Transfer-Encoding: chunked\x00\r\n", b"0\r\n\r\n"),
    "TE empty": post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n"),
    "TE with a space before its colon": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "TE with a tab before its colon": post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    "TE folded": post(b"Transfer-Encoding: x,\r\n\tchunked\r\n", b"0\r\n\r\n"),
    "TE in HTTP/1.0": b"POST /health HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE of a GET, with CL": get(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + b"0\r\n\r\n",
    "CL empty": post(b"Content-Length:\r\n"),
    "CL blank": post(b"Content-Length:  \r\n"),
    "CL +3": post(b"Content-Length: +3\r\n", b"abc"),
    "CL -3": post(b"Content-Length: -3\r\n", b"abc"),
    "CL 0x3": post(b"Content-Length: 0x3\r\n", b"abc"),
    "CL 3 3": post(b"Content-Length: 3 3\r\n", b"abc"),
    "CL 3;": post(b"Content-Length: 3;\r\n", b"abc"),
    "CL 3.0": post(b"Content-Length: 3.0\r\n", b"abc"),
    "CL 2^64": post(b"Content-Length: 18446744073709551616\r\n", b"abc"),
    "CL 2^64 + 3": post(b"Content-Length: 18446744073709551619\r\n", b"abc"),
    "CL of 400 digits": post(b"Content-Length: " + b"9" * 400 + b"\r\n", b"abc"),
    "CL 3, 4": post(b"Content-Length: 3, 4\r\n", b"abcd"),
    "CL 3, 3": post(b"Content-Length: 3, 3\r\n", b"abc"),
    "CL ,3": post(b"Content-Length: ,3\r\n", b"abc"),
    "CL twice, equal": post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
    "CL twice, differing": post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"),
    "CL with a space before its colon": post(b"Content-Length : 3\r\n", b"abc"),
    "CL folded": post(b"Content-Length: 3\r\n 4\r\n", b"abc"),
    # where a line ends
    "obs-fold in the first line": b"GET /health\r\n HTTP/1.1\r\n" + HOST + b"\r\n",
    "obs-fold before the first field": b"GET /health HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "obs-fold": get(b"X-A: b\r\n c\r\n"),
    "obs-fold with a tab": get(b"X-A: b\r\n\tc\r\n"),
    "obs-fold of nothing": get(b"X-A:\r\n \r\n"),
    "obs-fold of blanks": get(b"X-A: \r\n\t \r\nX-B: c\r\n"),
    "obs-fold of a value and nothing": get(b"X-A: b\r\n \r\n"),
    "bare LF behind the first line": b"GET /health HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF behind a field": b"GET /health HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
    "bare LF alone": b"GET /health HTTP/1.1\nHost: x\n\n",
    "bare LF as the end of the head": b"GET /health HTTP/1.1\r\nHost: x\r\n\n",
    "bare CR in the first line": b"GET /health\rX HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare CR in a value": get(b"X-A: b\rc\r\n"),
    "bare CR as a line's end": b"GET /health HTTP/1.1\rHost: x\r\r",
    "CR CR LF": b"GET /health HTTP/1.1\r\nHost: x\r\r\n\r\n",
    # bytes that stand nowhere
    "NUL in a name": get(b"X-\x00A: b\r\n"),
    "NUL in a value": get(b"X-A: b\x00c\r\n"),
    "NUL in the target": get(line=b"GET /hea\x00lth HTTP/1.1"),
    "NUL in the method": get(line=b"GE\x00T /health HTTP/1.1"),
    "a name in UTF-8": get("X-Ä: b\r\n".encode()),
    "an empty name": get(b": b\r\n"),
    "no colon": get(b"X-A\r\n"),
    "a space in a name": get(b"X A: b\r\n"),
    "DEL in a value": get(b"X-A: b\x7fc\r\n"),
    "a tab in the first line": get(line=b"GET\t/health HTTP/1.1"),
    "two spaces in the first line": get(line=b"GET  /health HTTP/1.1"),
    "a space in the target": get(line=b"GET /hea lth HTTP/1.1"),
    "a space at the start": b" GET /health HTTP/1.1\r\n" + HOST + b"\r\n",
    # chunks
    "chunk 0x1": chunks(b"0x1\r\na\r\n0\r\n\r\n"),
    "chunk +1": chunks(b"+1\r\na\r\n0\r\n\r\n"),
    "chunk -1": chunks(b"-1\r\na\r\n0\r\n\r\n"),
    "chunk 1 and a space": chunks(b"1 \r\na\r\n0\r\n\r\n"),
    "chunk of a space and 1": chunks(b" 1\r\na\r\n0\r\n\r\n"),
    "chunk without a size": chunks(b"\r\na\r\n0\r\n\r\n"),
    "chunk g": chunks(b"g\r\na\r\n0\r\n\r\n"),
    "chunk of 2^64": chunks(b"10000000000000000\r\na\r\n0\r\n\r\n"),
    "chunk of 2^64 + 1": chunks(b"10000000000000001\r\na\r\n0\r\n\r\n"),
    "LF behind a chunk's size": chunks(b"1\na\r\n0\r\n\r\n"),
    "CR behind a chunk's size": chunks(b"1\ra\r\n0\r\n\r\n"),
    "LF in a chunk's extension": chunks(b"1;a=b\nc\r\na\r\n0\r\n\r\n"),
    "a chunk's end is wrong": chunks(b"1\r\naXX0\r\n\r\n"),
    "a chunk is longer than it says": chunks(b"1\r\nabc\r\n0\r\n\r\n"),
    "LF as a chunk's end": chunks(b"1\r\na\n0\r\n\r\n"),
    "the last chunk's end is wrong": chunks(b"1\r\na\r\n0\r\nXX"),
    "an extension of more than 16 KiB": chunks(b"1;a=" + b"b" * 20_000 + b"\r\na\r\n0\r\n\r\n"),
    # the head
    "a head of more than 16 KiB": get(b"X-A: " + b"a" * 20_000 + b"\r\n"),
    "a head of many fields": get(b"X: y\r\n" * 4_000),
    "a target of more than 16 KiB": get(line=b"GET /" + b"a" * 20_000 + b" HTTP/1.1"),
    "a method of more than 16 KiB": get(line=b"A" * 20_000 + b" / HTTP/1.1"),
    "two Hosts": get(b"Host: y\r\n"),
    "two Hosts, equal": get(b"host: x\r\n"),
    "two names in Host": b"GET /health HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "a user in Host": b"GET /health HTTP/1.1\r\nHost: u@x\r\n\r\n",
    "no Host": b"GET /health HTTP/1.1\r\nX-A: b\r\n\r\n",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/1.2": get(line=b"GET /health HTTP/1.2"),
    "HTTP/2.0": get(line=b"GET /health HTTP/2.0"),
    "HTTP/1.10": get(line=b"GET /health HTTP/1.10"),
    "http/1.1 in small letters": get(line=b"GET /health http/1.1"),
    "no version": get(line=b"GET /health HTTP/"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)) + b"\r\n\r\n",
    "the target is a word": get(line=b"GET health HTTP/1.1"),
    "the target is empty": get(line=b"GET  HTTP/1.1"),
    "a query before the path": get(line=b"GET http://h?/health HTTP/1.1"),
    "a query before the path, without host": get(line=b"GET ?/health HTTP/1.1"),
    "a host without a path": get(line=b"GET http://h HTTP/1.1"),
    "no host": get(line=b"GET http:///health HTTP/1.1"),
    "a user before the host": get(line=b"GET http://user@h/health HTTP/1.1"),
    "a backslash before the host": get(line=b"GET http://h\\@x/health HTTP/1.1"),
    "a fragment": get(line=b"GET /health#x HTTP/1.1"),
    "a fragment before the path": get(line=b"GET http://h#/health HTTP/1.1"),
    # one thing said twice
    "two Authorizations": get(b"Authorization: Bearer %TOKEN%\r\nAuthorization: Bearer x\r\n"),
    "two Authorizations, equal": get(b"Authorization: Bearer %TOKEN%\r\nauthorization: Bearer %TOKEN%\r\n"),
    "two Content-Types": post(b"Content-Type: application/json\r\nContent-Length: 2\r\n", b"{}"),
    "two Content-Encodings": get(b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"),
    "two Expects": get(b"Expect: x\r\nExpect: 100-continue\r\n"),
    "the target is *": get(line=b"GET * HTTP/1.1"),
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
}

# Taken as one request, answered with this; what stands behind is the next request.
TAKEN = {
    "TRACE": (get(b"X-Secret: quoted\r\n", line=b"TRACE /health HTTP/1.1"), 405),
    "an unknown method": (get(line=b"BREW /health HTTP/1.1"), 405),
    "get in small letters": (get(line=b"get /health HTTP/1.1"), 405),
    "absolute form": (get(line=b"GET http://elsewhere/health HTTP/1.1"), 200),
    "a user in the target": (get(line=b"GET //user@host/health HTTP/1.1"), 404),
    "empty lines before it": (b"\r\n\r\n" + get(), 200),
    "an override of the method": (
        b"POST /health HTTP/1.1\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n" + HOST + b"\r\n",
        405,
    ),
    "another path in a header": (
        b"GET /api/v1/rules HTTP/1.1\r\nX-Original-URL: /health\r\nX-Rewrite-URL: /health\r\n"
        + HOST
        + b"\r\n",
        401,
    ),
}

# Bodies, and what is read of them.
BODIES = {
    "a length": (post(b"Content-Length: 3\r\n", b"abc"), "abc"),
    "no length": (post(b""), None),
    "a length of zeros": (post(b"Content-Length: 0000\r\n"), None),
    "chunks": (chunks(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), "abc"),
    "a chunk's size in capitals and zeros": (chunks(b"00A\r\n0123456789\r\n000\r\n\r\n"), "0123456789"),
    "a chunk's extension": (chunks(b"1;a=b;c=\"d\"\r\na\r\n0\r\n\r\n"), "a"),
    "CHUNKED": (post(b"Transfer-Encoding: CHUNKED\r\n", b"1\r\na\r\n0\r\n\r\n"), "a"),
    "a trailer": (chunks(b"1\r\na\r\n0\r\nX-Trailer: b\r\nHost: y\r\n\r\n"), "a"),
    "a request in a body": (post(b"Content-Length: %d\r\n" % len(NEXT), NEXT), NEXT.decode()),
    "a request in a chunk": (chunks(b"%x\r\n%s\r\n0\r\n\r\n" % (len(NEXT), NEXT)), NEXT.decode()),
}


def ask(request):
    return [status for status, _, _ in responses(send_raw(TARGET, request.replace(b"%TOKEN%", TOKEN)))]


def deliveries():
    """Of all that was taken, oldest first."""
    return everything(TARGET.client(), "/api/v1/events?sort=created")


def last_body():
    return TARGET.client().data("GET", f"/api/v1/events/{deliveries()[-1]['id']}")["payload"]["body"]


def an_endpoint_for_all_bodies():
    global TOKEN
    TARGET.client().data("POST", "/api/v1/webhook-endpoints", {"name": "own", "scheme": "token"})
    TOKEN = TARGET.make_token(["events:send"]).encode()


def what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_answered():
    assert len(REFUSED) >= 80, len(REFUSED)
    bad = []
    for name, request in REFUSED.items():
        try:
            got = responses(send_raw(TARGET, (request + NEXT).replace(b"%TOKEN%", TOKEN)))
        except (AssertionError, TimeoutError) as error:
            bad.append((name, error))
            continue
        statuses = [status for status, _, _ in got]
        closed = bool(got) and got[-1][1].get("connection") == "close"
        if len(statuses) != 1 or not 400 <= statuses[0] < 500 or not closed:
            bad.append((name, statuses, "closed" if closed else "kept open"))
    wrong(bad)
    assert deliveries() == []


def what_is_plain_is_taken_and_ends_where_it_says():
    bad = [
        (name, got)
        for name, (request, expected) in TAKEN.items()
        if (got := ask(request + LAST)) != [expected, 200]
    ]
    wrong(bad)
    for name, (request, body) in BODIES.items():
        assert (got := ask(request + LAST)) == [202, 200], (name, got)
        assert last_body() == body, (name, last_body())


def a_trailer_is_never_a_header():
    """It gives no right, and it does not move the end of the request."""
    bearer = ask(
        b"POST /api/v1/rules HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer %TOKEN%\r\n\r\n" + LAST
    )
    assert bearer in ([401, 200], [401]), bearer
    for field in (b"Content-Length: 40", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"):
        got = ask(chunks(b"1\r\na\r\n0\r\n" + field + b"\r\n\r\n") + LAST)
        assert got in ([202, 200], [400]), (field, got)


def trace_quotes_nothing():
    got = responses(send_raw(TARGET, get(b"X-Secret: quoted\r\n", line=b"TRACE /health HTTP/1.1") + LAST))
    assert b"quoted" not in b"".join(body for _, _, body in got), got


def the_same_refusals_come_byte_by_byte():
    """A reader that looks only at whole buffers would take another decision."""
    some = (
        "CL then TE",
        "TE then CL",
        "TE folded",
        "bare CR in a value",
        "CR CR LF",
        "chunk 0x1",
        "chunk of 2^64",
        "LF behind a chunk's size",
        "a chunk's end is wrong",
        "the last chunk's end is wrong",
        "two Hosts",
        "CL twice, differing",
    )
    bad = []
    for name in some:
        with connect(TARGET) as sock:
            try:
                for byte in (REFUSED[name] + NEXT).replace(b"%TOKEN%", TOKEN):
                    sock.sendall(bytes([byte]))
            except OSError:
                pass  # it has closed
            got = [status for status, _, _ in responses(read_all(sock))]
        if len(got) != 1 or not 400 <= got[0] < 500:
            bad.append((name, got))
    wrong(bad)


def fifty_in_one_go_get_fifty_answers_in_order():
    requests = (
        b"".join(
            b"GET /api/v1/nowhere/%d HTTP/1.1\r\nHost: x\r\nX-Request-Id: number-%d\r\n\r\n" % (i, i)
            for i in range(49)
        )
        + LAST
    )
    got = responses(send_raw(TARGET, requests))
    assert [status for status, _, _ in got] == [404] * 49 + [200], got
    assert [headers["x-request-id"] for _, headers, _ in got[:49]] == [f"number-{i}" for i in range(49)]


def trailers_without_end_are_cut():
    """16 MiB of them: the server stops reading, and keeps nothing."""
    line = b"X-Trailer: " + b"a" * 1000 + b"\r\n"
    with connect(TARGET) as sock:
        sock.sendall(chunks(b"1\r\na\r\n0\r\n").replace(b"%TOKEN%", TOKEN))
        sent = 0
        try:
            while sent < 16 << 20:
                sock.sendall(line * 64)
                sent += len(line) * 64
            sock.sendall(b"\r\n" + NEXT)
        except OSError:
            pass  # it has closed
        got = responses(read_all(sock))
    assert [status for status, _, _ in got] in ([400], [413], [431]), got
    assert TARGET.grown_mib() < 60, TARGET.grown_mib()


def who_does_not_read_costs_no_memory():
    """Requests without end, whose answers nobody takes: the server stops reading them."""
    request = b"GET /api/docs HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    held = TARGET.rss_kib()
    socks = [connect(TARGET) for _ in range(8)]
    stuck = 0
    for sock in socks:
        sock.setblocking(False)
        refused = 0
        for _ in range(2_000):
            try:
                sock.send(request)
                refused = 0
            except BlockingIOError:
                refused += 1
                if refused == 20:
                    stuck += 1
                    break
                time.sleep(0.01)
    assert stuck == len(socks), f"{stuck} of {len(socks)} were held back"
    assert TARGET.rss_kib() - held < 60 << 10, f"{(TARGET.rss_kib() - held) >> 10} MiB"
    TARGET.still_well()  # and others are served meanwhile
    for sock in socks:
        sock.close()


CASES = [
    an_endpoint_for_all_bodies,
    what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_answered,
    what_is_plain_is_taken_and_ends_where_it_says,
    a_trailer_is_never_a_header,
    trace_quotes_nothing,
    the_same_refusals_come_byte_by_byte,
    fifty_in_one_go_get_fifty_answers_in_order,
    trailers_without_end_are_cut,
    who_does_not_read_costs_no_memory,
]

sys.exit(main(TARGET, CASES))
