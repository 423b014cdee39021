# SPDX-License-Identifier: Apache-2.0
"""The real child process, as the worker starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

SRC = Path(__file__).resolve().parent.parent / "src"
TIMEOUT_S = 60


class Ended:
    def __init__(self, exit_code: int, frame: bytes, stdout: str, stderr: str) -> None:
        self.exit_code = exit_code
        self.frame = json.loads(frame) if frame else None
        self.stdout = stdout
        self.stderr = stderr

    @property
    def result(self) -> Any:
        assert self.frame is not None, self.stderr
        return self.frame["result"]

    @property
    def status(self) -> str:
        assert self.frame is not None, self.stderr
        return str(self.frame["status"])

    def __repr__(self) -> str:
        return f"exit {self.exit_code}, {self.frame}\n{self.stdout}\n{self.stderr}"


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "PYTHONPATH": str(SRC), **more}


def write_pack(folder: Path, files: dict[str, str]) -> Path:
    """A pack of these files: path below the pack, text."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def order_for(pack: Path, entry_point: str = "a.py", **more: Any) -> dict[str, Any]:
    return {
        "action": f"{pack.name}.a",
        "pack": pack.name,
        "pack_path": str(pack),
        "entry_point": entry_point,
        "parameters": {},
        "config": {},
        "user": "ann",
        "log_level": "DEBUG",
        **more,
    }


def run(order: Any, env: dict[str, str] | None = None, module: bool = False) -> Ended:
    """Runs one order to its end."""
    start = ["-m", "millrace.runtime"] if module else [str(SRC / "millrace/runtime.py")]
    reads, writes = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-u", *start],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[writes],
        env={**environment(**(env or {})), "MILLRACE_RESULT_FD": str(writes)},
    )
    os.close(writes)
    data = order if isinstance(order, bytes) else json.dumps(order).encode()
    # A result larger than a pipe is read while the action runs.
    import threading

    parts: list[bytes] = []

    def read() -> None:
        while True:
            part = os.read(reads, 1 << 16)
            if not part:
                return
            parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    out, err = child.communicate(data, timeout=TIMEOUT_S)
    reader.join(TIMEOUT_S)
    os.close(reads)
    return Ended(child.returncode, b"".join(parts), out.decode(), err.decode())


def run_action(folder: Path, source: str, parameters: Any = None, **more: Any) -> Ended:
    """Runs a pack of one file, actions/a.py."""
    env = more.pop("env", None)
    files = more.pop("files", {})
    pack = write_pack(folder / "tried", {"actions/a.py": source, **files})
    return run(order_for(pack, parameters=parameters or {}, **more), env)
