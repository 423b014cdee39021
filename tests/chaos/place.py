# SPDX-License-Identifier: Apache-2.0
"""What the faults happen to: PostgreSQL on a disk of its own, three servers that decide and run, two
that take requests, two agents. Everything between them passes a link that can be cut; the agent
`far` lives in a network namespace, where that can be had."""
import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import ssl
import struct
import subprocess
import tempfile

from harness import Client, Postgres, Server, binary, steady_port, until
from network import Link, Namespace

HERE = pathlib.Path(__file__).resolve().parent
SESSION_TTL_MS = 9000
DISK_MB = 400
SLOTS = 2
EXECUTORS, APIS, AGENTS = ("x1", "x2", "x3"), ("a1", "a2"), ("near", "far")
SCHEMA = "chaos"
# Sanitizers want to be the first library; the clock that can be set is loaded before it.
ASAN = "verify_asan_link_order=0:detect_leaks=0"


def kill_pids(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class TlsClient(Client):
    """Trusts one certificate alone."""

    def __init__(self, url, token, authority):
        super().__init__(url.removeprefix("https://"), token)
        self.context = ssl.create_default_context(cafile=authority)

    def connect(self, timeout):
        return http.client.HTTPSConnection(self.host, timeout=timeout, context=self.context)


class Node(Server):
    """One server. Its store and its gRPC are behind links; it keeps its ports when it starts again."""

    def __init__(self, site, name, roles, host="127.0.0.1"):
        self.site, self.name, self.host = site, name, host
        self.binary = binary()
        home = site.folder / name
        home.mkdir()
        self.store_link = Link(("127.0.0.1", site.postgres_port))
        grpc_port = steady_port(host)
        self.grpc_link = Link((host, grpc_port))
        self.admin = f"127.0.0.1:{steady_port()}"
        super().__init__(packs=(HERE / "pack",), folder=home, roles=roles, settings={
            "log.level": "info", "server.drain_timeout_ms": 3000, "worker.name": name,
            "worker.slots": SLOTS,
            "server.address": host, "server.port": steady_port(host), "server.admin_address": self.admin,
            "grpc.address": host, "grpc.port": grpc_port, "grpc.tls": "true",
            "agents.session_ttl_ms": SESSION_TTL_MS, "store.start_wait_ms": 600_000,
            "store.url": f"postgresql://millrace@127.0.0.1:{self.store_link.port}/postgres",
            "store.schema": SCHEMA})
        self.grpc = f"{host}:{grpc_port}"
        if host == "127.0.0.1":  # from a namespace the links are not reached
            self.grpc = self.settings["grpc.advertise"] = f"127.0.0.1:{self.grpc_link.port}"
        elif "api" in roles:
            self.settings["server.tls.certificate_file"] = site.certificate
            self.settings["server.tls.key_file"] = site.certificate.with_suffix(".key")
        self.clock = home / "clock"
        self.clock.write_bytes(struct.pack("=q", 0))

    def command(self):
        return [self.binary, *super().command()[1:]]

    def set_clock(self, seconds):
        with self.clock.open("r+b") as file:
            file.write(struct.pack("=q", seconds))

    def start(self, ready=True, seconds=120):
        prefix = ["env", f"LD_PRELOAD={self.site.shifted_clock}", f"SHIFTED_CLOCK={self.clock}",
                  f"ASAN_OPTIONS={ASAN}"]
        super().start(prefix=prefix, ready=ready, seconds=seconds)
        self.prefixed = False  # env becomes the server
        return self

    def is_ready(self):
        if self.has_ended():
            raise AssertionError(f"{self.name} ended with {self.process.returncode}")
        client = Client(f"http://{self.admin}", None)
        try:
            return client.request("GET", "/ready", timeout=5)[0] == 200
        except OSError:
            return False
        finally:
            client.close()

    def client(self):
        url = f"http://{self.host}:{self.settings['server.port']}"
        if self.host == "127.0.0.1":
            return Client(url, self.site.token)
        return TlsClient(url.replace("http", "https"), self.site.token, self.site.certificate)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def spawner_pids(self):
        return [pid for pid, _ in self.spawners()]

    def close(self):
        if self.alive():
            self.signal(signal.SIGCONT)
        super().close()
        self.store_link.close()
        self.grpc_link.close()


class Agent:
    """`near` has its session with x1, through a link. `far` has it with x2, from a namespace; where
    none can be had, through a link, too."""

    def __init__(self, site, name, front, home):
        self.site, self.name = site, name
        self.home = site.folder / name
        self.home.mkdir()
        self.data, self.log = self.home / "data", self.home / "agent.log"
        self.join = self.home / "join"
        self.join.write_text(site.nodes["a1"].cli("worker", "token", "--name", name))
        self.join.chmod(0o600)
        server = f"http://{front.host}:{front.settings['server.port']}"
        self.binary = binary()
        self.words = ["agent", "--join-file", self.join, "--data", self.data,
                        "--name", name, "--labels", name, "--slots", str(SLOTS), "--grpc", home.grpc]
        self.prefix = []
        if front.host != "127.0.0.1":
            server = server.replace("http", "https")
            self.words += ["--ca-file", site.certificate]
            self.prefix = site.namespace.prefix()
        self.words += ["--server", server]
        self.process = None

    def start(self, ready=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, self.binary, *self.words], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        if ready:
            until(f"agent {self.name} has a session", self.has_session, 120, 0.2)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def has_session(self):
        if not self.alive():
            raise AssertionError(f"agent {self.name} ended with {self.process.returncode}")
        rows = self.site.ask("GET", "/api/v1/workers")["data"]
        return any(row["name"] == self.name and row.get("session") for row in rows)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self, spawner=False):
        victims = self.spawner_pids() if spawner else []
        if self.alive():
            self.process.kill()
        kill_pids(victims)
        self.process.wait(timeout=60)

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)

    def spawner_pids(self):
        """Their pids. A run's processes may show the same words for a moment: only the first is one."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue
            if line and line[0] == b"millrace-spawner" and str(self.data).encode() in line:
                found.append(int(entry.name))
        return found

    def close(self):
        if self.alive():
            self.signal(signal.SIGCONT)
        if self.process:
            self.kill(spawner=True)
        kill_pids(self.spawner_pids())


class Disk:
    """A folder that is a small file system of its own, where root may make one."""

    def __init__(self, folder):
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir()
        self.is_small = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder], check=False,
            capture_output=True).returncode == 0

    def fill(self):
        """To the last block."""
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        if self.is_small:
            subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)


class Site:
    def __init__(self, shifted_clock, next_binary):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-chaos-"))
        self.folder.chmod(0o711)  # PostgreSQL's user passes through
        self.shifted_clock = shifted_clock
        self.next_binary = next_binary  # another version of the same sources
        self.effects = self.folder / "effects"
        self.effects.touch()
        self.certificate = self.folder / "tls.crt"
        self.nodes, self.agents, self.token = {}, {}, None
        self.namespace = self.disk = self.postgres = None
        self.twins = 0
        self.clock_was_set = False

    def start(self):
        self.namespace = Namespace() if Namespace.can_be_had() else None
        self.disk = Disk(self.folder / "postgres")
        self.postgres_port = steady_port()
        self.postgres = Postgres(folder=self.disk.folder, port=self.postgres_port,
                                 max_wal_size="64MB", min_wal_size="32MB")
        far_host = "127.0.0.1"
        if self.namespace:
            far_host = self.namespace.host
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-keyout", self.certificate.with_suffix(".key"), "-out",
                 self.certificate, "-days", "2", "-subj", "/CN=chaos", "-addext",
                 f"subjectAltName=IP:{far_host}"], check=True, capture_output=True)
        first = self.add(Node(self, "a1", "api"))
        first.start()
        self.token = (first.data / "admin.token").read_text().strip()
        self.add(Node(self, "a2", "api", far_host))
        for name in EXECUTORS:
            host = far_host if name == "x2" else "127.0.0.1"
            self.add(Node(self, name, "executor,worker", host))
        for node in self.nodes.values():
            if node is not first:
                node.data.mkdir(mode=0o700)
                shutil.copy(first.data / "keys.json", node.data / "keys.json")
                node.start(ready=False)
        for node in self.nodes.values():
            until(f"{node.name} is ready", node.is_ready, 120, 0.1)
        self.agents = {"near": Agent(self, "near", first, self.nodes["x1"]),
                       "far": Agent(self, "far", self.nodes["a2"], self.nodes["x2"])}
        for agent in self.agents.values():
            agent.start()
        self.whole()

    def add(self, node):
        self.nodes[node.name] = node
        return node

    def everyone(self):
        return {**self.nodes, **self.agents}

    # What the API tells

    def ask(self, method, path, body=None):
        """From whichever API server answers."""
        trouble = None
        for node in (self.nodes[name] for name in APIS):
            client = node.client()
            try:
                status, _, answer = client.request(method, path, body, timeout=15)
                if status < 500 and status != 429:
                    assert status < 400, f"{method} {path}: {status} {answer}"
                    return answer
                trouble = f"{status} {answer}"
            except OSError as error:
                trouble = str(error)
            finally:
                client.close()
        raise OSError(f"{method} {path}: no API server answers: {trouble}")

    def rows(self, path):
        """All of a list, page by page."""
        rows, cursor = [], None
        while True:
            more = f"{'&' if '?' in path else '?'}limit=200" + (f"&cursor={cursor}" if cursor else "")
            page = self.ask("GET", path + more)
            rows += page["data"]
            cursor = page.get("next_cursor")
            if not cursor:
                return rows

    # Being whole

    def is_whole(self):
        """Every server lives and is seen, the shards are spread evenly, every agent has a session."""
        for node in self.nodes.values():
            if not node.is_ready():
                return False
        try:
            servers = {row["name"]: row for row in self.ask("GET", "/api/v1/servers")["data"]}
            shards = [servers[name]["shards"] for name in EXECUTORS if name in servers]
            return (all(servers.get(name, {}).get("state") == "live" for name in self.nodes)
                    and sum(shards) == 64 and max(shards) - min(shards) <= 1
                    and all(agent.has_session() for agent in self.agents.values()))
        except OSError:
            return False

    def whole(self, seconds=120):
        until("all servers live, shards are spread and agents have sessions", self.is_whole, seconds,
              0.3)

    def heal(self):
        """Whatever a phase has left: links, clocks, the disk, processes that are stopped or gone."""
        self.disk.free()
        for node in self.nodes.values():
            node.store_link.heal()
            node.grpc_link.heal()
            node.set_clock(0)
        if self.namespace:
            self.namespace.heal()
        self.postgres_is_up()
        for process in self.everyone().values():
            if process.alive():
                process.signal(signal.SIGCONT)
            else:
                process.start(ready=False)

    def postgres_is_up(self):
        """Starts it when it is down; after a full disk it may have ended by itself."""
        if self.postgres.answers():
            return
        self.postgres.stop()
        self.postgres.start()

    def doctor(self):
        run = subprocess.run(
            [self.nodes["a1"].binary, "doctor", "--data", self.nodes["a1"].data, "--set",
             f"store.url={self.postgres.url}", "--set", f"store.schema={SCHEMA}"],
            capture_output=True, text=True, timeout=120, check=False)
        # It asks, and is right.
        findings = [line for line in run.stdout.splitlines() if not line.startswith("doctor: ")
                    and not (self.clock_was_set and "did the clock go back?" in line)]
        assert run.returncode == 0 and not findings, \
            f"doctor: exit {run.returncode}\n{run.stdout}{run.stderr}"

    def tails(self, size=3000):
        """The ends of all logs."""
        logs = sorted(self.folder.glob("*/*.log")) + [self.disk.folder / "log"]
        for log in logs:
            if log.exists():
                yield str(log), log.read_text(errors="replace")[-size:]

    def close(self, keep=False):
        if keep:
            os.environ["MILLRACE_KEEP"] = "1"
        for process in [*self.agents.values(), *self.nodes.values()]:
            process.close()
        if self.postgres:
            self.postgres.stop()
        if keep and self.disk and self.disk.is_small:
            shutil.copytree(self.disk.folder, self.folder / "postgres.kept")
        if self.disk:
            self.disk.close()
        if self.namespace:
            self.namespace.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
