# SPDX-License-Identifier: Apache-2.0
"""Starts the real binary on a free port with a data folder of its own, and talks HTTP to it.

Stops only what it started, by pid. Loopback only. With MILLRACE_KEEP=1 the folders stay.
"""
import atexit
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEDGER_PACKS = ROOT / "tests/e2e/packs"


def steady_port(host="127.0.0.1"):
    """A free port that stays so while its server is down: none of those that the system gives to
    outgoing connections, of which one that tries to reach the server may get the server's own."""
    for _ in range(200):
        port = random.SystemRandom().randrange(20_000, 32_000)
        try:
            with socket.create_server((host, port)):
                return port
        except OSError:
            continue
    raise AssertionError("no free port between 20000 and 32000")


def spawners_of(data):
    """[(pid, start time)] of the spawners that hold this data folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if line and line[0] == b"millrace-spawner" and str(data).encode() in b" ".join(line):
            found.append((int(entry.name), start_time(int(entry.name))))
    return found


def binary():
    """The binary under test: argv[1], or the dev build."""
    named = [a for a in sys.argv[1:] if not a.startswith("-")]
    return named[0] if named else str(ROOT / "build/dev/millrace")


def is_sanitized():
    """Shadow memory and quarantine count as memory: limits mean nothing there."""
    with open(binary(), "rb") as file:
        return b"__asan_init" in file.read()


def argument(name, fallback):
    """The number behind `name` on the command line."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else fallback


def until(what, check, seconds=30, every=0.02, tell=None):
    """Waits until check() is true and returns its value; names `what` when the time is over, and
    what tell() says then."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            more = f":\n{tell()}" if tell else ""
            raise AssertionError(f"after {seconds} s still not: {what}{more}")
        time.sleep(every)


def start_time(pid):
    """The start time of a process in clock ticks: with the pid it names one process."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else int(fields[19])


class Client:
    """One keep-alive connection. Not for several threads."""

    def __init__(self, url, token):
        self.host = url.removeprefix("http://")
        self.token = token
        self.connection = None

    def connect(self, timeout):
        return http.client.HTTPConnection(self.host, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=30):
        """(status, headers, parsed body). Connection errors come out as OSError."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = body
        if body is not None and not isinstance(body, (bytes, str)):
            data = json.dumps(body)
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        try:
            if self.connection is None:
                self.connection = self.connect(timeout)
            self.connection.request(method, path, body=data, headers=sent)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OSError(str(error)) from error
        kind = answer.getheader("Content-Type", "")
        parsed = json.loads(text) if "json" in kind and text else text
        return answer.status, dict(answer.getheaders()), parsed

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def data(self, method, path, body=None, headers=None, expect=(200, 201, 202)):
        status, _, parsed = self.request(method, path, body, headers)
        if status not in expect:
            raise AssertionError(f"{method} {path}: {status} {parsed}")
        return parsed["data"] if isinstance(parsed, dict) and "data" in parsed else parsed


def everything(client, path):
    """All rows of a list, page by page."""
    rows, cursor = [], ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        status, _, page = client.request("GET", f"{path}{'&' if '?' in path else '?'}limit=200{more}")
        assert status == 200, page
        rows += page["data"]
        cursor = page.get("next_cursor")
        if not cursor:
            return rows


class Postgres:
    """A private PostgreSQL (tools/postgres.py), durable; may be killed and started again."""

    def __init__(self, folder=None, **settings):
        self.folder = folder or pathlib.Path(tempfile.mkdtemp(prefix="millrace-postgres-"))
        self.settings = {"fsync": "on", **settings}
        self.tool = None
        self.url = None
        self.start()

    def start(self):
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        self.tool = subprocess.Popen(
            [ROOT / "tools/postgres.py", self.folder, *settings], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = self.tool.stdout.readline().strip()
        assert self.url.startswith("postgres"), "tools/postgres.py has started nothing"

    def stop(self):
        self.tool.stdin.close()
        self.tool.wait(timeout=60)
        self.tool.stdout.close()

    def pid(self):
        return int((self.folder / "data/postmaster.pid").read_text().split()[0])

    def kill(self):
        """kill -9 of the server; its other processes notice and leave."""
        os.kill(self.pid(), signal.SIGKILL)
        self.stop()

    def answers(self):
        """Does it take connections?"""
        return subprocess.run(["psql", self.url, "-Atc", "SELECT 1"], capture_output=True,
                              timeout=60, check=False).returncode == 0

    def query(self, text):
        """The first column of a query's rows."""
        run = subprocess.run(["psql", self.url, "-Atc", text], capture_output=True, text=True,
                             timeout=60, check=True)
        return run.stdout.split()

    def close(self):
        if self.tool.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def postgres_of_the_run():
    """With MILLRACE_TEST_STORE=postgres all servers of a test file keep their rows in one."""
    if os.environ.get("MILLRACE_TEST_STORE") != "postgres":
        return None
    if not hasattr(postgres_of_the_run, "made"):
        postgres_of_the_run.made = Postgres()
        atexit.register(postgres_of_the_run.made.close)
    return postgres_of_the_run.made


