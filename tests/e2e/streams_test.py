# SPDX-License-Identifier: Apache-2.0
"""Standard streams that are closed, full or no file: nothing is written elsewhere, nothing ends, and
what cannot be read is no empty text."""

import os
import pathlib
import shutil
import subprocess

from harness import Server, binary, run_cases, until

SERVER = None
CLOSED = -100


def cli(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
    """As the shell starts it, with `0<&-` and its like for CLOSED."""
    closed = [number for number, given in enumerate((stdin, stdout, stderr)) if given == CLOSED]

    def close():
        for number in closed:
            os.close(number)

    given = [subprocess.DEVNULL if one == CLOSED else one for one in (stdin, stdout, stderr)]
    return subprocess.run([binary(), *words], stdin=given[0], stdout=given[1], stderr=given[2],
                          preexec_fn=close, timeout=60, check=False)


def nobody_has_to_listen():
    data = ["--data", str(SERVER.data)]
    for words in (("run", "core.noop", *data), ("run", "core.fail", *data), ("rule", "show", "no.such", *data),
                  ("rule", "list", "--bad"), ("pack", "check", "/no/such"), ("nonsense",)):
        expected = cli(*words).returncode
        assert expected >= 0
        assert cli(*words, stderr=CLOSED).returncode == expected, words
        with open("/dev/full", "wb") as full:
            assert cli(*words, stderr=full).returncode == expected, words


def what_cannot_be_read_is_no_empty_text():
    data = ["--data", str(SERVER.data)]
    SERVER.client().data("PUT", "/api/v1/keys/system/kept", {"value": "kept"})
    words = ("key", "set", "kept", "--file", "-", *data)
    folder = os.open("/", os.O_RDONLY)
    for stdin in (CLOSED, folder):
        done = cli(*words, stdin=stdin)
        assert done.returncode == 2 and b"stdin cannot be read" in done.stderr, done
    os.close(folder)
    assert SERVER.client().data("GET", "/api/v1/keys/system/kept")["value"] == "kept"
    done = cli("rule", "create", "--file", "-", *data, stdin=CLOSED)
    assert done.returncode == 2 and b"stdin cannot be read" in done.stderr, done


def yaml_may_come_from_stdin():
    rule = b"ref: from.stdin\ntrigger: {ref: core.cloudevent}\naction: {ref: core.noop}\n"
    reading, writing = os.pipe()
    os.write(writing, rule)
    os.close(writing)
    done = cli("rule", "create", "--file", "-", "--data", str(SERVER.data), stdin=reading)
    os.close(reading)
    assert done.returncode == 0, done
    assert SERVER.client().data("GET", "/api/v1/rules/from.stdin")["enabled"]


def no_file_of_a_server_gets_the_number_of_a_stream():
    with Server(packs=()) as server:
        process = subprocess.Popen(server.command(), preexec_fn=lambda: os.closerange(0, 3))
        try:
            url = server.data / "url"
            until("the server has told its address", url.exists)
            for number in range(3):
                found = os.readlink(f"/proc/{process.pid}/fd/{number}")
                assert found == "/dev/null", (number, found)
            until("it answers", lambda: cli("run", "core.noop", "--data", str(server.data)).returncode == 0)
        finally:
            process.terminate()
            code = process.wait(60)
            assert code == 0, code
        strays = [path for path in pathlib.Path(server.data).rglob("*")
                  if path.is_file() and b'"event":"server.ready"' in path.read_bytes()]
        assert not strays, strays


def a_backup_tells_what_is_missing_to_nobody():
    with Server().start() as server:
        server.stop()
        shutil.rmtree(server.data / "packs")
        with open("/dev/full", "wb") as full:
            for name, stderr in (("closed", CLOSED), ("full", full)):
                done = cli("backup", str(server.home / name), "--data", str(server.data), stderr=stderr)
                assert done.returncode == 0, done


def main():
    global SERVER
    with Server(packs=()).start() as server:
        SERVER = server
        return run_cases([nobody_has_to_listen, what_cannot_be_read_is_no_empty_text,
                          yaml_may_come_from_stdin, no_file_of_a_server_gets_the_number_of_a_stream,
                          a_backup_tells_what_is_missing_to_nobody])


if __name__ == "__main__":
    raise SystemExit(main())
