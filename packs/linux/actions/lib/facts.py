# SPDX-License-Identifier: Apache-2.0
"""What the machine says of its disks, processes and services."""
import os
import pathlib
import pwd
import subprocess

from millrace import Failed

PROC = pathlib.Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SYSTEMCTL_TIMEOUT_S = 30
# What systemd calls a fact, what we call it, and how its text is read.
UNIT_FACTS = (
    ("ActiveState", "state", str),
    ("SubState", "sub_state", str),
    ("UnitFileState", "enabled", str),
    ("MainPID", "main_pid", int),
    ("NRestarts", "restarts", int),
)


def disk(path):
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise Failed(f"'{path}': {error.strerror}") from None
    used = found.f_blocks - found.f_bfree
    for_users = used + found.f_bavail
    return {
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_bytes": found.f_bavail * found.f_frsize,
        "used_percent": round(100 * used / for_users, 1) if for_users else 0.0,
    }


def processes(name=None, user=None):
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            one = _process(folder)
        except OSError:
            continue  # it has ended meanwhile
        if name in (None, one["name"]) and user in (None, one["user"]):
            found.append(one)
    return sorted(found, key=lambda each: each["pid"])


def _process(folder):
    # proc(5): pid (name) state parent ...; the name may hold spaces and brackets.
    head, _, rest = (folder / "stat").read_text().rpartition(")")
    fields = rest.split()
    return {
        "pid": int(folder.name),
        "parent": int(fields[1]),
        "name": head.partition("(")[2],
        "user": _user(folder.stat().st_uid),
        "state": fields[0],
        "rss_bytes": int(fields[21]) * PAGE_BYTES,
    }


def _user(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def service(name):
    if name.startswith("-"):
        raise Failed(f"expected the name of a unit, found '{name}'")
    names = ",".join(["LoadState", *(fact for fact, _, _ in UNIT_FACTS)])
    try:
        run = subprocess.run(["systemctl", "show", f"--property={names}", name], text=True,
                             capture_output=True, timeout=SYSTEMCTL_TIMEOUT_S, check=True)
    except FileNotFoundError:
        raise Failed("this machine has no systemctl") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Failed(f"systemctl: {(error.stderr or str(error)).strip()}") from None
    said = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    if said.get("LoadState") == "not-found":
        raise Failed(f"there is no unit '{name}'")
    facts = {ours: read(said.get(theirs) or read()) for theirs, ours, read in UNIT_FACTS}
    return {"active": facts["state"] == "active", **facts}
