# SPDX-License-Identifier: Apache-2.0
"""What a call may change in its process, and how it is put back."""

from __future__ import annotations

import os
import signal
import sys
from _signal import getsignal  # type: ignore[import-not-found]  # no enum for each answer

# What end_children waits for at most: who is killed is gone, but for the kernel's own waits.
_TRIES = 100

_signals = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class State:
    """Of the process before its first call; it is the same after each, but for the environment,
    which each call has whole from its beginning."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)  # of a call that brings none
        self._folder = os.getcwd()
        self._path = list(sys.path)
        self._arguments = list(sys.argv)
        self._streams = (sys.stdin, sys.stdout, sys.stderr)
        self._hooks = (sys.excepthook, sys.displayhook)
        self._handlers = [getsignal(each) for each in _signals]
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._nothing = os.open(os.devnull, os.O_RDWR)
        self._stderr = os.dup(2)
        for descriptor in (self._nothing, self._stderr):
            os.set_inheritable(descriptor, False)

    def begin(self, out: int, err: int) -> None:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)

    def end(self) -> str | None:
        """Puts back what a call has changed. A reason to end the process, if something stays."""
        sys.stdin, sys.stdout, sys.stderr = self._streams
        reasons = []
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                reasons.append("a stream is broken")
        os.dup2(self._nothing, 0)
        os.dup2(self._nothing, 1)
        os.dup2(self._stderr, 2)
        if end_children():
            reasons.append("children were left")
        if _threads() > 1:
            reasons.append("threads were left")
        self._put_back()
        return ", ".join(reasons) or None

    def _put_back(self) -> None:
        os.chdir(self._folder)
        if sys.path != self._path:
            sys.path[:] = self._path
        sys.argv[:] = self._arguments
        sys.excepthook, sys.displayhook = self._hooks
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(_signals, self._handlers):
            if handler is not None and getsignal(number) is not handler:
                signal.signal(number, handler)
        os.umask(self._mask)


def set_variables(wanted: dict[str, str]) -> None:
    """Makes the environment what `wanted` is, and touches only what differs."""
    environ = os.environ
    raw = getattr(environ, "_data", None)
    if raw is None:
        for name in [each for each in environ if each not in wanted]:
            del environ[name]
        environ.update(wanted)
        return
    # Its own bytes: each look through os.environ encodes and decodes.
    encoding, errors = sys.getfilesystemencoding(), "surrogateescape"
    encoded = {
        name.encode(encoding, errors): value.encode(encoding, errors)
        for name, value in wanted.items()
    }
    for gone in [each for each in raw if each not in encoded]:
        os.unsetenv(gone)
        del raw[gone]
    for key, item in encoded.items():
        if raw.get(key) != item:
            os.putenv(key, item)
            raw[key] = item


def _threads() -> int:
    """All of the process, those that Python does not know included: each is a folder there."""
    return os.stat("/proc/self/task").st_nlink - 2


def end_children() -> bool:
    """Kills and reaps every child. Whether there was one."""
    found = False
    for _ in range(_TRIES):
        try:
            child, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        found = True
        if child == 0:
            for each in _children():
                os.kill(each, signal.SIGKILL)
            os.waitpid(-1, 0)
    return found


def _children() -> list[int]:
    """By /proc: the kernel may be built without the list of children."""
    mine = str(os.getpid()).encode()
    children = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[1] == mine and fields[0] != b"Z":
            children.append(int(name))
    return children
