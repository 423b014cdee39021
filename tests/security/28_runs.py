# SPDX-License-Identifier: Apache-2.0
"""A run has limits, its secrets stand on no command line, and its caller steers no interpreter
(review, M4, M5 and M8)."""

import json
import pathlib
import re
import subprocess
import sys
import time

from attack import JSON, Target, binary, main, start_time, until, wrong

PACK = pathlib.Path(__file__).parent / "packs/probe"
MIB = 1 << 20
TARGET = Target(
    packs=[PACK],
    most_mib=200,
    settings={
        "worker.limits.processes": 40,
        "worker.limits.memory_bytes": 200 * MIB,
        "worker.limits.file_bytes": 8 * MIB,
        "worker.limits.open_files": 64,
        "worker.limits.cpu_s": 3,
        "worker.kill_grace_ms": 200,
    },
)


def run(script, action="probe.plain", **parameters):
    return TARGET.client().data(
        "POST",
        "/api/v1/executions?wait=60s",
        {"action": action, "parameters": {"script": script, **parameters}},
    )


def it_starts_only_so_many_processes():
    """600 are tried, each of which ends by itself: what is beyond the limit is refused to the run."""
    row = run(
        "i=0; while [ $i -lt 600 ]; do sleep 20 2>/dev/null & i=$((i+1)); done; "
        "n=0; for p in /proc/[0-9]*; do grep -qs \"MILLRACE_EXEC_ID=$MILLRACE_EXEC_ID\" $p/environ && n=$((n+1)); done; echo $n"
    )
    text = json.dumps(row["result"])
    assert row["status"] != "succeeded" or int(row["result"]["stdout"].strip() or 0) <= 60, text[-500:]
    again = run("echo fine")
    assert again["status"] == "succeeded" and again["result"]["stdout"].strip() == "fine", again


def it_takes_only_so_much_memory():
    row = run("head -c 500000000 /dev/zero | tail -c 500000000 | wc -c; echo all of it")
    assert row["result"].get("stdout", "").strip() != "500000000\nall of it", row
    row = run("python3 -c 'b = bytearray(500 * 1024 * 1024); print(len(b))'")
    assert row["status"] == "failed", row


def it_writes_only_files_of_so_much():
    row = run(
        'head -c 20000000 /dev/zero > "$TMPDIR/large" 2>/dev/null || head -c 20000000 /dev/zero > "$MILLRACE_ARTIFACTS_DIR/large"; '
        'ls -l "$TMPDIR/large" "$MILLRACE_ARTIFACTS_DIR/large" 2>/dev/null | tr -s " " | cut -d" " -f5'
    )
    sizes = [int(word) for word in re.findall(r"^\d+$", row["result"].get("stdout", ""), re.M)]
    assert sizes and max(sizes) <= 8 * MIB or row["status"] == "failed", row


def it_opens_only_so_many_files():
    row = run("ulimit -n")
    assert int(row["result"]["stdout"]) <= 64, row["result"]


def it_computes_only_so_long():
    row = run("while :; do :; done")
    assert row["status"] in ("failed", "timeout"), row


def it_leaves_no_core():
    row = run("ulimit -c")
    assert row["result"]["stdout"].strip() == "0", row["result"]


def who_leaves_everything_does_not_outlive_its_run():
    """Out of the group, without parents, without an environment, while another run lives."""
    folder = TARGET.home / "left"
    folder.mkdir()
    other = TARGET.client().data(
        "POST",
        "/api/v1/executions",
        {
            "action": "probe.plain",
            "parameters": {"script": f"while [ ! -e {folder}/end ]; do sleep 0.1; done"},
        },
    )
    row = run(
        f"(setsid env -i /bin/sh -c 'echo $$ > {folder}/pid; (exec sleep 50)' &) ; while [ ! -s {folder}/pid ]; do sleep 0.05; done"
    )
    assert row["status"] == "succeeded", row
    pid = int((folder / "pid").read_text())
    try:
        until("it is gone", lambda: start_time(pid) is None, 10)
    finally:
        (folder / "end").touch()
        TARGET.client().data("GET", f"/api/v1/executions/{other['id']}?wait=30s")


def pack_with(folder, parameters):
    (folder / "actions").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text("name: argv\nversion: 1.0.0\ndescription: x\n")
    (folder / "actions/a.sh").write_text("#!/bin/sh\nsleep 1\n")
    (folder / "actions/a.sh").chmod(0o755)
    (folder / "actions/a.yaml").write_text(
        json.dumps(
            {
                "name": "a",
                "description": "x",
                "runner_type": "shell",
                "entry_point": "a.sh",
                "parameters": parameters,
            }
        )
    )
    return folder


def a_secret_is_never_an_argument():
    """`ps` shows arguments to everybody: such an action is told of, with `--strict` refused, and not run."""
    folder = pack_with(
        TARGET.home / "argv", {"password": {"type": "string", "secret": True, "position": 0}}
    )
    plain = subprocess.run(
        [binary(), "pack", "check", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert "password" in plain.stdout + plain.stderr, plain
    strict = subprocess.run(
        [binary(), "pack", "check", "--strict", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert strict.returncode not in (0,) and "password" in strict.stdout + strict.stderr, strict
    with Target(packs=[folder], most_mib=100) as target:
        target.start()
        status, _, answer = target.client().request(
            "POST",
            "/api/v1/executions?wait=30s",
            {"action": "argv.a", "parameters": {"password": "canary-on-the-command-line"}},
        )
        assert 400 <= status < 500 or answer["data"]["status"] == "failed", answer
        assert "canary-on-the-command-line" not in json.dumps(answer), answer
        target.finish()


STEERING = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "LD_DEBUG",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYOPT",
    "RUBYLIB",
    "GCONV_PATH",
    "BASH_FUNC_ls%%",
    "GLIBC_TUNABLES",
    "IFS",
]


def a_caller_steers_no_interpreter():
    bad = []
    for name in STEERING:
        status, _, answer = TARGET.client().request(
            "POST",
            "/api/v1/executions?wait=30s",
            {
                "action": "core.local",
                "parameters": {"cmd": "/usr/bin/env", "env": {name: "/tmp/of-the-caller"}},
            },
        )
        if status == 201 and (
            answer["data"]["status"] == "succeeded"
            and f"{name}=/tmp/of-the-caller" in answer["data"]["result"]["stdout"]
        ):
            bad.append((name, status, answer["data"]["result"]["stdout"][:200]))
    wrong(bad)
    row = TARGET.client().data(
        "POST",
        "/api/v1/executions?wait=30s",
        {
            "action": "core.local",
            "parameters": {
                "cmd": "echo $GREETING $HTTP_PROXY",
                "env": {"GREETING": "hello", "HTTP_PROXY": "x"},
            },
        },
    )
    assert row["result"]["stdout"].strip() == "hello x", row


CASES = [
    it_starts_only_so_many_processes,
    it_takes_only_so_much_memory,
    it_writes_only_files_of_so_much,
    it_opens_only_so_many_files,
    it_computes_only_so_long,
    it_leaves_no_core,
    who_leaves_everything_does_not_outlive_its_run,
    a_secret_is_never_an_argument,
    a_caller_steers_no_interpreter,
]

sys.exit(main(TARGET, CASES))
