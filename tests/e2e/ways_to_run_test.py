#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kept processes, other machines by ssh, sudo, and packs in Attune's spelling, through the binary."""
import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

from harness import Server, run_cases, until

FILES = {
    "pack.yaml": "name: ways\nversion: 1.0.0\nreuse: process\n",
    "actions/kept.yaml": "name: kept\nrunner_type: python-script\nentry_point: kept.py\n"
                         "parameters:\n  word: {type: string}\n  secret: {type: string, secret: true}\n",
    "actions/kept.py": "import os, sys\n"
                       "from st2common.runners.base_action import Action\n"
                       "class Kept(Action):\n"
                       "    def run(self, word=None, secret=None):\n"
                       "        print(word)\n"
                       "        if word == 'exit': os._exit(5)\n"
                       "        seen = getattr(sys, 'seen', None)\n"
                       "        sys.seen = secret or seen\n"
                       "        return {'pid': os.getpid(), 'seen': seen,\n"
                       "                'run': os.environ['MILLRACE_EXEC_ID']}\n",
    "actions/alone.yaml": "name: alone\nrunner_type: python-script\nentry_point: kept.py\n"
                          "reuse: none\nparameters:\n  word: {type: string}\n"
                          "  secret: {type: string, secret: true}\n",
    "actions/root.yaml": "name: root\nrunner_type: local-shell-cmd\nparameters:\n"
                         "  cmd: {type: string, default: 'id -u', immutable: true}\n"
                         "  sudo: {type: boolean, default: true, immutable: true}\n",
    "actions/there.yaml": "name: there\nrunner_type: remote-shell-cmd\nparameters:\n"
                          "  cmd: {type: string, required: true}\n",
    "actions/bring.yaml": "name: bring\nrunner_type: remote-shell-script\nentry_point: bring.sh\n"
                          "parameters:\n  thing: {type: string}\n",
    "actions/bring.sh": "#!/bin/bash\necho \"{\\\"args\\\": \\\"$*\\\"}\"\n",
    "actions/windows.yaml": "name: windows\nrunner_type: winrm-cmd\nparameters:\n"
                            "  cmd: {type: string, default: dir}\n",
}

ATTUNES = {
    "pack.yaml": "ref: attuned\nlabel: Attuned\nversion: 1.0.0\n",
    "runtimes/shout.yaml":
        "ref: attuned.shout\npack_ref: attuned\nname: Shout\naliases: [loud]\nexecution_config:\n"
        "  interpreter: {binary: /bin/sh, args: ['-e'], file_extension: .sh}\n"
        "  environment:\n    env_type: other\n"
        "    create_command: [sh, -c, 'mkdir -p {env_dir}/bin && cp {interpreter} {env_dir}/bin/sh']\n"
        "    interpreter_path: '{env_dir}/bin/sh'\n"
        "  dependencies:\n    manifest_file: needs.txt\n"
        "    install_command: [cp, '{manifest_path}', '{env_dir}/installed']\n"
        "  env_vars:\n    NEEDS: '{env_dir}/installed'\n"
        "    PATH: {operation: prepend, value: '{pack_dir}/bin', separator: ':'}\n",
    "needs.txt": "tea\n",
    "actions/say.yaml": "ref: attuned.say\nlabel: Say\nrunner_type: LOUD\nentry_point: say.sh\n"
                        "permissions: [keys:read]\noutput_format: json\n",
    "actions/say.sh": "cat > /dev/null\n"
                      "[ -n \"$ATTUNE_API_TOKEN\" ] && [ \"$ATTUNE_API_URL\" = \"$MILLRACE_API_URL\" ]\n"
                      "printf '{\"action\": \"%s\", \"same\": %s, \"needs\": \"%s\", \"path\": \"%s\"}' "
                      "\"$ATTUNE_ACTION\" "
                      "\"$([ \"$ATTUNE_EXEC_ID\" = \"$MILLRACE_EXEC_ID\" ] && echo true)\" "
                      "\"$(cat $NEEDS)\" \"${PATH%%:*}\"\n",
    "actions/plain.yaml": "ref: attuned.plain\nlabel: P\nrunner_type: Shell\nentry_point: plain.sh\n"
                          "output_format: json\n",
    "actions/plain.sh": "printf '\"%s\"' \"$ATTUNE_PACK_REF\"\n",
}


