#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL cluster: `tools/postgres.py FOLDER [NAME=VALUE...]` makes one in FOLDER,
prints its URL when it takes connections, and stops it when its standard input ends: whoever started
it may die as it likes. It listens on a socket in FOLDER only, or also on 127.0.0.1 when a `port` is
given. NAME=VALUE are settings of the server. Not durable unless `fsync=on` is one of them."""
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import time

START_LIMIT_S = 60
# Sorts otherwise than by bytes: the store must not depend on it.
INITDB = ["--no-sync", "--auth=trust", "--username=millrace", "--encoding=UTF8",
          "--locale-provider=icu", "--icu-locale=en"]
SETTINGS = {"fsync": "off", "listen_addresses": "", "shared_buffers": "64MB",
            "max_connections": "100", "autovacuum_naptime": "10s"}


def binary(name):
    """Debian keeps the server's programs out of PATH."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if not path:
        sys.exit(f"{name} is not installed: ./dev setup")
    return path


def not_as_root():
    """PostgreSQL refuses to run as root: then it runs as the user that its package made."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def make(folder):
    user = not_as_root()
    folder.mkdir(parents=True, exist_ok=True)
    if user:
        os.chown(folder, user["user"], user["group"])
    made = subprocess.run([binary("initdb"), *INITDB, "-D", folder / "data"], check=False,
                          capture_output=True, text=True, cwd=folder, **user)
    if made.returncode != 0:
        sys.exit(f"initdb: {made.stderr}")


def start(folder, settings):
    """The server's process, once it takes connections."""
    all_settings = SETTINGS | {"unix_socket_directories": str(folder)} | settings
    if "port" in settings:
        all_settings["listen_addresses"] = "127.0.0.1"
    options = [f"--{name}={value}" for name, value in all_settings.items()]
    log = open(folder / "log", "ab")
    server = subprocess.Popen([binary("postgres"), "-D", folder / "data", *options], cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, **not_as_root())
    deadline = time.monotonic() + START_LIMIT_S
    ready = [binary("pg_isready"), "-q", "-h", folder, "-p", settings.get("port", "5432")]
    while subprocess.run(ready, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            sys.exit(f"postgres has not started:\n{(folder / 'log').read_text()}")
        time.sleep(0.02)
    return server


def url(folder, settings):
    port = settings.get("port", "5432")
    return f"postgresql:///postgres?host={folder}&port={port}&user=millrace"


def main():
    folder = pathlib.Path(sys.argv[1]).absolute()
    settings = dict(setting.split("=", 1) for setting in sys.argv[2:])
    if not (folder / "data").exists():
        make(folder)
    server = start(folder, settings)
    print(url(folder, settings), flush=True)
    try:
        sys.stdin.read()
    finally:
        server.terminate()  # smart; then the sessions are cut
        try:
            server.wait(1)
        except subprocess.TimeoutExpired:
            server.send_signal(2)
            server.wait(30)


if __name__ == "__main__":
    main()
