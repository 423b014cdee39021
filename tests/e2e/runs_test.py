#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a run may do to the server, to others' runs and to the machine."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from harness import Server, binary, cloud_event, rule, run_cases, start_time, until

QUIET = {"log.level": "warn"}
NOBODY = 65534

SCRIPT_PACK = {
    "pack.yaml": "ref: shop\nversion: 1.0.0\n",
    "actions/sell.yaml": "name: sell\nrunner_type: shell\nentry_point: sell.sh\n",
    "actions/sell.sh": "#!/bin/sh\n. \"$(dirname \"$0\")/lib.sh\"\nsay sold\n",
    "actions/lib.sh": "say() { echo \"$1\"; }\n",
}


def write_pack(server, files, name="shop"):
    folder = server.home / name
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def staged(server, pack="shop"):
    """The one release of a pack."""
    return next(path for path in (server.data / "packs" / pack).iterdir() if path.suffix != ".new")


def start_run(server, action, parameters=None, **more):
    """(status, body) of POST /executions."""
    status, _, body = server.client().request(
        "POST", "/api/v1/executions", {"action": action, "parameters": parameters or {}, **more})
    return status, body


def result_of(server, action, parameters=None, **more):
    """The execution once it is over."""
    status, body = start_run(server, action, parameters, **more)
    assert status in (200, 201, 202), body
    execution = body["data"]["id"]
    over = ("succeeded", "failed", "timeout", "canceled", "needs_decision", "abandoned")
    return until(f"{action} is over", lambda: (
        lambda row: row if row["status"] in over else None)(
            server.client().data("GET", f"/api/v1/executions/{execution}")))


def refusal(server, action, parameters=None, expect=400, **more):
    status, body = start_run(server, action, parameters, **more)
    assert status == expect, (status, body)
    return json.dumps(body)


