# SPDX-License-Identifier: Apache-2.0
"""Starts the sensors of a pack as a server does, for tools/try_packs.py: the SDK's runtime in a
process of its own, lines of JSON both ways, against the fakes of tools/pack_fakes."""
import json
import os
import re
import select
import signal
import subprocess
import time

READY_S, WATCHED_S, STOP_S = 20, 4, 8
# The furthest that one came.
STARTED = ("dispatched", "ran", "ended by itself")


def start_line(pack, sensor):
    types = sensor.get("trigger_types") or []
    refs = [f"{pack.ref}.{each['name']}" for each in types
            if isinstance(each, dict) and each.get("name")]
    return {"type": "start", "pack": pack.ref, "pack_path": str(pack.folder),
            "entry_point": str(sensor.get("entry_point")),
            "class_name": str(sensor.get("class_name")), "config": pack.config,
            "poll_interval": sensor.get("poll_interval"), "grace_s": STOP_S / 2,
            "triggers": [{"ref": ref, "type": ref, "parameters": {}} for ref in refs]}


class Running:
    """One sensor's process, and what it has said."""

    def __init__(self, pack, sensor, world, sdk):
        self.reads, writes = os.pipe()
        self.process = subprocess.Popen(
            [pack.interpreter, "-u", str(sdk / "millrace/sensor_runtime.py")],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            pass_fds=[writes], cwd=world.home.name, start_new_session=True,
            env={**world.environment(), "MILLRACE_RESULT_FD": str(writes), "FAKE_EVENTLET": "1"})
        os.close(writes)
        self.buffer, self.events, self.ready, self.stopped = b"", 0, False, None
        self.send(start_line(pack, sensor))

    def send(self, line):
        try:
            self.process.stdin.write(json.dumps(line, default=str).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended

    def read(self, seconds, until):
        """Takes lines until `until()`, its end, or the time is over; False at its end."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            if not select.select([self.reads], [], [], 0.1)[0]:
                continue
            data = os.read(self.reads, 1 << 16)
            if not data:
                return False
            self.buffer += data
            *lines, self.buffer = self.buffer.split(b"\n")
            for line in filter(None, lines):
                self.take(json.loads(line))
        return True

    def take(self, line):
        if line["type"] == "ready":
            self.ready = True
        elif line["type"] == "event":
            self.events += 1
            self.send({"type": "ack", "seq": line.get("seq")})
        elif line["type"] == "stopped":
            self.stopped = line.get("reason", "")

    def end(self):
        """(exit code, stderr)."""
        self.send({"type": "stop"})
        self.read(STOP_S, lambda: self.stopped is not None)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _, stderr = self.process.communicate()
        os.close(self.reads)
        return self.process.returncode, stderr.decode(errors="replace")


def why_of(running, stderr):
    """The last error of a traceback, or what it has said at its end."""
    errors = re.findall(r"^([\w.]+(?:Error|Exception|Exit|Warning)\b.*)$", stderr, re.M)
    last = [line for line in stderr.splitlines() if line.strip()]
    return (errors or last or [running.stopped or "no reason given"])[-1].strip()[:160]


def try_sensor(pack, sensor, world, sdk):
    """(how far it came, why not further)."""
    running = Running(pack, sensor, world, sdk)
    lives = running.read(READY_S, lambda: running.ready)
    if running.ready:
        lives = running.read(WATCHED_S, lambda: running.events > 0)
    is_over = not lives or running.stopped is not None
    _, stderr = running.end()
    if running.events:
        return "dispatched", f"{running.events}"
    if not running.ready:
        return "not started", why_of(running, stderr)
    if not is_over:
        return "ran", ""
    how = "ended by itself" if running.stopped in ("returned", "") else "raised"
    return how, why_of(running, stderr)
