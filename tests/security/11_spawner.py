# SPDX-License-Identifier: Apache-2.0
"""What a run inherits, what it can leave behind, and what becomes of its children."""

import os
import pathlib
import signal
import sys
import time

from attack import Target, connect, main, start_time, until, wrong

PACK = pathlib.Path(__file__).parent / "packs/probe"
TARGET = Target(packs=[PACK], most_mib=200, settings={"worker.kill_grace_ms": 500})
TARGET.may_fail = "/output"  # its file is broken on purpose
CANARY = "canary-of-the-servers-environment"
PASSWD = pathlib.Path("/etc/passwd").read_text().split("\n", 1)[0]


def run(cmd, action="core.local", wait="30s", **parameters):
    return TARGET.client().data(
        "POST",
        f"/api/v1/executions?wait={wait}",
        {
            "action": action,
            "parameters": {("cmd" if action == "core.local" else "script"): cmd, **parameters},
        },
    )


def stdout(row):
    assert row["status"] == "succeeded", row
    return row["result"]["stdout"]


def it_inherits_three_descriptors():
    """While clients, other runs, the store and its log are open."""
    clients = [connect(TARGET) for _ in range(5)]
    others = [
        TARGET.client().data(
            "POST", "/api/v1/executions", {"action": "core.local", "parameters": {"cmd": "sleep 2"}}
        )
        for _ in range(2)
    ]
    seen = stdout(run("ls -l /proc/$$/fd; true"))
    numbers = sorted(int(line.split(" -> ")[0].split()[-1]) for line in seen.strip().splitlines()[1:])
    assert numbers == [0, 1, 2], seen
    assert not [
        word for word in ("millrace.db", "socket:", "keys.json", "server.log", "/dev/tty") if word in seen
    ], seen
    # Nor does a child of it, or a pack's script.
    seen = stdout(run("ls -l /proc/self/fd", action="probe.plain"))
    assert "socket" not in seen and str(TARGET.data) not in seen.replace("/run/slots/", ""), seen
    for client in clients:
        client.close()
    assert len(others) == 2


def it_inherits_no_environment():
    seen = stdout(run("env", env={"GIVEN": "1"}))
    names = {line.split("=", 1)[0] for line in seen.splitlines() if "=" in line}
    assert CANARY not in seen and "GIVEN" in names, seen
    allowed = {
        "PATH",
        "HOME",
        "LANG",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
        "GIVEN",
        "TMPDIR",
        "TMP",
        "TEMP",
        "USER",
        "LOGNAME",
    }
    wrong(name for name in names if name not in allowed and not name.startswith("MILLRACE_"))
    # Nothing that opens a door: no token where no permission is declared.
    assert "MILLRACE_API_TOKEN" not in names and "mr_" not in seen and "mrx." not in seen, seen
    limits = stdout(run("umask; ulimit -c; ulimit -n; grep -E 'Sig(Blk|Ign)' /proc/self/status"))
    assert "SigBlk:\t0000000000000000" in limits, limits


def what_a_caller_may_not_set_is_refused():
    bad = []
    for name in (
        "MILLRACE_API_TOKEN",
        "MILLRACE_RUN",
        "MILLRACE_X",
        "MILLRACE_",
        "",
        "A=B",
        "=",
        "A=",
        "A\x00B",
        "\x00",
        "A\x00=B",
    ):
        status, _, answer = TARGET.client().request(
            "POST",
            "/api/v1/executions?wait=30s",
            {"action": "core.local", "parameters": {"cmd": "env", "env": {name: "set-by-the-caller"}}},
        )
        done = status == 201 and answer["data"]["status"] == "succeeded"
        if done or status not in (201, 400):
            bad.append((name, status, answer))
    for value in ("a\x00b", "\x00"):
        for parameters in (
            {"cmd": "env", "env": {"A": value}},
            {"cmd": f"echo {value}"},
            {"cmd": "true", "cwd": f"/tmp{value}"},
        ):
            status, _, answer = TARGET.client().request(
                "POST", "/api/v1/executions?wait=30s", {"action": "core.local", "parameters": parameters}
            )
            if status == 201 and answer["data"]["status"] == "succeeded":
                bad.append((parameters, answer))
    wrong(bad)


