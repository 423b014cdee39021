"""Checks a commit out and counts. Parameters: one JSON object on stdin. Result: JSON on stdout."""
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import time


def git(*arguments, cwd=None):
    subprocess.run(["git", *arguments], cwd=cwd, check=True, stdout=sys.stderr)


def count(folder):
    files = lines = 0
    by_suffix = collections.Counter()
    for path in sorted(folder.rglob("*")):
        if ".git" in path.parts or not path.is_file():
            continue
        files += 1
        lines += path.read_bytes().count(b"\n")
        by_suffix[path.suffix or "none"] += 1
    return {"files": files, "lines": lines, "by_suffix": dict(by_suffix)}


def main():
    parameters = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        checkout = pathlib.Path(folder) / "checkout"
        git("clone", "--quiet", "--no-checkout", "--", parameters["url"], str(checkout))
        git("checkout", "--quiet", "--detach", parameters["commit"], cwd=checkout)
        print(f"checked out {parameters['commit'][:12]}", file=sys.stderr)
        time.sleep(parameters["linger"])
        json.dump({"commit": parameters["commit"], **count(checkout)}, sys.stdout)


main()
