# SPDX-License-Identifier: Apache-2.0
"""What has changed, for the checks that are too dear to look at everything each time."""
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def git(*words):
    run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def base():
    """The commit to compare with: $MILLRACE_BASE, else where this branch left main, else, on main
    itself, the commit before. None when the history does not go back so far."""
    if named := os.environ.get("MILLRACE_BASE"):
        return named
    head = git("rev-parse", "HEAD")
    for main in ("origin/main", "main"):
        found = git("merge-base", "HEAD", main)
        if found and found != head:
            return found
    return git("rev-parse", "--verify", "--quiet", "HEAD~1")


def changed_files():
    """Paths from the root, committed since base() or not yet. None: everything counts as changed."""
    since = base()
    if since is None:
        return None
    names = git("diff", "--name-only", since)
    if names is None:
        return None
    new = git("ls-files", "--others", "--exclude-standard") or ""
    return set(names.split("\n") + new.split("\n")) - {""}


def includers(paths, changed):
    """Those of `paths` that have changed or include, directly or not, a file that has."""
    if changed is None:
        return list(paths)
    cache = {}

    def touched(path):
        if path in cache:
            return cache[path]
        cache[path] = False  # a circle of includes has no say of its own
        found = path.relative_to(ROOT).as_posix() in changed
        for name in INCLUDE.findall(path.read_text()) if not found else ():
            for other in (ROOT / "src" / name, path.parent / name):
                if other.exists() and touched(other):
                    found = True
                    break
        cache[path] = found
        return found

    return [path for path in paths if touched(path)]
