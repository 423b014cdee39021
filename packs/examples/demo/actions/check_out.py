"""Checks a commit out into the workspace. Run twice it leaves the same folder."""
import pathlib
import shutil
import subprocess
import sys
import time

from step import answer, parameters

given = parameters()
folder = pathlib.Path(given["workspace"]) / given["commit"][:12]
shutil.rmtree(folder, ignore_errors=True)


def git(*arguments):
    subprocess.run(["git", *arguments], check=True, stdout=sys.stderr)


git("clone", "--quiet", "--no-checkout", "--", given["url"], str(folder))
git("-C", str(folder), "checkout", "--quiet", "--detach", given["commit"])
print(f"checked out {given['commit'][:12]}", file=sys.stderr, flush=True)
time.sleep(given["linger"])
answer({"folder": str(folder), "files": sorted(path.name for path in folder.glob("*.py"))})
