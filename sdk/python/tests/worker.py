# SPDX-License-Identifier: Apache-2.0
"""The worker's side of a warm runtime."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
import subprocess
import sys
from typing import Any

from child import SRC, TIMEOUT_S, environment


class Warm:
    """A runtime with --serve, and calls through it."""

    def __init__(self, env: dict[str, str] | None = None) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(TIMEOUT_S)
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(SRC / "millrace/runtime.py"), "--serve"],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**environment(**(env or {})), "MILLRACE_SERVE_FD": str(theirs.fileno())},
            cwd="/",
        )
        theirs.close()

    def send(self, order: dict[str, Any], descriptors: list[int]) -> None:
        body = json.dumps(order).encode()
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
        frame = struct.pack(">I", len(body)) + body
        sent = self.socket.sendmsg([frame], ancillary)
        self.socket.sendall(frame[sent:])

    def answer(self) -> dict[str, Any] | None:
        header = self._exactly(4)
        if not header:
            return None
        text, _, result = self._exactly(struct.unpack(">I", header)[0]).partition(b"\n")
        found = json.loads(text)
        assert isinstance(found, dict)
        return {**found, "frame": json.loads(result)} if result else found

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                return b""
            data += part
        return data

    def call(self, order: dict[str, Any]) -> dict[str, Any]:
        """The last answer, with `frame`, `stdout` and `stderr` of the call. Its output must fit
        into pipes."""
        pipes = [os.pipe() for _ in range(2 if order.get("inline_result") else 3)]
        self.send(order, [writes for _, writes in pipes])
        for _, writes in pipes:
            os.close(writes)
        ended = self.answer()
        while ended is not None and ended["state"] == "started":
            ended = self.answer()
        texts = []
        for reads, _ in pipes:
            text = b""
            while True:
                part = os.read(reads, 1 << 16)
                if not part:
                    break
                text += part
            texts.append(text)
            os.close(reads)
        assert ended is not None
        frame = json.loads(texts[2]) if texts[2:] and texts[2] else ended.get("frame")
        return {**ended, "stdout": texts[0], "stderr": texts[1], "frame": frame}

    def close(self) -> int:
        self.socket.close()
        return self.process.wait(TIMEOUT_S)