def an_argument_is_inert():
    """What comes from outside belongs into the argument of core.local_script: no shell reads it."""
    trap = TARGET.home / "trap"
    for text in (
        "$(touch {})",
        "`touch {}`",
        "; touch {}",
        "| touch {}",
        "&& touch {}",
        "\n touch {}\n",
        "' ; touch {} ; '",
        '" ; touch {} ; "',
        "$IFS;touch${{IFS}}{}",
        "-c touch {}",
        "--help",
        "-",
        "\\",
        "*",
        "~",
        "$HOME",
        "!!",
        "%s",
        "a\tb",
        "\x1b[2J",
        "é😀",
        ">{}",
        "<{}",
    ):
        argument = text.format(trap)
        row = TARGET.client().data(
            "POST",
            "/api/v1/executions?wait=30s",
            {
                "action": "core.local_script",
                "parameters": {"script": 'printf "[%s]" "$1"; printf "(%s)" "$#"', "argument": argument},
            },
        )
        assert stdout(row) == f"[{argument}](1)", (argument, row["result"])
        assert not trap.exists(), argument


def what_is_left_in_artifacts_harms_nothing():
    """Links out of the folder, FIFOs, sockets, locked folders, long names: the run ends, nothing is followed."""
    outside = TARGET.home / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    row = run(
        f'''cd "$MILLRACE_ARTIFACTS_DIR" || exit 9
        echo good >good; ln -s /etc/passwd passwd; ln -s {outside} folder; ln -s . self; ln -s nowhere broken; ln -s / root
        ln -s {TARGET.data}/keys.json ring; ln {outside}/kept hard; mkfifo fifo
        mkdir -p locked/inner; echo x >locked/inner/x; chmod 000 locked/inner locked
        mkdir -p $(printf 'd/%.0s' $(seq 200)); touch -- -rf '*' ' ' "a
b" "$(printf '\\377')" "$(printf 'n%.0s' $(seq 255))"
        mknod null c 1 3 2>/dev/null; truncate -s 1T sparse 2>/dev/null; chmod 4777 good; echo done''',
        action="probe.plain",
    )
    assert row["status"] in ("succeeded", "failed"), row
    assert "done" in row["result"]["stdout"], row
    kept = TARGET.data / "artifacts"
    for path in kept.rglob("*"):
        assert (
            not path.is_symlink()
            or not path.exists()
            or kept in path.resolve().parents
            or path.name in ("passwd", "folder", "root", "ring", "self")
        ), path
    ring = (TARGET.data / "keys.json").read_bytes()
    for path in kept.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
            content = path.read_bytes()
            assert ring not in content and PASSWD.encode() not in content, path
    assert (outside / "kept").read_text() == "kept"
    assert (TARGET.data / "keys.json").exists() and pathlib.Path("/etc/passwd").exists()
    # The slot works for the next run, which finds nothing of it.
    assert (
        stdout(
            run('ls -A "$MILLRACE_ARTIFACTS_DIR" "$TMPDIR" 2>/dev/null | grep -v : | grep -v "^$"; true')
        ).strip()
        == ""
    )


def a_link_in_the_place_of_an_output_is_not_read():
    """Output above 64 KiB is a file; a link over it gives its target to nobody."""
    row = run("head -c 200000 /dev/zero | tr '\\0' x")
    assert row["status"] == "succeeded", row
    files = [
        path
        for path in (TARGET.data / "output").rglob("*")
        if path.is_file() and path.stat().st_size >= 200_000
    ]
    assert files, list((TARGET.data / "output").rglob("*"))
    for path in files:
        path.unlink()
        path.symlink_to("/etc/passwd")
    for stream in ("stdout", "stderr"):
        for more in ("", "&from=0&limit=100", "&from=150000"):
            status, _, answer = TARGET.client().request(
                "GET", f"/api/v1/executions/{row['id']}/output?stream={stream}{more}"
            )
            assert PASSWD not in str(answer), answer
            assert status in (200, 404, 410, 500), (status, answer)
    for path in files:
        path.unlink()