def doctor(server):
    run = subprocess.run([binary(), "doctor", "--data", str(server.data)], capture_output=True,
                         text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


# The memory of server and spawner


def own_user_may_read(pid, name, user):
    run = subprocess.run(["head", "-c", "1", f"/proc/{pid}/{name}"], capture_output=True,
                         timeout=60, cwd="/", user=user, group=user,
                         extra_groups=None if user is None else [])
    return b"Permission denied" not in run.stderr


def the_memory_of_server_and_spawner_is_theirs_and_a_run_is_as_open_as_any_process():
    user = NOBODY if os.geteuid() == 0 else None
    with Server(packs=(), settings=QUIET, user=user) as server:
        server.start()
        run = server.cli("run", "core.local", "cmd=echo $$; exec sleep 60", "--async").strip()
        client = server.client()
        until("it runs", lambda: client.data("GET", f"/api/v1/executions/{run}")["status"] == "running")
        spawner = server.spawners()[0][0]
        for pid in (server.pid(), spawner):
            for name in ("environ", "mem", "maps"):
                assert not own_user_may_read(pid, name, user), f"/proc/{pid}/{name} is open"
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            core = next(line for line in limits.splitlines() if line.startswith("Max core"))
            assert core.split()[4] == "0", core
        children = until("its process is there", lambda: pathlib.Path(
            f"/proc/{spawner}/task/{spawner}/children").read_text().split())
        until("a run may be looked at", lambda: own_user_may_read(children[0], "environ", user))
        assert server.cli("run", "core.local", "cmd=ulimit -Sc").strip() == "0"
        server.client().data("POST", f"/api/v1/executions/{run}/cancel", {})
        until("it ended", lambda: client.data("GET", f"/api/v1/executions/{run}")["status"] == "canceled")
        server.stop()


# The spawner's socket


def a_run_that_connects_to_the_spawner_takes_no_place_and_hears_nothing():
    steal = """import socket, sys
for said in [b"\\4\\0\\0\\0\\4", b""] + [bytes([37, 0, 0, 0, 6, 32, 0, 0, 0]) + b"x" * 32] * 20:
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(10)
    s.sendall(said)
    heard = s.recv(100)
    print(len(heard), flush=True)
"""
    with Server(packs=(), settings=QUIET) as server:
        server.start()
        thief = server.home / "thief.py"
        thief.write_text(steal)
        slow = server.cli("run", "core.local", "cmd=sleep 3; echo whole", "--async").strip()
        run = result_of(server, "core.local",
                        {"cmd": f"python3 {thief} {server.data}/run/spawner.sock", "timeout": 120})
        assert run["status"] == "succeeded", run
        heard = server.cli("execution", "logs", run["id"]).split()
        assert heard == ["0"] * 22, heard
        until("the other one is over", lambda: server.client().data(
            "GET", f"/api/v1/executions/{slow}")["status"] == "succeeded")
        assert server.cli("execution", "logs", slow) == "whole\n"
        assert not server.log_lines("worker.reconnected"), "the server lost its place"
        server.stop()


def the_next_server_takes_over_what_runs():
    with Server(packs=(), settings=QUIET) as server:
        server.start()
        run = server.cli("run", "core.local", "cmd=sleep 4; echo whole", "--async").strip()
        until("it runs", lambda: server.client().data(
            "GET", f"/api/v1/executions/{run}")["status"] == "running")
        spawner = server.spawners()
        server.kill()
        server.start()
        assert server.spawners() == spawner
        until("it is over", lambda: server.client().data(
            "GET", f"/api/v1/executions/{run}")["status"] == "succeeded")
        assert server.cli("execution", "logs", run) == "whole\n"
        server.stop()


def a_spawner_whose_data_folder_is_gone_leaves():
    with Server(packs=(), settings={**QUIET, "worker.linger_ms": 3_600_000}) as server:
        server.start()
        server.cli("run", "core.local", "cmd=sleep 1000", "--async")
        until("it runs", server.spawners)
        spawners = server.spawners()
        server.kill()
        shutil.rmtree(server.data)
        for pid, started in spawners:
            until("it left", lambda p=pid, s=started: start_time(p) != s)


# Staged releases


def changed_files(server):
    """Each file that a run may read, and what an attacker adds."""
    root = staged(server)
    return [root / "actions/sell.sh", root / "actions/lib.sh", root / "actions/sell.yaml",
            root / "pack.yaml", root / "actions/added.sh", None]


def spoil(server, number):
    root = staged(server)
    file = changed_files(server)[number]
    if file is None:
        (root / "actions/lib.sh").unlink()
    elif file.exists():
        file.chmod(0o755)
        text = file.read_text()
        stamp = file.stat()
        file.write_text(text.replace("s", "z", 1))
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # hides the time of change
    else:
        file.write_text("echo added\n")


def a_staged_file_that_was_changed_is_not_run_is_found_and_is_staged_anew():
    with Server(packs=()) as server:
        server.packs = (write_pack(server, SCRIPT_PACK),)
        server.start()
        until("it is sold", lambda: result_of(server, "shop.sell")["status"] == "succeeded")
        for number, _ in enumerate(changed_files(server)):
            spoil(server, number)
            run = result_of(server, "shop.sell")
            assert run["status"] == "failed" and "was changed" in json.dumps(run["result"]), run
            code, found = doctor(server)
            assert code == 1 and "broken pack shop" in found and "was changed" in found, found
            before = len(server.log_lines("packs.reloaded"))
            server.reload()
            until("it was reloaded", lambda b=before: len(server.log_lines("packs.reloaded")) > b)
            assert len(server.log_lines("release.changed")) == number + 1
            run = result_of(server, "shop.sell")
            assert run["status"] == "succeeded", run
            assert server.cli("execution", "logs", run["id"]) == "sold\n"
            assert doctor(server)[0] == 0
        # The same at a start, of the built-in pack too.
        spoil(server, 0)
        core = staged(server, "core") / "actions/local_script.sh"
        core.chmod(0o755)
        core.write_text("echo stolen\n")
        assert "broken pack core" in doctor(server)[1]
        server.stop()
        server.start()
        assert result_of(server, "shop.sell")["status"] == "succeeded"
        assert doctor(server)[0] == 0
        server.stop()


def a_changed_release_without_a_source_is_not_loaded():
    with Server(packs=()) as server:
        server.packs = (write_pack(server, SCRIPT_PACK),)
        server.start()
        server.stop()
        server.packs = ()
        spoil(server, 0)
        server.start()
        gone = server.log_lines("pack.gone")
        assert len(gone) == 1 and "was changed" in gone[0]["why"], gone
        assert start_run(server, "shop.sell")[0] == 404
        server.stop()
        server.packs = (server.home / "shop",)
        server.start()
        assert result_of(server, "shop.sell")["status"] == "succeeded"
        server.stop()


# Variables


STEERING = ["LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "BASH_FUNC_ls%%", "SHELLOPTS", "PATH", "IFS",
            "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "NODE_PATH", "PERL5LIB", "PERL5OPT",
            "RUBYOPT", "RUBYLIB", "GLIBC_TUNABLES", "GIT_SSH_COMMAND", "HOME", "JAVA_TOOL_OPTIONS"]


def a_caller_cannot_set_what_changes_the_interpreter():
    files = {
        "pack.yaml": "ref: shop\nversion: 1.0.0\n",
        "actions/own.yaml": "name: own\nrunner_type: local-shell-cmd\nparameters:\n"
                            "  cmd: {immutable: true, default: 'echo $PYTHONUTF8 $PERL5LIB'}\n"
                            "  env: {default: {PYTHONUTF8: 1, PERL5LIB: /opt/perl}}\n",
        "actions/flow.yaml": "name: flow\nrunner_type: workflow\nentry_point: workflows/flow.yaml\n"
                             "parameters: {name: {type: string}}\n",
        "actions/workflows/flow.yaml":
            "version: 1.0\ninput: [name]\ntasks:\n  one:\n    action: core.local\n"
            "    input: {cmd: 'true', env: \"<% dict(ctx(name) => '/x') %>\"}\n",
    }
    with Server(packs=(), settings=QUIET) as server:
        server.packs = (write_pack(server, files),)
        server.start()
        for name in STEERING:
            said = refusal(server, "core.local", {"cmd": "true"}, env={name: "/tmp/x"})
            assert "EXE-0009" in said and name in said and "worker.env_allowed" in said, said
            said = refusal(server, "core.local", {"cmd": "true", "env": {name: "/tmp/x"}})
            assert "EXE-0009" in said and f"parameters.env.{name}" in said, said
        run = result_of(server, "core.local", {"cmd": "echo $path $CITY $TEA", "env": {"path": "p"}},
                        env={"CITY": "Oslo", "TEA": "green"})
        assert server.cli("execution", "logs", run["id"]) == "p Oslo green\n"
        # What the pack's own file sets is the pack's; the same name with another value is not.
        run = result_of(server, "shop.own")
        assert server.cli("execution", "logs", run["id"]) == "1 /opt/perl\n", run
        assert "PERL5LIB" in refusal(server, "shop.own", {"env": {"PERL5LIB": "/tmp/x"}})
        # By the side doors: a step of a workflow, a rule.
        run = result_of(server, "shop.flow", {"name": "LD_PRELOAD"})
        assert run["status"] == "failed", run
        client = server.client()
        client.data("POST", "/api/v1/rules", rule(
            "shop.buy", "core.local", {"cmd": "true", "env": {"BASH_ENV": "{{ trigger.data.x }}"}},
            trigger_parameters={"type": "buy"}))
        event = client.data("POST", "/api/v1/events", json.dumps(
            cloud_event("shop", "1", "buy", {"x": "/tmp/x"})),
            {"Content-Type": "application/cloudevents+json"})["event"]
        enforced = client.data("GET", f"/api/v1/enforcements?event={event}")[0]
        assert not enforced.get("execution") and "BASH_ENV" in json.dumps(enforced), enforced
        server.stop()


def what_no_process_can_be_given_is_refused_at_the_border():
    """And of a step, whose parameters are known late, the error names the parameter."""
    files = {
        "pack.yaml": "ref: shop\nversion: 1.0.0\n",
        "actions/flow.yaml": "name: flow\nrunner_type: workflow\nentry_point: workflows/flow.yaml\n"
                             "parameters: {text: {type: string}}\n",
        "actions/workflows/flow.yaml":
            "version: 1.0\ninput: [text]\ntasks:\n  one:\n    action: core.local\n"
            "    input: {cmd: 'true', cwd: <% ctx(text) %>}\n",
    }
    with Server(packs=(), settings=QUIET) as server:
        server.packs = (write_pack(server, files),)
        server.start()
        for env in ({"A\0": "x"}, {"A=B": "x"}, {"": "x"}, {"A": "x\0y"}, {"A": 1},
                    {"A" * 60_000: "x" * 80_000}, {"A": "x" * 131_070}):
            said = refusal(server, "core.local", {"cmd": "true"}, env=env)
            assert "EXE-0009" in said, said
            said = refusal(server, "core.local", {"cmd": "true", "env": env}) if env != {"A": 1} else "/env"
            assert "/env" in said, said
        for parameters in ({"cwd": "/\0"}, {"cwd": "/" * 4096}, {"cmd": "a\0b"}, {"cmd": "x" * 131_072}):
            name = list(parameters)[-1]
            said = refusal(server, "core.local", {"cmd": "true", **parameters})
            assert f'"/{name}"' in said, said
        for parameters in ({"url": "http://h/\0"}, {"headers": {"A": "b\r\nC: d"}},
                           {"headers": {"A b": "c"}}):
            name = list(parameters)[-1]
            said = refusal(server, "core.http", {"url": "http://h/", **parameters})
            assert f'"/{name}"' in said, said
        fits = {"A": "x" * 131_069}
        assert result_of(server, "core.local", {"cmd": "echo ${#A}", "cwd": "/"}, env=fits)[
            "result"]["stdout"] == "131069"
        run = result_of(server, "shop.flow", {"text": "/a\0b"})
        assert run["status"] == "failed", run
        said = json.dumps(run)
        step = server.client().data("GET", f"/api/v1/executions?parent={run['id']}")
        assert "cwd" in said + json.dumps(step) and "NUL" in said + json.dumps(step), (run, step)
        server.stop()


def the_configuration_lets_names_through():
    settings = {**QUIET, "worker.env_allowed": "PATH,PYTHON*"}
    with Server(packs=(), settings=settings) as server:
        server.start()
        run = result_of(server, "core.local", {"cmd": "echo $PATH $PYTHONUTF8",
                                               "env": {"PATH": "/usr/bin:/bin"}},
                        env={"PYTHONUTF8": "1"})
        assert server.cli("execution", "logs", run["id"]) == "/usr/bin:/bin 1\n", run
        assert "LD_PRELOAD" in refusal(server, "core.local", {"cmd": "true"}, env={"LD_PRELOAD": "x"})
        server.stop()


# Limits


def limits_are_the_configurations_and_the_end_says_which_it_was():
    settings = {**QUIET, "worker.limits.processes": 20, "worker.limits.file_bytes": 1 << 20,
                "worker.limits.open_files": 50, "worker.limits.cpu_s": 1,
                "worker.limits.memory_bytes": 64 << 20}
    with Server(packs=(), settings=settings) as server:
        server.start()
        assert server.cli("run", "core.local", "cmd=ulimit -n; ulimit -t").split() == ["50", "1"]
        cases = {
            "processes": "for i in $(seq 40); do sleep 100 & done; wait",
            "file_bytes": "exec head -c 2000000 /dev/zero > big",
            "cpu_s": "while :; do :; done",
            "memory_bytes": "for i in 1 2 3; do python3 -c 'import time; x = bytearray(30000000);"
                            " time.sleep(100)' & done; wait",
        }
        for name, command in cases.items():
            run = result_of(server, "core.local", {"cmd": command})
            assert run["status"] == "failed", (name, run)
            assert f"worker.limits.{name}" in json.dumps(run), (name, run)
        assert result_of(server, "core.local", {"cmd": "true"})["status"] == "succeeded"
        server.stop()


# Secrets on command lines


def an_action_with_a_secret_at_a_position_loads_with_a_warning_and_is_not_run():
    files = {
        "pack.yaml": "ref: shop\nversion: 1.0.0\n",
        "actions/pay.yaml": "name: pay\nrunner_type: shell\nentry_point: pay.sh\nparameters:\n"
                            "  pin: {type: string, secret: true, position: 0}\n",
        "actions/pay.sh": "cat\n",
        "actions/look.yaml": "name: look\nrunner_type: shell\nentry_point: pay.sh\n",
    }
    with Server(packs=()) as server:
        folder = write_pack(server, files)
        server.packs = (folder,)
        check = [binary(), "pack", "check", str(folder)]
        run = subprocess.run(check, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0 and "warning" in run.stdout and "'pin'" in run.stdout, run.stdout
        assert "actions/pay.yaml:5" in run.stdout, run.stdout
        run = subprocess.run([*check, "--strict"], capture_output=True, text=True, timeout=60)
        assert run.returncode == 1, run.stdout
        server.start()
        warned = server.log_lines("action.secret_argument")
        assert len(warned) == 1 and warned[0]["action"] == "shop.pay", warned
        said = refusal(server, "shop.pay", {"pin": "4711-secret"}, expect=409)
        assert "EXE-0026" in said and "position" in said and "4711" not in said, said
        assert result_of(server, "shop.look")["status"] == "succeeded"
        (folder / "actions/pay.yaml").write_text(files["actions/pay.yaml"].replace(", position: 0", ""))
        server.reload()
        until("it was reloaded", lambda: server.log_lines("packs.reloaded"))
        assert result_of(server, "shop.pay", {"pin": "4711-secret"})["status"] == "succeeded"
        server.stop()


def no_pack_ends_a_running_server():
    broken = {
        "pack.yaml": [b"ref: odd\nversion: 1.0.0\n", b"\xff\xfe\x00", b"[" * 5000, b"", b"- a\n",
                      b"ref: odd\nversion: {}\n", b"ref: [x]\n", b"\0" * 100],
        "actions/a.yaml": [b"name: a\nrunner_type: shell\nentry_point: ../../../etc/passwd\n",
                           b"name: a\nrunner_type: shell\nentry_point: a.sh\noutput_format: [yaml]\n",
                           b"name: a\nrunner_type: shell\nentry_point: a.sh\ntimeout: 9223372036854775807\n",
                           b"name: a\nrunner_type: shell\nentry_point: a.sh\nparameters: [1]\n",
                           b"name: a\nparameters: {x: {type: [], enum: 3, position: 99999999999999}}\n"],
        "rules/r.yaml": [b"name: r\ntrigger: {type: core.crontimer, parameters: {expression: "
                         b"'*/2147483647 * * * *'}}\naction: {ref: core.noop}\n",
                         b"name: r\ntrigger: {type: core.st2.CronTimer, parameters: {day: "
                         b"'1/2147483647'}}\naction: {ref: core.noop}\n",
                         b"name: r\ntrigger: 3\naction: []\n"],
    }
    with Server(packs=()) as server:
        folder = write_pack(server, {"pack.yaml": "ref: odd\nversion: 1.0.0\n"}, "odd")
        server.packs = (folder,)
        server.start()
        for path, texts in broken.items():
            for text in texts:
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_bytes(text)
                run = subprocess.run([binary(), "pack", "check", str(folder)], capture_output=True,
                                     timeout=60)
                assert run.returncode in (0, 1, 2, 70), (path, text[:60], run)
                seen = len(server.log_lines("packs.reloaded") + server.log_lines("packs.not_reloaded"))
                server.reload()
                until("it has answered", lambda s=seen: len(
                    server.log_lines("packs.reloaded") + server.log_lines("packs.not_reloaded")) > s)
                assert server.alive(), (path, text[:60])
            (folder / path).unlink()
            (folder / "pack.yaml").write_text("ref: odd\nversion: 1.0.0\n")
        assert result_of(server, "core.local", {"cmd": "true"})["status"] == "succeeded"
        server.stop()


if __name__ == "__main__":
    sys.exit(run_cases([
        the_memory_of_server_and_spawner_is_theirs_and_a_run_is_as_open_as_any_process,
        a_run_that_connects_to_the_spawner_takes_no_place_and_hears_nothing,
        the_next_server_takes_over_what_runs,
        a_spawner_whose_data_folder_is_gone_leaves,
        a_staged_file_that_was_changed_is_not_run_is_found_and_is_staged_anew,
        a_changed_release_without_a_source_is_not_loaded,
        a_caller_cannot_set_what_changes_the_interpreter,
        what_no_process_can_be_given_is_refused_at_the_border,
        the_configuration_lets_names_through,
        limits_are_the_configurations_and_the_end_says_which_it_was,
        an_action_with_a_secret_at_a_position_loads_with_a_warning_and_is_not_run,
        no_pack_ends_a_running_server,
    ]))
