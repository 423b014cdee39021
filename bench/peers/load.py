# SPDX-License-Identifier: Apache-2.0
"""The client of the engines that speak HTTP: a closed loop, so many requests in flight, one
connection each, every answer looked at. What it costs itself is nobody's operation."""
import dataclasses
import select
import socket
import time

ANSWER_LIMIT_S = 120


def quantile(ordered, share):
    """Of numbers that are sorted; the median is quantile(x, 0.5)."""
    if not ordered:
        raise ValueError("no measurement")
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def post(path, body, headers=""):
    data = body.encode()
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def whole_answer(received):
    """(status, body) of an HTTP answer that is all there; else None."""
    head, mark, rest = received.partition(b"\r\n\r\n")
    if not mark:
        return None
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at >= 0:
        body = rest if len(rest) >= int(lower[at + 17:].split(b"\r\n", 1)[0]) else None
    elif b"\r\ntransfer-encoding:" in lower:
        body = rest if rest.endswith(b"0\r\n\r\n") else None
    else:
        body = rest
    return None if body is None else (int(head[9:12]), body)


@dataclasses.dataclass
class Load:
    """What one round did."""
    operations: int
    seconds: float
    p50_ms: float
    p99_ms: float


class HttpLoad:
    """`expected`: the status and a part of the body that each answer must have."""

    def __init__(self, port, in_flight):
        self.port = port
        self.in_flight = in_flight

    def run(self, request_of, expected, seconds=None, count=None, answered=None):
        """`request_of(i)` is the i-th request. Until the time is over, or so many are answered;
        `answered(i, body)` is told of each."""
        poll = select.epoll()
        sockets, begun, partial, number = {}, {}, {}, {}
        latencies = []
        sent = 0
        begin = time.monotonic()
        end = begin + seconds if seconds else None

        def send(handle):
            nonlocal sent
            if (count is not None and sent >= count) or (end and time.monotonic() >= end):
                return False
            number[handle], sent = sent, sent + 1
            partial[handle] = b""
            data = request_of(number[handle])
            begun[handle] = time.monotonic()
            sockets[handle].sendall(data)
            return True

        try:
            waiting = 0
            for _ in range(self.in_flight):
                link = socket.create_connection(("127.0.0.1", self.port))
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[link.fileno()] = link
                poll.register(link.fileno(), select.EPOLLIN)
            for handle in sockets:
                waiting += send(handle)
            while waiting:
                ready = poll.poll(ANSWER_LIMIT_S)
                if not ready:
                    raise SystemExit(f"peers: no answer for {ANSWER_LIMIT_S} s")
                for handle, _ in ready:
                    piece = sockets[handle].recv(65536)
                    if not piece:
                        raise ConnectionError("the server closed the connection")
                    partial[handle] += piece
                    answer = whole_answer(partial[handle])
                    if answer is None:
                        continue
                    latencies.append((time.monotonic() - begun[handle]) * 1e3)
                    if answer[0] != expected[0] or expected[1] not in answer[1]:
                        raise SystemExit(f"peers: expected {expected}, found {answer}")
                    if answered:
                        answered(number[handle], answer[1])
                    waiting += send(handle) - 1
        finally:
            poll.close()
            for link in sockets.values():
                link.close()
        took = time.monotonic() - begin
        latencies.sort()
        return Load(len(latencies), took, quantile(latencies, 0.5), quantile(latencies, 0.99))
