# SPDX-License-Identifier: Apache-2.0
"""The commands that a guide shows between `<!-- try -->` and `<!-- end -->`, one after the other."""
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import ROOT, Server, binary, run_cases  # noqa: E402, F401


def shown(guide):
    text = (ROOT / "docs/guides" / guide).read_text()
    tried = text[text.index("<!-- try -->"):text.index("<!-- end -->")]
    return [line.strip() for line in tried.splitlines() if line.startswith("    ")]


def run_all(server, commands, says):
    """Each ends with 0 and prints what `says` has for it: a text, or one for each time that the
    command comes. Run in the server's home, with `millrace` as the binary under test."""
    assert set(says) <= set(commands), set(says) - set(commands)
    (server.home / "bin").mkdir()
    (server.home / "bin/millrace").symlink_to(Path(binary()).resolve())
    where = {**os.environ, "PATH": f"{server.home}/bin:{os.environ['PATH']}",
             "MILLRACE_DATA": str(server.data)}
    wanted = {command: iter([text] if isinstance(text, str) else text)
              for command, text in says.items()}
    for command in commands:
        run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60,
                             cwd=server.home, env=where)
        assert run.returncode == 0, f"{command}: {run.returncode}\n{run.stdout}{run.stderr}"
        said = next(wanted[command]) if command in wanted else ""
        assert said in run.stdout, f"{command}: expected {said!r}:\n{run.stdout}"