def write(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def run(server, action, **parameters):
    return server.client().data("POST", "/api/v1/executions?wait=60s",
                                {"action": action, "parameters": parameters})


def server_of(files, **settings):
    server = Server(packs=(), settings=settings)
    server.packs = (write(server.home / "pack", files),)
    return server


def a_kept_process_serves_calls_that_know_the_same():
    with server_of(FILES).start() as server:
        def output(**parameters):
            done = run(server, "ways.kept", **parameters)
            assert done["status"] == "succeeded", done
            assert done["result"]["stdout"] == f"{parameters['word']}\n", done
            assert done["result"]["output"]["run"] == done["id"], done
            return done["result"]["output"]
        first, second = output(word="one"), output(word="two")
        assert first["pid"] == second["pid"], (first, second)
        secret = output(word="three", secret="canary-1234")
        assert secret["pid"] != first["pid"], "it knows more than the others"
        assert output(word="four")["seen"] is None
        alone = run(server, "ways.alone", word="five")
        assert alone["result"]["output"]["pid"] not in (first["pid"], secret["pid"]), alone
        gone = run(server, "ways.kept", word="exit")
        assert (gone["status"], gone["result"]["exit_code"]) == ("failed", 5), gone
        assert output(word="six")["pid"] != first["pid"]


def without_room_each_run_has_its_own_process():
    with server_of(FILES, **{"worker.warm.processes": 0}).start() as server:
        pids = {run(server, "ways.kept", word="x")["result"]["output"]["pid"] for _ in range(2)}
        assert len(pids) == 2, pids


def kept_processes_end_with_their_server():
    server = server_of(FILES, **{"worker.linger_ms": 100})
    with server.start():
        pid = run(server, "ways.kept", word="x")["result"]["output"]["pid"]
        assert pathlib.Path(f"/proc/{pid}").exists()
    until("it is gone", lambda: not pathlib.Path(f"/proc/{pid}").exists())


def kept_processes_end_with_a_spawner_that_is_killed():
    with server_of(FILES).start() as server:
        pid = run(server, "ways.kept", word="x")["result"]["output"]["pid"]
        (spawner, _), = server.spawners()
        os.kill(spawner, signal.SIGKILL)
        until("it is gone", lambda: not pathlib.Path(f"/proc/{pid}").exists())
        done = until("another serves", lambda: run(server, "ways.kept", word="y"))
        assert done["status"] == "succeeded", done


def sudo_is_off_and_says_how():
    with server_of(FILES).start() as server:
        done = run(server, "ways.root")
        assert done["status"] == "failed", done
        assert "worker.allow_sudo" in done["result"]["message"], done
        windows = run(server, "ways.windows")
        assert "not supported" in str(windows["result"]), windows


def sudo_runs_as_root_where_it_is_allowed():
    if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], check=False).returncode:
        print("     (no sudo here)")
        return
    with server_of(FILES, **{"worker.allow_sudo": "true"}).start() as server:
        done = run(server, "ways.root")
        assert (done["status"], done["result"]["stdout"]) == ("succeeded", "0"), done


def what_runs_elsewhere_answers_by_host():
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if not sshd:
        print("     (no sshd here)")
        return
    server = server_of(FILES)
    home = server.home
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kind, public = (home / "host.pub").read_text().split()[:2]
    (home / "known").write_text(f"[127.0.0.1]:{port},[localhost]:{port} {kind} {public}\n")
    (home / "sshd").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {home}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {home}/user.pub\nStrictModes no\nPermitRootLogin yes\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    daemon = subprocess.Popen([sshd, "-D", "-f", home / "sshd"])
    server.settings["worker.known_hosts"] = home / "known"
    try:
        with server.start():
            def there(action, **more):
                return run(server, action, port=port, private_key=(home / "user").read_text(),
                           username=getpass.getuser(), **{"hosts": "127.0.0.1,localhost", **more})
            until("sshd answers", lambda: there("ways.there", cmd="true")["status"] == "succeeded")
            done = there("ways.there", cmd="echo $A; pwd", env={"A": "tea"}, cwd="/usr")
            assert done["status"] == "succeeded", done
            for host in ("127.0.0.1", "localhost"):
                assert done["result"][host] == {
                    "stdout": "tea\n/usr", "stderr": "", "return_code": 0, "succeeded": True,
                    "failed": False}, done
            assert "PRIVATE KEY" not in str(done["result"])
            done = there("ways.bring", hosts="localhost", thing="a cup")
            assert done["result"]["localhost"]["stdout"] == {"args": "--thing=a cup"}, done
            done = there("ways.there", cmd="true", hosts="127.0.0.1,[::1]")
            assert done["status"] == "failed", done
            assert done["result"]["127.0.0.1"]["succeeded"], done
            slow = server.client().data("POST", "/api/v1/executions?wait=60s", {
                "action": "ways.there", "timeout_ms": 1000, "parameters": {
                    "cmd": "sleep 60", "hosts": "localhost", "port": port,
                    "username": getpass.getuser(), "private_key": (home / "user").read_text()}})
            assert slow["status"] == "timeout", slow
            rooms = list((server.data / "run").rglob("ssh-*"))
            assert not rooms, rooms
    finally:
        daemon.terminate()
        daemon.wait()


def attunes_packs_find_what_they_look_for():
    with server_of(ATTUNES).start() as server:
        done = run(server, "attuned.say")
        assert done["status"] == "succeeded", done
        said = done["result"]["output"]
        path = said.pop("path")
        assert said == {"action": "attuned.say", "same": True, "needs": "tea"}, done
        assert path.endswith(f"/packs/attuned/{done['release']}/bin"), path
        assert run(server, "attuned.plain")["result"]["output"] == "attuned"


if __name__ == "__main__":
    sys.exit(run_cases([
        a_kept_process_serves_calls_that_know_the_same,
        without_room_each_run_has_its_own_process,
        kept_processes_end_with_their_server,
        kept_processes_end_with_a_spawner_that_is_killed,
        sudo_is_off_and_says_how,
        sudo_runs_as_root_where_it_is_allowed,
        what_runs_elsewhere_answers_by_host,
        attunes_packs_find_what_they_look_for,
    ]))
