# SPDX-License-Identifier: Apache-2.0
"""A command or a script on other machines, by the system's OpenSSH client.

The worker starts it with an order on stdin: `hosts`, `command` or `script`, `arguments`, `options`.
What comes of each host goes to the result's descriptor in StackStorm's shape. Nothing of the order
stands in a command line or an environment of this machine: what runs there goes through ssh's
stdin, keys and passwords through files of the run's private folder, which are gone before it ends.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from millrace.runtime import read_all, take_descriptor, write_all  # noqa: E402

# Of ssh itself: the connection failed.
NO_CONNECTION = 255
MOST_AT_ONCE = 32
MOST_OUTPUT = 4 << 20  # of each stream of each host; what comes after is dropped
NAME = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]{0,254}\Z")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Refused(Exception):
    """The order cannot be carried out; says why."""


def checked(kind: str, name: str) -> str:
    if not NAME.match(name):
        raise Refused(f"{kind} '{name}' is no name that ssh may be given")
    return name


def hosts_of(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    hosts = list(dict.fromkeys(checked("host", name) for name in names if name))
    if not hosts:
        raise Refused("the parameter 'hosts' is empty")
    return hosts


def write_private(folder: str, name: str, text: str, mode: int = 0o600) -> str:
    path = os.path.join(folder, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


def ssh_options(options: dict[str, Any], folder: str) -> tuple[list[str], dict[str, str]]:
    """Of each call of ssh, and the environment of ssh itself."""
    argv = ["-T", "-o", "StrictHostKeyChecking=yes", "-o", "ServerAliveInterval=15"]
    argv += ["-o", f"ConnectTimeout={int(options.get('connect_timeout_s') or 30)}"]
    argv += ["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ForwardAgent=no"]
    environment = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "LANG", "SSH_AUTH_SOCK")
        if name in os.environ
    }
    if options.get("known_hosts"):
        argv += [
            "-o",
            f"UserKnownHostsFile={options['known_hosts']}",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
        ]
    key = options.get("private_key")
    if key:
        if "PRIVATE KEY" not in key:
            raise Refused(
                "the parameter 'private_key' holds no key: give the key itself, as "
                "{{ st2kv.system.NAME | decrypt_kv }}, and no path"
            )
        path = write_private(folder, "key", key.replace("\r\n", "\n").rstrip("\n") + "\n")
        argv += ["-i", path, "-o", "IdentitiesOnly=yes"]
    secrets = {name: options[name] for name in ("passphrase", "password") if options.get(name)}
    if secrets:
        cases = ""
        for name, value in secrets.items():
            path = write_private(folder, name, value + "\n")
            cases += f"*{name[1:]}*) exec cat {shlex.quote(path)};;\n"
        asks = f'#!/bin/sh\ncase "$1" in\n{cases}esac\nexit 1\n'
        environment["SSH_ASKPASS"] = write_private(folder, "ask", asks, 0o700)
        environment["SSH_ASKPASS_REQUIRE"] = "force"
        argv += ["-o", "NumberOfPasswordPrompts=1"]
    else:
        argv += ["-o", "BatchMode=yes"]
    if options.get("port"):
        argv += ["-p", str(int(options["port"]))]
    if options.get("username"):
        argv += ["-l", checked("username", options["username"])]
    if options.get("bastion_host"):
        # A jump of ssh's own (-J) is made without these options.
        bastion = checked("bastion_host", options["bastion_host"])
        inner = ["ssh", *argv, "-W", "[%h]:%p", "--", bastion]
        argv += ["-o", "ProxyCommand=" + " ".join(quoted_for_proxy(word) for word in inner)]
    return argv, environment


def quoted_for_proxy(word: str) -> str:
    """ssh expands % in a ProxyCommand; those of -W are meant."""
    return word if word == "[%h]:%p" else shlex.quote(word).replace("%", "%%")


def remote_text(order: dict[str, Any]) -> str:
    """What the remote shell reads on its stdin: the command itself reads nothing of it."""
    options = order["options"]
    lines = []
    if options.get("cwd"):
        lines.append(f"cd {shlex.quote(options['cwd'])} || exit")
    for name, value in (options.get("env") or {}).items():
        if not VARIABLE.match(name):
            raise Refused(f"the parameter 'env' holds '{name}', which is no name of a variable")
        lines.append(f"export {name}={shlex.quote(str(value))}")
    sudo = "sudo -n -E -- " if options.get("sudo") else ""
    arguments = " ".join(shlex.quote(each) for each in order["arguments"])
    if "script" in order:
        folder = shlex.quote(options.get("dir") or "/tmp")
        end = "MILLRACE-END-OF-SCRIPT"
        while end in order["script"]:
            end += "-"
        script = order["script"]
        lines[:0] = [
            f"file=$(umask 077 && mktemp {folder}/millrace-XXXXXXXX) || exit",
            "trap 'rm -f \"$file\"' EXIT",
            f"cat > \"$file\" <<'{end}'",
            script[:-1] if script.endswith("\n") else script,
            end,
            'chmod 700 "$file" || exit',
        ]
        lines.append(f'{sudo}"$file" {arguments} < /dev/null')
    else:
        command = shlex.quote(order["command"])
        lines.append(
            f"{sudo}bash -c {command} {shlex.quote(order['action'])} {arguments} < /dev/null"
        )
    # The shell has read all of it before the first line runs.
    return "{\n" + "\n".join(lines) + "\nexit\n}\n"


def read_as_stackstorm(text: str) -> Any:
    """Without the last line end; a list or a map in JSON as what it is."""
    text = text[:-1] if text.endswith("\n") else text
    text = text[:-1] if text.endswith("\r") else text
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text


class Host:
    """One host's part: its process, its output."""

    def __init__(self, name: str, prefix: str) -> None:
        self.name = name
        self.result: dict[str, Any] = {}
        self._prefix = prefix

    def run(self, argv: list[str], environment: dict[str, str], text: str) -> None:
        process = subprocess.Popen(
            ["ssh", *argv, "--", self.name, "exec /bin/sh -s"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        streams: dict[str, str] = {}

        def read(name: str, source: Any, target: Any) -> None:
            kept = b""
            for line in source:
                kept += line[: max(0, MOST_OUTPUT - len(kept))]
                target.write(self._prefix.encode() + line)
                target.flush()
            streams[name] = kept.decode("utf-8", "replace")

        readers = [
            threading.Thread(target=read, args=("stdout", process.stdout, sys.stdout.buffer)),
            threading.Thread(target=read, args=("stderr", process.stderr, sys.stderr.buffer)),
        ]
        for reader in readers:
            reader.start()
        assert process.stdin is not None
        try:
            process.stdin.write(text.encode("utf-8", "surrogateescape"))
            process.stdin.close()
        except BrokenPipeError:
            pass
        code = process.wait()
        for reader in readers:
            reader.join()
        code = code if code >= 0 else 128 - code
        self.result = {
            "stdout": read_as_stackstorm(streams["stdout"]),
            "stderr": read_as_stackstorm(streams["stderr"]),
            "return_code": code,
            "succeeded": code == 0,
            "failed": code != 0,
        }
        if code == NO_CONNECTION:
            last = streams["stderr"].strip().splitlines()
            self.result["error"] = last[-1] if last else "ssh ended with 255"


def run_all(order: dict[str, Any]) -> dict[str, Any]:
    options = order["options"]
    names = hosts_of(order["hosts"])
    text = remote_text(order)
    folder = tempfile.mkdtemp(prefix="ssh-", dir=os.environ.get("TMPDIR"))
    try:
        argv, environment = ssh_options(options, folder)
        hosts = [Host(name, f"{name}| " if len(names) > 1 else "") for name in names]
        places = threading.Semaphore(MOST_AT_ONCE if options.get("parallel", True) else 1)

        def run(host: Host) -> None:
            with places:
                host.run(argv, environment, text)

        threads = [threading.Thread(target=run, args=(host,)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {host.name: host.result for host in hosts}


def main() -> int:
    descriptor = take_descriptor("MILLRACE_RESULT_FD")
    if not shutil.which("ssh"):
        sys.stderr.write("this worker has no program 'ssh': install OpenSSH's client\n")
    # The keys go with the run's folder, whatever ends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    frame: dict[str, Any]
    try:
        results = run_all(json.loads(read_all(0)))
        failed = [name for name, result in results.items() if result["failed"]]
        frame = {"status": "failed" if failed else "succeeded", "result": results}
        if failed:
            frame["error"] = {"type": "RemoteError", "message": told(results, failed)}
        code = 1 if failed else 0
    except (Refused, FileNotFoundError) as error:
        frame = {"status": "failed", "error": {"type": "RemoteError", "message": str(error)}}
        code = 2
    write_all(1 if descriptor is None else descriptor, json.dumps(frame).encode())
    return code


def told(results: dict[str, Any], failed: list[str]) -> str:
    first = results[failed[0]]
    why = first.get("error") or f"exit code {first['return_code']}"
    more = f", and {len(failed) - 1} more of {len(results)}" if len(failed) > 1 else ""
    return f"{failed[0]}: {why}{more}"


if __name__ == "__main__":
    sys.exit(main())