def pids_in(folder):
    return {int(text) for path in folder.glob("pid*") if (text := path.read_text().strip())}


def alive(pid):
    return start_time(pid) is not None


def the_tree_dies_with_its_run():
    """Children in the background, in a session of their own, with signals ignored, of children."""
    folder = TARGET.home / "tree"
    folder.mkdir()
    row = run(
        f'''cd {folder}
        (sleep 300 & echo $! >pid1; wait) &
        (trap "" TERM HUP INT; sleep 300 & echo $! >pid2; wait) &
        setsid sh -c 'echo $$ >pid3; sleep 300' &
        nohup sh -c 'echo $$ >pid4; sleep 300' >/dev/null 2>&1 &
        (sh -c 'sh -c "echo \\$\\$ >pid5; sleep 300" &' &)
        while [ $(cat pid* 2>/dev/null | wc -l) -lt 5 ]; do sleep 0.05; done''',
        action="probe.plain",
    )
    assert row["status"] == "succeeded", row
    assert len(pids_in(folder)) == 5
    until("the tree is gone", lambda: not any(map(alive, pids_in(folder))), 20)


def a_canceled_and_an_overdue_tree_die_too():
    for how in ("cancel", "timeout"):
        folder = TARGET.home / how
        folder.mkdir()
        script = f'trap "" TERM; cd {folder}; (trap "" TERM; sleep 300 & echo $! >pid1; wait) & echo $$ >pid2; sleep 300 & echo $! >pid3; wait; sleep 300'
        body = {
            "action": "probe.plain" if how == "cancel" else "probe.brief",
            "parameters": {"script": script},
        }
        row = TARGET.client().data("POST", "/api/v1/executions", body)
        until("it runs", lambda: len(pids_in(folder)) == 3)
        if how == "cancel":
            TARGET.client().data("POST", f"/api/v1/executions/{row['id']}/cancel")
        until(f"its tree is gone ({how})", lambda: not any(map(alive, pids_in(folder))), 60)
        done = TARGET.client().data("GET", f"/api/v1/executions/{row['id']}?wait=30s")
        assert done["status"] == {"cancel": "canceled", "timeout": "timeout"}[how], done


def after_the_spawners_death_runs_work():
    first = TARGET.spawners()
    assert len(first) == 1, first
    lost = TARGET.client().data(
        "POST", "/api/v1/executions", {"action": "core.local", "parameters": {"cmd": "sleep 300"}}
    )
    until(
        "it runs",
        lambda: TARGET.client().data("GET", f"/api/v1/executions/{lost['id']}")["status"] == "running",
    )
    os.kill(first[0][0], signal.SIGKILL)
    until("there is one spawner", lambda: len(TARGET.spawners()) == 1 and TARGET.spawners() != first)
    until(
        "the lost one is told of",
        lambda: TARGET.client().data("GET", f"/api/v1/executions/{lost['id']}")["status"]
        in ("needs_decision", "failed", "abandoned"),
    )
    # Not before: what is granted to a spawner that has just died is lost with it.
    assert stdout(run("echo again")).strip() == "again"


CASES = [
    it_inherits_three_descriptors,
    it_inherits_no_environment,
    what_a_caller_may_not_set_is_refused,
    an_argument_is_inert,
    what_is_left_in_artifacts_harms_nothing,
    a_link_in_the_place_of_an_output_is_not_read,
    the_tree_dies_with_its_run,
    a_canceled_and_an_overdue_tree_die_too,
    after_the_spawners_death_runs_work,
]

os.environ["CANARY"] = CANARY
os.environ["MILLRACE_CANARY_OF_TEST"] = CANARY
sys.exit(main(TARGET, CASES))
