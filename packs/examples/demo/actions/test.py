"""Runs one Python file, which must end well."""
import subprocess
import sys

from step import answer, parameters

given = parameters()
run = subprocess.run([sys.executable, given["file"]], cwd=given["folder"], check=True,
                     capture_output=True, text=True)
answer({"file": given["file"], "printed": run.stdout.splitlines()})
