# SPDX-License-Identifier: Apache-2.0
"""Warm runtimes: one action after another in a process that is there already.

`fork`: each call in a child of its own, which is gone afterwards with all that it started.
`process`: in this process; what a call has changed is put back, and what cannot be put back is
told (`recycle`): the process ends then. Frames and fields stand in sdk/python/README.md.
"""

from __future__ import annotations

import array
import atexit
import gc
import os
import signal
import socket
import struct
import sys
import threading
from typing import Any

from millrace import logs, running, wire
from millrace.call import Call
from millrace.runtime import set_stackstorm_names, take_descriptor, write_all
from millrace.warm_state import State, end_children, set_variables

# stdout, stderr and, unless the result comes with the end, result of a call.
DESCRIPTORS = 3
LENGTH = struct.Struct(">I")
LONGEST_FRAME = 256 << 20


class Orders:
    """Frames in and out: four bytes of length, then JSON; an order brings its descriptors."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._descriptors: list[int] = []

    def next(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next order, None when the worker has closed."""
        header = self._take(LENGTH.size)
        if header is None:
            return None
        (length,) = LENGTH.unpack(header)
        if length > LONGEST_FRAME:
            raise ValueError(f"a frame of {length} bytes")
        body = self._take(length)
        if body is None:
            return None
        order = wire.loads(body)
        wanted = DESCRIPTORS
        if isinstance(order, dict) and order.get("inline_result"):
            wanted -= 1
        if not isinstance(order, dict) or len(self._descriptors) < wanted:
            raise ValueError("expected a JSON object with its descriptors")
        given = self._descriptors[:wanted]
        del self._descriptors[:wanted]
        return order, given

    def answer(self, frame: dict[str, Any], result: bytes = b"") -> None:
        body = wire.dumps(frame) + result
        self._connection.sendall(LENGTH.pack(len(body)) + body)

    def close(self) -> None:
        self._connection.close()

    def _take(self, length: int) -> bytes | None:
        while len(self._buffer) < length:
            space = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)
            data, ancillary, _, _ = self._connection.recvmsg(1 << 16, space)
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    descriptors = array.array("i")
                    descriptors.frombytes(content[: len(content) - len(content) % 4])
                    self._descriptors += descriptors
            if not data:
                return None
            self._buffer += data
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken


class Server:
    def __init__(self, orders: Orders, base_path: list[str]) -> None:
        self._orders = orders
        self._base_path = base_path
        self._state: State | None = None
        self._result = b""  # of the call, behind the frame of its end

    def run(self) -> int:
        while True:
            self._result = b""
            received = self._orders.next()
            if received is None:
                return 0
            order, descriptors = received
            if order.get("reuse", "fork") == "process":
                ended = self._in_process(order, descriptors)
            else:
                ended = self._in_child(order, descriptors)
            ended["id"] = order.get("id")
            ended["state"] = "ended"
            self._orders.answer(ended, self._result)
            if ended.get("recycle"):
                return 0

    def _in_process(self, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        out, err = descriptors[:2]
        if self._state is None:
            self._state = State()
        self._state.begin(out, err)
        outcome = self._perform(order)
        recycle = self._state.end()
        # Last: who waits wakes once for the result and for the end.
        if order.get("inline_result"):
            self._result = b"\n" + outcome.frame()
            return {"exit_code": outcome.exit_code, "recycle": recycle}
        return {"exit_code": hand_over(outcome, descriptors[2]), "recycle": recycle}

    def _perform(self, order: dict[str, Any]) -> running.Outcome:
        try:
            self._set_environment(order)
            call = Call(order)
            set_stackstorm_names(call)
        except (ValueError, OSError) as error:
            sys.stderr.write(f"millrace.runtime: {error}\n")
            return running.Outcome(
                False, error={"type": "OrderError", "message": str(error)}, exit_code=2
            )
        return running.run(call, self._base_path)

    def _set_environment(self, order: dict[str, Any]) -> None:
        """The call's own variables (`env`, the whole of them) and folder (`cwd`)."""
        given = order.get("env")
        if given is None and self._state is not None:
            given = self._state.environment
        if given is not None:
            set_variables(given)
        folder = order.get("cwd")
        if folder:
            os.chdir(folder)

    def _in_child(self, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        recycle = self._preload(order) if order.get("preload") else None
        # Who ends the call sends SIGTERM to all: the child may heed it, and this process tells.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._child(order, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self._orders.answer({"id": order.get("id"), "state": "started", "pid": child})
        _, status = os.waitpid(child, 0)
        end_children()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.WIFSIGNALED(status):
            return {"exit_code": None, "signal": os.WTERMSIG(status), "recycle": recycle}
        return {"exit_code": os.WEXITSTATUS(status), "recycle": recycle}

    def _preload(self, order: dict[str, Any]) -> str | None:
        """Loads the file before the fork, once. What it raises, the child raises again."""
        try:
            running.load(Call(order), self._base_path)
        except BaseException:
            return None
        gc.freeze()
        # A lock that another thread holds is never let go of in a child.
        return "threads after loading" if threading.active_count() > 1 else None

    def _child(self, order: dict[str, Any], descriptors: list[int]) -> None:
        code = 1
        try:
            os.setsid()
            self._orders.close()
            out, err, result = descriptors
            os.dup2(out, 1)
            os.dup2(err, 2)
            os.close(out)
            os.close(err)
            os.set_inheritable(result, False)
            code = finish(hand_over(self._perform(order), result))
        finally:
            os._exit(code)


def hand_over(outcome: running.Outcome, result: int) -> int:
    """Says the result; the exit code of the call."""
    try:
        write_all(result, outcome.frame())
        os.close(result)
    except OSError as error:
        sys.stderr.write(f"millrace.runtime: the result could not be handed over: {error}\n")
        return outcome.exit_code or 1
    return outcome.exit_code


def finish(code: int) -> int:
    """What an interpreter does at its end, without taking itself apart."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        running.tell(error)
        return code or 1
    return code


def become_reaper() -> None:
    """Descendants whose parent ends become children of this process, and are found."""
    import ctypes

    pr_set_child_subreaper = 36
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def serve() -> int:
    descriptor = take_descriptor("MILLRACE_SERVE_FD")
    if descriptor is None:
        sys.stderr.write("millrace.runtime: --serve needs MILLRACE_SERVE_FD\n")
        return 2
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    nothing = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1):
        os.dup2(nothing, each)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    become_reaper()
    # What almost every action imports is there before the first fork.
    logs.level_of("DEBUG")
    gc.collect()
    gc.freeze()
    orders = Orders(socket.socket(fileno=descriptor))
    try:
        return Server(orders, list(sys.path)).run()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"millrace.runtime: {error}\n")
        return 2
