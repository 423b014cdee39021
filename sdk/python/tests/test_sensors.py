# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from child import SRC, TIMEOUT_S, environment, write_pack
from fake_api import FakeApi

METHODS = """
    def setup(self):
        self.sensor_service.get_logger(name="s").info("setup")
    def cleanup(self):
        self._sensor_service.get_logger("s").info("cleanup")
    def add_trigger(self, trigger):
        self._sensor_service.dispatch("t.added", trigger)
    def update_trigger(self, trigger):
        self.sensor_service.dispatch(trigger="t.updated", payload=trigger)
    def remove_trigger(self, trigger):
        self.sensor_service.dispatch(trigger="t.removed", payload=trigger)
"""
POLLING = f"""
from st2reactor.sensor.base import PollingSensor

class S(PollingSensor):
    def __init__(self, sensor_service, config=None, poll_interval=5):
        super().__init__(sensor_service=sensor_service, config=config, poll_interval=poll_interval)
        self.polls = 0
{METHODS}
    def poll(self):
        self.polls += 1
        self.sensor_service.dispatch("t.polled", {{"n": self.polls, "config": self._config,
                                                  "every": self.get_poll_interval()}}, "tag")
        if self.polls == 2:
            self.set_poll_interval(100)
"""
PASSIVE = f"""
import threading
from st2reactor.sensor.base import Sensor

class S(Sensor):
    def __init__(self, sensor_service, config):
        super().__init__(sensor_service, config)
        self.over = threading.Event()
{METHODS.replace('info("cleanup")', 'info("cleanup"); self.over.set()')}
    def run(self):
        self.sensor_service.dispatch_with_context("t.ran", {{}}, {{"trace_tag": "x"}})
        self.over.wait()
"""


class Sensor:
    """The worker's side."""

    def __init__(
        self, folder: Path, source: str, env: dict[str, str] | None = None, **order: Any
    ) -> None:
        pack = write_pack(folder / "tried", {"sensors/s.py": source, **order.pop("files", {})})
        reads, writes = os.pipe()
        self.lines = reads
        self.buffer = b""
        self.child = subprocess.Popen(
            [sys.executable, "-u", str(SRC / "millrace/sensor_runtime.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[writes],
            env={**environment(**(env or {})), "MILLRACE_RESULT_FD": str(writes)},
        )
        os.close(writes)
        self.tell(
            type="start", pack="tried", pack_path=str(pack), entry_point="s.py", class_name="S",
            **order,
        )  # fmt: skip

    def tell(self, **line: Any) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(line).encode() + b"\n")
        self.child.stdin.flush()

    def next(self, answer: str | None = "ack", **more: Any) -> Any:
        """The next line; an event is answered."""
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.lines], [], [], TIMEOUT_S)
            assert ready, "nothing came"
            part = os.read(self.lines, 1 << 16)
            assert part, "it has ended: " + self.end()[1]
            self.buffer += part
        text, _, self.buffer = self.buffer.partition(b"\n")
        line = json.loads(text)
        if line["type"] == "event" and answer:
            self.tell(type=answer, seq=line["seq"], **more)
        return line

    def is_quiet(self, seconds: float = 0.3) -> bool:
        return not self.buffer and not select.select([self.lines], [], [], seconds)[0]

    def end(self) -> tuple[int, str]:
        _, err = self.child.communicate(timeout=TIMEOUT_S)
        os.close(self.lines)
        return self.child.returncode, err.decode()


