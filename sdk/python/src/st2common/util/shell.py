# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shlex
import subprocess
from typing import Any

__all__ = ["quote_unix", "quote_windows", "run_command"]


def quote_unix(value: str) -> str:
    return shlex.quote(value)


def quote_windows(value: str) -> str:
    return subprocess.list2cmdline([value])


def run_command(
    cmd: str | list[str],
    stdin: Any = None,
    stdout: Any = subprocess.PIPE,
    stderr: Any = subprocess.PIPE,
    shell: bool = False,
    cwd: str | None = None,
    env: dict[str, str] | None = None,
) -> tuple[int, Any, Any]:
    """Exit code, stdout and stderr."""
    done = subprocess.run(
        cmd, stdin=stdin, stdout=stdout, stderr=stderr, shell=shell, cwd=cwd, env=env, check=False
    )
    return done.returncode, done.stdout, done.stderr
