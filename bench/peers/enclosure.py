# SPDX-License-Identifier: Apache-2.0
"""A cgroup around all processes of one engine: what they use together, those that have ended
included; held still while another engine is measured; killed as a whole."""
import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

FLUSHES = ("fsync", "fdatasync", "sync_file_range", "msync")
STOP_LIMIT_S = 20


def cgroup_root():
    """Where cgroup v2 is mounted: alone, or beside v1. Its cpu.stat is there without controllers."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        place, kind = line.split(" - ")
        if kind.split()[0] == "cgroup2":
            return pathlib.Path(place.split()[4])
    raise SystemExit("peers: no cgroup v2 is mounted: CPU of ended processes cannot be counted")


def number_after(text, word):
    """The number behind a word that begins a line of a file of /proc; 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith(word):
            return int(line[len(word):].split()[0])
    return 0


class Enclosure:
    """Needs root. `close` kills what is inside."""

    def __init__(self, name):
        self.group = cgroup_root() / f"peers-{os.getpid()}-{name}"
        self.children = []
        try:
            self.group.mkdir()
        except OSError as error:
            raise SystemExit(f"peers: cannot make {self.group} ({error.strerror}): run as root") \
                from error

    def spawn(self, argv, log, **options):
        """The process is inside from its first instruction on."""
        enter = f'echo $$ > {self.group}/cgroup.procs && exec "$@"'
        with open(log, "ab") as out:
            child = subprocess.Popen(["/bin/sh", "-c", enter, "sh", *map(str, argv)],
                                     **{"stdin": subprocess.DEVNULL, "stdout": out, "stderr": out,
                                        **options})
        self.children.append(child)
        return child

    def adopt(self, pid):
        """A process that was started outside, and its children."""
        (self.group / "cgroup.procs").write_text(str(pid))
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                with contextlib.suppress(OSError):  # it has just ended
                    self.adopt(child)

    def pids(self):
        return [int(pid) for file in [self.group / "cgroup.procs",
                                      *self.group.glob("**/*/cgroup.procs")]
                for pid in file.read_text().split()]

    def cpu_us(self):
        return number_after((self.group / "cpu.stat").read_text(), "usage_usec")

    def of_each(self, file, word):
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):  # it has just ended
                total += number_after(pathlib.Path(f"/proc/{pid}/{file}").read_text(), word)
        return total

    def resident_bytes(self):
        """Shared pages are counted once (Pss): PostgreSQL's buffers are seen by all its processes."""
        return self.of_each("smaps_rollup", "Pss:") * 1024

    def written_bytes(self):
        """What was sent to the disk. Of a child that ended it is in its parent's."""
        return self.of_each("io", "write_bytes:")

    @contextlib.contextmanager
    def flushes(self):
        """Counts the calls that wait for the disk, by the kernel's trace points. Yields a list that
        holds their number at the end. It costs something at each change of process: not for a round
        whose CPU counts."""
        counted = []
        name = str(self.group.relative_to(cgroup_root()))
        events = [f"syscalls:sys_enter_{call}" for call in FLUSHES]
        with tempfile.NamedTemporaryFile("r") as out:
            perf = subprocess.Popen(
                ["perf", "stat", "-a", "-x,", "-o", out.name, "-e", ",".join(events),
                 "-G", ",".join([name] * len(events)), "--timeout", "600000"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(0.3)  # it says nowhere that it has begun
            try:
                yield counted
            finally:
                perf.send_signal(signal.SIGINT)
                said = perf.communicate(timeout=STOP_LIMIT_S)[1]
                rows = [line.split(",") for line in out.read().splitlines() if "sys_enter" in line]
                # Of an engine that did not run at all meanwhile nothing is counted.
                numbers = ["0" if row[0] == "<not counted>" else row[0] for row in rows]
                if len(rows) != len(events) or not all(number.isdigit() for number in numbers):
                    raise SystemExit(f"peers: perf cannot count fsync: {said.decode()}{rows}")
                counted.append(sum(map(int, numbers)))

    def hold(self, still):
        (self.group / "cgroup.freeze").write_text("1" if still else "0")

    def kill(self):
        """kill -9 of all at once; returns when nothing is left."""
        (self.group / "cgroup.kill").write_text("1")
        self.hold(False)
        for child in self.children:
            child.wait(STOP_LIMIT_S)
        self.children = []
        end = time.monotonic() + STOP_LIMIT_S
        while number_after((self.group / "cgroup.events").read_text(), "populated"):
            if time.monotonic() > end:
                raise SystemExit(f"peers: {self.group} does not end")
            time.sleep(0.01)

    def close(self):
        self.kill()
        folders = [path.parent for path in self.group.glob("**/cgroup.procs")]
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            folder.rmdir()
