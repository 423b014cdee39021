# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from child import order_for, write_pack
from worker import Warm

BASE = "from st2common.runners.base_action import Action\n"
PROBE = """
import os, signal, subprocess, sys, threading, time
from st2common.runners.base_action import Action

SEEN = []

class A(Action):
    def run(self, do):
        exec(do, globals())
        return SEEN
"""


@pytest.fixture
def warm() -> Iterator[Warm]:
    made = Warm()
    yield made
    made.close()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "tried", {"actions/a.py": PROBE})


def calling(pack: Path, reuse: str, do: str, **more: Any) -> dict[str, Any]:
    return order_for(pack, parameters={"do": do}, reuse=reuse, id="1", **more)


BOTH = pytest.mark.parametrize("reuse", ["fork", "process"])


@BOTH
def test_output_and_result_go_to_the_descriptors_of_each_call(
    warm: Warm, pack: Path, reuse: str
) -> None:
    for word in ("one", "two"):
        do = f"print('{word}'); os.write(2, b'{word}'); subprocess.call(['echo', 'child'])"
        ended = warm.call(calling(pack, reuse, do))
        assert ended["stdout"] == f"{word}\nchild\n".encode()
        assert ended["stderr"] == word.encode()
        assert ended["frame"] == {"status": "succeeded", "result": []}
        assert (ended["exit_code"], ended["recycle"]) == (0, None)
    assert warm.close() == 0


def test_a_result_may_come_with_the_end(warm: Warm, pack: Path) -> None:
    for word in ("one", "t\nwo"):
        do = f"print('x'); SEEN[:] = [{word!r} * 100_000]"
        ended = warm.call(calling(pack, "process", do, inline_result=True))
        assert ended["frame"] == {"status": "succeeded", "result": [word * 100_000]}
        assert (ended["stdout"], ended["exit_code"], ended["recycle"]) == (b"x\n", 0, None)
    assert warm.call(calling(pack, "process", "SEEN.clear()"))["frame"]["result"] == []


@BOTH
def test_exit_codes_and_failures(warm: Warm, pack: Path, reuse: str) -> None:
    assert warm.call(calling(pack, reuse, "sys.exit(7)"))["exit_code"] == 7
    failed = warm.call(calling(pack, reuse, "raise KeyError('x')"))
    assert failed["exit_code"] == 1
    assert failed["frame"]["error"] == {"type": "KeyError", "message": "'x'"}
    assert b"KeyError: 'x'" in failed["stderr"]


@BOTH
def test_a_call_leaves_nothing_of_its_surroundings(warm: Warm, pack: Path, reuse: str) -> None:
    """Environment, folder, path, arguments, handlers, streams, mask, timers."""
    leave = (
        "os.environ['CANARY'] = 'c'; os.chdir('/tmp'); sys.path.insert(0, '/canary');"
        "sys.argv.append('canary'); signal.signal(signal.SIGUSR1, lambda *_: None);"
        "sys.stdout = open(os.devnull, 'w'); os.umask(0o777); signal.alarm(1);"
        "sys.excepthook = print"
    )
    look = (
        "SEEN[:] = [os.environ.get('CANARY'), os.getcwd(), '/canary' in sys.path, sys.argv[1:],"
        "signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL, os.umask(0o22) == 0o777,"
        "signal.alarm(0), sys.excepthook is sys.__excepthook__]; print('shown')"
    )
    before = warm.call(calling(pack, reuse, look))
    warm.call(calling(pack, reuse, leave))
    after = warm.call(calling(pack, reuse, look))
    assert after["frame"]["result"] == before["frame"]["result"]
    assert after["frame"]["result"][0] is None
    assert after["stdout"] == b"shown\n"


@BOTH
def test_a_call_has_its_own_environment_and_folder(warm: Warm, pack: Path, reuse: str) -> None:
    look = "SEEN[:] = [os.environ.get('SECRET'), os.environ.get('LANG'), os.getcwd()]"
    given = warm.call(calling(pack, reuse, look, env={"SECRET": "s"}, cwd="/tmp"))
    assert given["frame"]["result"] == ["s", None, "/tmp"]
    without = warm.call(calling(pack, reuse, look))
    assert without["frame"]["result"] == [None, "C.UTF-8", "/"]