class Server:
    """A server of its own data folder; may be killed and started again. `postgres`: where its rows
    are, in a schema of their own, instead of in the folder."""

    def __init__(self, packs=(LEDGER_PACKS,), settings=None, folder=None, relative=False, user=None,
                 postgres=None, roles=None):
        self.home = pathlib.Path(folder or tempfile.mkdtemp(prefix="millrace-e2e-"))
        self.data = self.home / "data"
        self.packs = packs
        self.relative = relative  # the data folder is given as a user in its parent would
        self.roles = roles  # of `serve`; none: `up`
        self.user = user  # a uid to run as, where the test itself is root
        if user is not None:
            os.chown(self.home, user, user)
        self.settings = {"server.port": 0, **(settings or {})}
        postgres = postgres or postgres_of_the_run()
        self.store = {"store.url": postgres.url, "store.schema": self.home.name} if postgres else {}
        self.settings.update(self.store)
        self.process = None
        self.log = self.home / "server.log"

    def command(self):
        command = [binary(), *(["serve", "--roles", self.roles] if self.roles else ["up"]),
                   "--data", "data" if self.relative else str(self.data)]
        for pack in self.packs:
            command += ["--packs", str(pack)]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        return command

    def start(self, prefix=(), ready=True, seconds=60):
        (self.data / "url").unlink(missing_ok=True)
        self.prefixed = bool(prefix)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command()], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.home if self.relative else None, user=self.user, group=self.user,
                extra_groups=None if self.user is None else [],
            )
        if ready:
            until("the server is ready", self.is_ready, seconds)
        return self

    def is_ready(self):
        if self.has_ended():
            tail = self.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{tail}")
        if not (self.data / "url").exists():
            return False
        client = Client(self.url(), None)
        try:
            return client.request("GET", "/ready")[0] == 200
        except OSError:
            return False
        finally:
            client.close()

    def url(self):
        return (self.data / "url").read_text().strip()

    def token(self):
        return (self.data / "admin.token").read_text().strip()

    def client(self):
        return Client(self.url(), self.token())

    def log_lines(self, event):
        """The log's entries of one kind, oldest first."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if f'"{event}"' in line:
                found.append(json.loads(line))
        return found

    def spawners(self):
        """[(pid, start time)] of the spawners that hold this data folder."""
        return spawners_of(self.data)

    def pid(self):
        """The server's own pid. Behind a prefix it is the child that runs the binary: strace first
        starts short-lived children of its own."""
        if not self.prefixed:
            return self.process.pid
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            for child in children.read_text().split():
                command = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
                if command.split(b"\0")[0] == binary().encode():
                    return int(child)
        except OSError:
            pass
        return None

    def has_ended(self):
        """A prefix must end with the server (strace: `-b execve`)."""
        return self.process.poll() is not None

    def alive(self):
        return not self.has_ended()

    def kill(self, spawner=False):
        """kill -9 of the server, and of its spawner if asked."""
        victims = self.spawners() if spawner else []
        if self.alive():
            os.kill(self.pid() or self.process.pid, signal.SIGKILL)
        for pid, started in victims:
            if start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def stop(self):
        """SIGTERM; returns the exit code. It ends in the time that it promises (K12)."""
        limit = self.settings.get("server.drain_timeout_ms", 30_000) / 1000 + 5
        os.kill(self.pid(), signal.SIGTERM)
        try:
            return self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"SIGTERM, and after {limit} s it still runs") from error

    def reload(self):
        """SIGHUP: configuration and packs are read again."""
        os.kill(self.pid(), signal.SIGHUP)

    def cli(self, *arguments, expect=0, timeout=60):
        """Runs the command line against this server; returns its stdout."""
        run = subprocess.run(
            [binary(), *arguments, "--data", str(self.data)],
            capture_output=True, text=True, timeout=timeout,
        )
        if run.returncode != expect:
            raise AssertionError(
                f"millrace {' '.join(arguments)}: exit {run.returncode}, expected {expect}\n"
                f"{run.stdout}{run.stderr}"
            )
        return run.stdout

    def store_words(self):
        return [word for key, value in self.store.items() for word in ("--set", f"{key}={value}")]

    def doctor(self):
        """Examines the store of a stopped server; raises with its findings."""
        run = subprocess.run(
            [binary(), "doctor", "--data", str(self.data), *self.store_words()],
            capture_output=True, text=True, timeout=120,
        )
        if run.returncode != 0:
            raise AssertionError(f"doctor: exit {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill(spawner=True)
        for pid, started in self.spawners():
            if start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)
        if os.environ.get("MILLRACE_KEEP"):
            print(f"kept: {self.home}", flush=True)
            return
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None and self.log.exists():
            sys.stderr.write(self.log.read_text(errors="replace")[-4000:])
        self.close()


def rule(ref, action, parameters, criteria=None, trigger="core.cloudevent", trigger_parameters=None):
    return {
        "ref": ref,
        "trigger": {"ref": trigger, "parameters": trigger_parameters or {}},
        "criteria": criteria or {},
        "action": {"ref": action, "parameters": parameters},
    }


def cloud_event(source, identifier, kind="test", data=None):
    return {
        "specversion": "1.0", "id": identifier, "source": source, "type": kind,
        "datacontenttype": "application/json", "data": data or {},
    }


def run_cases(cases):
    """Runs the functions of a test file and closes with the line that CI reads."""
    failed = 0
    for case in cases:
        began = time.monotonic()
        try:
            case()
            print(f"ok   {case.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:  # a test's failure, whatever it is, is the result
            failed += 1
            print(f"FAIL {case.__name__}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0