def test_a_polling_sensor_polls_dispatches_and_stops(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, POLLING, poll_interval=0.05, config={"a": 1})
    assert sensor.next() == {"type": "ready"}
    first = sensor.next()
    assert first == {
        "type": "event", "seq": 1, "trigger": "t.polled", "trace_tag": "tag",
        "payload": {"n": 1, "config": {"a": 1}, "every": 0.05},
    }  # fmt: skip
    assert sensor.next()["payload"]["n"] == 2
    # Now it waits for 100 s; a stop wakes it.
    start = time.monotonic()
    sensor.tell(type="stop")
    assert sensor.next() == {"type": "stopped", "reason": "stop"}
    code, err = sensor.end()
    assert code == 0
    assert time.monotonic() - start < 5
    assert err == (
        "SensorWrapper.tried.S.s: INFO     setup\nSensorWrapper.tried.S.s: INFO     cleanup\n"
    )


def test_a_dispatch_waits_for_its_answer(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, POLLING, poll_interval=0.01)
    sensor.next()
    event = sensor.next(answer=None)
    assert sensor.is_quiet()
    sensor.tell(type="ack", seq=event["seq"])
    assert sensor.next()["seq"] == event["seq"] + 1
    sensor.tell(type="stop")
    sensor.end()


def test_a_refused_event_is_logged_and_the_sensor_goes_on(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, POLLING, poll_interval=0.01)
    sensor.next()
    sensor.next(answer="nack", error="no such trigger")
    assert sensor.next()["payload"]["n"] == 2
    sensor.tell(type="stop")
    _, err = sensor.end()
    assert "event 1 of trigger 't.polled' was refused: no such trigger" in err


def test_triggers_come_and_go(tmp_path: Path) -> None:
    given = {"ref": "t.x", "parameters": {"file": "/a"}}
    sensor = Sensor(tmp_path, PASSIVE, triggers=[given])
    assert (sensor.next()["trigger"], sensor.next()["type"]) == ("t.added", "ready")
    ran = sensor.next()
    assert (ran["trigger"], ran["trace_tag"]) == ("t.ran", "x")
    for kind in ("added", "updated", "removed"):
        sensor.tell(type="trigger_" + kind, trigger=given)
        event = sensor.next()
        assert (event["trigger"], event["payload"]) == ("t." + kind, given)
    sensor.tell(type="stop")
    assert sensor.next() == {"type": "stopped", "reason": "stop"}
    assert sensor.end()[0] == 0


def test_the_end_of_stdin_is_a_stop(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, PASSIVE)
    sensor.next()
    sensor.next()
    assert sensor.child.stdin is not None
    sensor.child.stdin.close()
    assert sensor.next()["reason"] == "stop"
    assert sensor.child.wait(TIMEOUT_S) == 0


def test_sigterm_is_a_stop(tmp_path: Path) -> None:
    for source in (PASSIVE, POLLING.replace("self.polls == 2", "True")):
        sensor = Sensor(tmp_path / source[:30].strip().replace(" ", ""), source)
        sensor.next()
        sensor.next()
        sensor.child.terminate()
        assert sensor.next()["reason"] == "stop"
        code, err = sensor.end()
        assert (code, "cleanup" in err) == (0, True)


def test_another_configuration_ends_it_to_be_started_again(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, PASSIVE)
    sensor.next()
    sensor.next()
    sensor.tell(type="config", config={"b": 2})
    assert sensor.next() == {"type": "stopped", "reason": "config"}
    assert sensor.end()[0] == 0


def test_a_passive_sensor_that_never_returns_is_ended_after_its_cleanup(tmp_path: Path) -> None:
    source = PASSIVE.replace("self.over.wait()", "import time; time.sleep(1000)")
    sensor = Sensor(tmp_path, source, grace_s=1)
    sensor.next()
    sensor.next()
    sensor.tell(type="stop")
    assert sensor.next()["reason"] == "stop"
    code, err = sensor.end()
    assert (code, "cleanup" in err) == (0, True)


