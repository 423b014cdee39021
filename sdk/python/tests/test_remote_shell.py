# SPDX-License-Identifier: Apache-2.0
"""Commands on other machines, against a real sshd on this one."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from child import SRC, TIMEOUT_S

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
pytestmark = pytest.mark.skipif(not SSHD or not shutil.which("ssh"), reason="needs OpenSSH")


def make_key(path: Path, passphrase: str = "") -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    return path.read_text()


class Machine:
    """An sshd of our own, and what a worker knows of it."""

    def __init__(self, folder: Path) -> None:
        assert SSHD
        self.folder = folder
        make_key(folder / "host")
        self.key = make_key(folder / "user")
        self.locked_key = make_key(folder / "locked", "open sesame")
        keys = [(folder / name).read_text() for name in ("user.pub", "locked.pub")]
        (folder / "authorized").write_text("".join(keys))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        )
        public = (folder / "host.pub").read_text().split(" ")
        names = ",".join(f"[{host}]:{self.port}" for host in ("127.0.0.1", "localhost"))
        (folder / "known_hosts").write_text(f"{names} {public[0]} {public[1]}\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.sshd = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)

    def stop(self) -> None:
        self.sshd.terminate()
        self.sshd.wait()

    def start(
        self, hosts: str = "127.0.0.1", more: dict[str, Any] | None = None, **order: Any
    ) -> subprocess.Popen[bytes]:
        order.setdefault("arguments", [])
        order.setdefault("action", "demo.act")
        order["hosts"] = hosts
        order["options"] = {
            "port": self.port,
            "private_key": self.key,
            "known_hosts": str(self.folder / "known_hosts"),
            "username": getpass.getuser(),
            **(more or {}),
        }
        self.room = self.folder / f"run-{time.monotonic_ns()}"
        self.room.mkdir(mode=0o700)
        child = subprocess.Popen(
            [sys.executable, "-u", SRC / "millrace/remote_shell.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(self.room)},
        )
        assert child.stdin
        child.stdin.write(json.dumps(order).encode())
        child.stdin.close()
        child.stdin = None
        return child

    def run(self, *args: Any, **order: Any) -> dict[str, Any]:
        child = self.start(*args, **order)
        out, err = child.communicate(timeout=TIMEOUT_S)
        text, brace, frame = out.decode().rpartition('{"status"')
        said: dict[str, Any] = json.loads(brace + frame)
        said.update(out=text, err=err.decode(), code=child.returncode)
        assert not list(self.room.iterdir()), "keys were left"
        return said


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("sshd"))
    yield made
    made.stop()


def test_a_command_runs_on_each_host(machine: Machine) -> None:
    said = machine.run("127.0.0.1, localhost", command="echo '{\"a\": [1]}'; echo no >&2")
    assert said["status"] == "succeeded", said
    each = {
        "stdout": {"a": [1]},
        "stderr": "no",
        "return_code": 0,
        "succeeded": True,
        "failed": False,
    }
    assert said["result"] == {"127.0.0.1": each, "localhost": each}
    assert sorted(said["out"].splitlines()) == ['127.0.0.1| {"a": [1]}', 'localhost| {"a": [1]}']


def test_folder_variables_and_arguments_reach_the_command(machine: Machine) -> None:
    said = machine.run(
        command='echo "$PWD|$A|$1|$0"; cat',
        more={"cwd": "/usr", "env": {"A": "x 'y"}},
        arguments=["a b;"],
    )
    assert said["result"]["127.0.0.1"]["stdout"] == "/usr|x 'y|a b;|demo.act"


def test_a_script_is_brought_and_taken_away(machine: Machine) -> None:
    script = '#!/bin/bash\necho "$0 $# $1 $[1+2]"\nexit 3\n'
    said = machine.run(script=script, arguments=["--a=b c"])
    result = said["result"]["127.0.0.1"]
    file, rest = result["stdout"].split(" ", 1)
    assert rest == "1 --a=b c 3"
    assert (result["return_code"], said["status"]) == (3, "failed")
    assert not os.path.exists(file)


def test_one_host_that_fails_fails_the_run(machine: Machine) -> None:
    said = machine.run(
        "127.0.0.1,no-such-host.invalid", command="true", more={"connect_timeout_s": 5}
    )
    assert (said["status"], said["code"]) == ("failed", 1)
    assert said["result"]["127.0.0.1"]["succeeded"]
    assert said["result"]["no-such-host.invalid"]["return_code"] == 255
    assert "no-such-host.invalid" in said["error"]["message"]


def test_a_host_whose_key_is_not_known_is_refused(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    said = machine.run(command="true", more={"known_hosts": str(tmp_path / "empty")})
    assert "Host key verification failed" in said["result"]["127.0.0.1"]["error"]


def test_a_passphrase_opens_a_key(machine: Machine) -> None:
    locked = {"private_key": machine.locked_key, "passphrase": "open sesame"}
    assert machine.run(command="true", more=locked)["status"] == "succeeded"
    locked["passphrase"] = "wrong"
    assert machine.run(command="true", more=locked)["status"] == "failed"
    del locked["passphrase"]
    assert machine.run(command="true", more=locked)["status"] == "failed"


def test_a_bastion_is_checked_as_the_host_is(machine: Machine) -> None:
    assert machine.run(command="true", more={"bastion_host": "localhost"})["status"] == "succeeded"


def test_keys_and_commands_stand_in_no_command_line(machine: Machine) -> None:
    child = machine.start(
        command="sleep 1 # secret-in-command", more={"env": {"A": "secret-in-env"}}
    )
    seen = b""
    while child.poll() is None:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                parent = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1]
                if int(parent) != child.pid and int(pid) != child.pid:
                    continue
                for name in ("cmdline", "environ"):
                    seen += Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:
                continue
        time.sleep(0.05)
    assert b"StrictHostKeyChecking" in seen
    assert b"secret-in" not in seen
    assert machine.key.splitlines()[1].encode() not in seen


@pytest.mark.parametrize("hosts", ["-oProxyCommand=x", "a b", "", "$(x)"])
def test_a_host_that_is_no_name_is_refused(machine: Machine, hosts: str) -> None:
    said = machine.run(hosts, command="true")
    assert (said["status"], said["code"]) == ("failed", 2)


def test_a_path_is_no_key(machine: Machine) -> None:
    said = machine.run(command="true", more={"private_key": "/root/.ssh/id_rsa"})
    assert "st2kv" in said["error"]["message"]
