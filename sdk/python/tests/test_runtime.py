# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from child import SRC, environment, order_for, run, write_pack

ACTION = """
from millrace import action

@action
def f(a=1):
    return a
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "tried", {"actions/a.py": ACTION})


def test_by_module_and_by_path_are_the_same(pack: Path) -> None:
    for module in (False, True):
        assert run(order_for(pack, parameters={"a": [1]}), module=module).result == [1]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (b"", "Expecting value"),
        (b"[1]", "expected one JSON object"),
        (b'{"parameters": 5}', "order: 'parameters' is no map"),
        (b'{"pack_path": 5}', "order: 'pack_path' is no text"),
        (b'{"a": 1} x', "Extra data"),
        (b"\xff", "can't decode"),
    ],
)
def test_a_bad_order(order: bytes, message: str) -> None:
    ended = run(order)
    assert (ended.exit_code, ended.status) == (2, "failed")
    assert message in ended.frame["error"]["message"]
    assert message in ended.stderr


def test_without_a_descriptor_the_frame_goes_to_stdout(pack: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SRC / "millrace/runtime.py")],
        input=json.dumps(order_for(pack)).encode(), capture_output=True, env=environment(),
        check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"status": "succeeded", "result": 1}


def test_the_caller_s_folder_is_no_place_for_imports(pack: Path, tmp_path: Path) -> None:
    write_pack(tmp_path / "cwd", {"json.py": "raise SystemExit(9)", "logging.py": "1 / 0"})
    write_pack(pack, {"actions/a.py": "import json, logging\n" + ACTION})
    before = os.getcwd()
    os.chdir(tmp_path / "cwd")
    try:
        for module in (False, True):
            assert run(order_for(pack), module=module).result == 1
    finally:
        os.chdir(before)


def test_an_empty_action_imports_little(pack: Path) -> None:
    """What makes a start slow: none of these is needed before an action asks for it."""
    source = "import sys\n" + ACTION.replace("return a", "return sorted(sys.modules)")
    write_pack(pack, {"actions/a.py": source})
    slow = {"json", "logging", "re", "typing", "importlib.util", "urllib.request", "traceback"}
    assert slow & set(run(order_for(pack)).result) - set(_there_anyway()) == set()


def _there_anyway() -> list[str]:
    code = "import sys; print(*sys.modules)"
    return subprocess.check_output(
        [sys.executable, "-c", code], env=environment(), text=True
    ).split()