def test_what_takes_longer_than_the_grace_is_left(tmp_path: Path) -> None:
    source = POLLING.replace("if self.polls == 2:", "import time; time.sleep(1000)\n        if 0:")
    sensor = Sensor(tmp_path, source, grace_s=0.2)
    sensor.next()
    sensor.next()
    sensor.tell(type="stop")
    code, err = sensor.end()
    assert code == 1
    assert "did not end within 0.2 s" in err


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (POLLING.replace("self.polls += 1", "1 / 0"), "ZeroDivisionError: division by zero"),
        ("import not_there\n", "ModuleNotFoundError: No module named 'not_there'"),
        ("x = 1\n", "has no class 'S'"),
    ],
)
def test_an_error_ends_it(tmp_path: Path, source: str, reason: str) -> None:
    sensor = Sensor(tmp_path, source)
    line = sensor.next()
    while line["type"] != "stopped":
        line = sensor.next()
    assert reason in line["reason"]
    code, err = sensor.end()
    assert (code, "Traceback" in err) == (1, True)


def test_a_first_line_that_is_no_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SRC / "millrace/sensor_runtime.py")],
        input=b'{"type": "stop"}\n', capture_output=True, env=environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, b"'start'" in done.stderr) == (2, True)


def test_keys_of_a_sensor(tmp_path: Path, api: FakeApi) -> None:
    poll = """
        service = self.sensor_service
        service.set_value("n", 1, ttl=60)
        service.set_value("all", 2, local=False)
        self.sensor_service.dispatch("t.k", [service.get_value("n"),
            service.get_value("all", local=False), [k.name for k in service.list_values()],
            service.delete_value("n"), service.get_value("n"),
            service.get_user_info()["username"]])
"""
    source = POLLING.replace("        self.polls += 1\n", poll)
    sensor = Sensor(tmp_path, source, api.env)
    sensor.next()
    assert sensor.next()["payload"] == ["1", "2", ["tried.S:n"], True, None, "ann"]
    sensor.tell(type="stop")
    sensor.end()
    assert api.keys["system", "all"]["value"] == "2"


def test_functions_as_sensors(tmp_path: Path) -> None:
    source = """
        from millrace import sensor

        @sensor(poll_interval=0.01)
        def look(service):
            service.dispatch("t.looked", service.config)
    """
    sensor = Sensor(tmp_path, source, config={"a": 1})
    assert sensor.next()["type"] == "ready"
    assert sensor.next()["payload"] == {"a": 1}
    assert sensor.next()["seq"] == 2
    sensor.tell(type="stop")
    assert sensor.end()[0] == 0


def test_eventlet_patches_before_what_the_sensor_imports(tmp_path: Path) -> None:
    """It looks at every object that there is, and some do not let themselves be looked at."""
    pytest.importorskip("eventlet")
    touchy = """
        import eventlet

        class Touchy:
            @property
            def __class__(self):
                raise RuntimeError("touched")

        TOUCHY = Touchy()
        eventlet.monkey_patch()
    """
    sensor = Sensor(tmp_path, textwrap.dedent(touchy) + PASSIVE)
    assert sensor.next() == {"type": "ready"}
    sensor.tell(type="stop")
    sensor.end()


@pytest.mark.parametrize("base", [POLLING, PASSIVE])
def test_eventlet_does_not_break_the_protocol(tmp_path: Path, base: str) -> None:
    pytest.importorskip("eventlet")
    source = "import eventlet\neventlet.monkey_patch()\n" + base
    sensor = Sensor(tmp_path, source, poll_interval=0.05, triggers=[{"ref": "t.x"}])
    assert sensor.next()["trigger"] == "t.added"
    assert sensor.next()["type"] == "ready"
    assert sensor.next()["trigger"] in ("t.polled", "t.ran")
    sensor.tell(type="trigger_added", trigger={"ref": "t.y"})
    line = sensor.next()
    while line["trigger"] != "t.added":
        line = sensor.next()
    assert line["payload"] == {"ref": "t.y"}
    sensor.tell(type="stop")
    line = sensor.next()
    while line["type"] != "stopped":
        line = sensor.next()
    assert sensor.end()[0] == 0
