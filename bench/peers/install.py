# SPDX-License-Identifier: Apache-2.0
"""The peers, from their registries into build/peers; nothing of them is committed. One that cannot be
had ends the run by its name."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from contestant import INSTALLED, NODE, ROOT
from restate import SERVER

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = INSTALLED / "node_modules"
PYTHON = INSTALLED / "python"
ORQUESTA = "1.2.0"
OURS = (ROOT / "build/release/millrace", ROOT / "build/release/bench/peers/millrace_alone")
# What each peer needs to be there: a file, or a program.
NEEDED = {
    "Restate": SERVER,
    "Restate's SDK": PACKAGES / "@restatedev/restate-sdk",
    "DBOS": PACKAGES / "@dbos-inc/dbos-sdk",
    "graphile-worker": PACKAGES / "graphile-worker",
    "BullMQ": PACKAGES / "bullmq",
    "node 22": NODE,
    "AWS Event Ruler": INSTALLED / "ruler/event-ruler-1.7.3.jar",
    "Orquesta": PYTHON / "lib",
    "Redis": "redis-server",
    "Java": "java",
    "perf": "perf",
}


def run(name, argv, **options):
    print("+", *argv, flush=True)
    ran = subprocess.run([str(word) for word in argv], check=False, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if ran.returncode != 0:
        raise SystemExit(f"peers: {name} cannot be installed:\n{ran.stdout[-3000:]}")


def once(what, files, install):
    """Installs again only when one of its files has changed."""
    stamp = INSTALLED / f".{what}"
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        install()
        stamp.write_text(wanted)


def from_npm():
    shutil.copy(HERE / "package.json", INSTALLED)
    # No scripts: what the peers need comes as files of packages.
    run("Restate, DBOS, graphile-worker, BullMQ", ["npm", "install", "--ignore-scripts", "--no-audit",
        "--no-fund", "--no-package-lock"], cwd=INSTALLED)


def from_maven():
    (INSTALLED / "ruler").mkdir(exist_ok=True)
    run("AWS Event Ruler", ["mvn", "-q", "-B", "-f", HERE / "ruler/pom.xml",
                            "dependency:copy-dependencies",
                            f"-DoutputDirectory={INSTALLED / 'ruler'}"])


def from_pypi():
    run("Orquesta", ["python3", "-m", "venv", "--clear", PYTHON])
    run("Orquesta", [PYTHON / "bin/pip", "install", "-q", f"orquesta=={ORQUESTA}"])


def install():
    INSTALLED.mkdir(parents=True, exist_ok=True)
    once("npm", [HERE / "package.json"], from_npm)
    once("maven", [HERE / "ruler/pom.xml"], from_maven)
    once("pypi", [HERE / "install.py"], from_pypi)
    programs = INSTALLED / "node"
    shutil.rmtree(programs, ignore_errors=True)
    shutil.copytree(HERE / "node", programs)
    shutil.copy(HERE / "ruler/Matching.java", INSTALLED / "ruler")
    for ours in OURS:  # copies: a build may go on meanwhile
        (INSTALLED / ours.name).unlink(missing_ok=True)
        shutil.copy(ours, INSTALLED)
    for name, where in NEEDED.items():
        there = where.exists() if isinstance(where, os.PathLike) else shutil.which(where)
        if not there:
            raise SystemExit(f"peers: {name} is missing: there is no {where}")


def version(argv):
    """The first number with dots that a program says of itself."""
    said = subprocess.run([str(word) for word in argv], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return found.group() if found else "?"


def versions():
    packages = {}
    for name in ("@restatedev/restate-server", "@restatedev/restate-sdk", "@dbos-inc/dbos-sdk",
                 "graphile-worker", "bullmq"):
        text = (PACKAGES / name / "package.json").read_text()
        packages[name] = re.search(r'"version": "([^"]+)"', text).group(1)
    return {
        "Restate": packages["@restatedev/restate-server"],
        "its SDK": packages["@restatedev/restate-sdk"],
        "DBOS": packages["@dbos-inc/dbos-sdk"],
        "graphile-worker": packages["graphile-worker"], "BullMQ": packages["bullmq"],
        "node": version([NODE, "--version"]), "Redis": version(["redis-server", "--version"]),
        "PostgreSQL": version([sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))[-1],
                               "--version"]),
        "Event Ruler": "1.7.3", "Java": version(["java", "-version"]), "Orquesta": ORQUESTA,
        "its Python": version([PYTHON / "bin/python", "--version"]),
    }