def test_fork_leaves_no_globals(warm: Warm, pack: Path) -> None:
    for _ in range(2):
        ended = warm.call(calling(pack, "fork", "SEEN.append(1)", preload=True))
        assert ended["frame"]["result"] == [1]


def test_process_keeps_the_module(warm: Warm, pack: Path) -> None:
    lengths = [len(warm.call(calling(pack, "process", "SEEN.append(1)"))["frame"]["result"])
               for _ in range(3)]  # fmt: skip
    assert lengths == [1, 2, 3]


@BOTH
def test_children_that_are_left_are_killed(
    warm: Warm, pack: Path, reuse: str, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    do = (
        "subprocess.Popen(['setsid', 'sh', '-c', 'sleep 100 & echo $! > " + str(note) + "; wait'],"
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); time.sleep(0.3)"
    )
    ended = warm.call(calling(pack, reuse, do))
    left = int(note.read_text())
    if reuse == "process":
        assert ended["recycle"] == "children were left"
        assert warm.close() == 0
    else:
        assert ended["recycle"] is None
    assert gone(left)


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_thread_that_is_left_ends_the_process(warm: Warm, pack: Path) -> None:
    do = "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()"
    assert warm.call(calling(pack, "process", do))["recycle"] == "threads were left"
    assert warm.answer() is None
    assert warm.close() == 0


def test_fork_runs_exit_handlers_and_waits_for_threads(warm: Warm, pack: Path) -> None:
    do = (
        "import atexit; atexit.register(print, 'handler');"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()"
    )
    assert warm.call(calling(pack, "fork", do))["stdout"] == b"thread\nhandler\n"


def test_fork_tells_the_child_and_its_signal(warm: Warm, pack: Path) -> None:
    pipes = [os.pipe() for _ in range(3)]
    warm.send(calling(pack, "fork", "time.sleep(100)"), [writes for _, writes in pipes])
    started = warm.answer()
    assert started is not None
    assert started["state"] == "started"
    os.kill(started["pid"], 9)
    assert warm.answer() == {
        "id": "1", "state": "ended", "exit_code": None, "signal": 9, "recycle": None,
    }  # fmt: skip
    for pipe in pipes:
        for each in pipe:
            os.close(each)


def test_os_exit_in_process_ends_the_process(warm: Warm, pack: Path) -> None:
    pipes = [os.pipe() for _ in range(3)]
    warm.send(calling(pack, "process", "os._exit(5)"), [writes for _, writes in pipes])
    assert warm.answer() is None
    assert warm.process.wait(10) == 5
    for pipe in pipes:
        for each in pipe:
            os.close(each)


def test_a_large_order(warm: Warm, pack: Path) -> None:
    do = "SEEN[:] = [len(self.config['big'])]"
    ended = warm.call(calling(pack, "process", do, config={"big": "x" * 3_000_000}))
    assert ended["frame"]["error"]["type"] == "NameError"  # exec has the module's names alone
    do = "SEEN[:] = [1]"
    ended = warm.call(calling(pack, "process", do, config={"big": "x" * 3_000_000}))
    assert ended["frame"]["result"] == [1]


def test_a_bad_order_ends_the_process(warm: Warm) -> None:
    warm.socket.sendall(b"\0\0\0\2[]")
    assert warm.answer() is None
    assert warm.process.wait(10) == 2


@BOTH
def test_no_descriptor_is_left(warm: Warm, pack: Path, reuse: str) -> None:
    def count() -> int:
        return len(os.listdir(f"/proc/{warm.process.pid}/fd"))

    warm.call(calling(pack, reuse, "pass"))
    before = count()
    for _ in range(5):
        warm.call(calling(pack, reuse, "sys.exit(1)"))
    assert count() == before
