#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A start to which the system gives too little: no threads, no memory. It ends with one line that
says what to raise and the exit code of every start that fails, or it serves; never by a signal."""
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile

from harness import Server, binary, run_cases, until

NOBODY = 61_234  # a user without a process: its limit counts all of them
SANITIZED = b"__asan_init" in open(binary(), "rb").read()


class Start:
    def __init__(self, limits, user=None):
        self.home = tempfile.mkdtemp(prefix="millrace-start-")
        if user is not None:
            os.chown(self.home, user, user)
        shutil.copy(binary(), self.home + "/millrace")
        os.chmod(self.home + "/millrace", 0o755)

        def narrow():
            for limit, value in limits.items():
                resource.setrlimit(limit, (value, value))
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)

        self.process = subprocess.Popen(
            [self.home + "/millrace", "up", "--data", self.home + "/data", "--set", "server.port=0"],
            preexec_fn=narrow, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=open(self.home + "/log", "wb"), cwd="/")

    def said(self):
        with open(self.home + "/log", errors="replace") as log:
            return log.read()

    def outcome(self):
        """What it said, and its exit code; None: it serves."""
        until("the server serves or ends",
              lambda: self.process.poll() is not None or '"server.ready"' in self.said(), 60)
        code = self.process.poll()
        if code is None:
            self.process.terminate()
        self.process.wait(60)
        said = self.said()
        shutil.rmtree(self.home, ignore_errors=True)
        return said, code, self.process.returncode


def without_threads():
    if os.geteuid() != 0:
        return  # the limit of a user counts what else it runs
    refused = set()
    for most in range(1, 16):
        said, code, left = Start({resource.RLIMIT_NPROC: most}, user=NOBODY).outcome()
        assert "terminate called" not in said, said
        if code is None:
            assert left == 0, (most, left, said)
            break
        assert code == 1, (most, code, said)
        assert "ASY-0004" in said and "ulimit -u" in said, (most, said)
        refused.add(said.split("millrace: ASY-0004: the thread '")[1].split("'")[0])
    assert refused >= {"read", "checkpoint", "commit", "decide", "worker"}, refused
    assert code is None, "it never served"


def without_memory():
    if SANITIZED:
        return  # its shadow alone takes terabytes
    # With less the loader and the libraries' own initialisers end it.
    for mib in (48, 64, 80, 96, 112, 128, 192):
        said, code, left = Start({resource.RLIMIT_AS: mib << 20}).outcome()
        assert "terminate called" not in said, said
        assert left in (0, 1), (mib, code, left, said)
        if left == 1:
            assert "millrace: " in said, (mib, said)


def what_listens_already_is_stopped():
    """An error after the first listener is told like any other."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for settings in ({}, {"server.admin_address": f"127.0.0.1:{port}"}):
            for grpc in (-1, 0):
                with Server(packs=(), settings={**settings, "grpc.port": grpc}) as server:
                    if not settings:
                        (server.data / "url" / "in the way").mkdir(parents=True)
                    done = subprocess.run(server.command(), capture_output=True, timeout=60, check=False)
                    told = done.stderr.decode()
                    assert done.returncode == 1, (done.returncode, told)
                    assert "assertion" not in told, told
                    assert (str(server.data / "url") if not settings else str(port)) in told, told


if __name__ == "__main__":
    sys.exit(run_cases([without_threads, without_memory, what_listens_already_is_stopped]))
