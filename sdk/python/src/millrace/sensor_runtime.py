# SPDX-License-Identifier: Apache-2.0
"""`python3 -m millrace.sensor_runtime`: runs one sensor.

The protocol stands in sdk/python/README.md. Threads: the sensor itself runs in the main thread (it
may set signal handlers, asyncio and eventlet look for it there); one thread reads stdin; one calls
what the server's lines ask for.
"""

from __future__ import annotations

# The originals, before a pack can patch them.
import os
import signal
import sys
import time
from _thread import allocate_lock, start_new_thread
from collections import deque
from typing import Any

_read = os.read
_write = os.write
_exit = os._exit

if __name__ == "__main__":
    _home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    if _home not in sys.path:
        sys.path.insert(0, _home)

from millrace import call as calls  # noqa: E402
from millrace import decorators, loading, logs, running, wire  # noqa: E402
from millrace.runtime import set_stackstorm_names, take_descriptor  # noqa: E402
from millrace.sensor_turns import TURNS, _real_sleep  # noqa: E402
from millrace.services import SensorService  # noqa: E402

GRACE_S = 10.0
# How often changes of triggers are looked for where eventlet has taken the threads.
_GREEN_PAUSE_S = 0.1
# How long `run` may take to return after cleanup.
_PASSIVE_END_S = 1.0


def say(text: str) -> None:
    """To stderr without `logging`: its locks may be green, and not this thread's."""
    _write(2, f"millrace.sensor_runtime: {text}\n".encode("utf-8", "replace"))


class Lines:
    """Lines in from stdin, lines out to the result descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        self._turn = allocate_lock()

    def read(self) -> dict[str, Any] | None:
        """The next line, None at the end."""
        while b"\n" not in self._buffer:
            part = _read(0, 1 << 16)
            if not part:
                return None
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        value = wire.loads(line)
        if not isinstance(value, dict):
            raise ValueError("expected one JSON object on each line")
        return value

    def write(self, line: dict[str, Any]) -> None:
        view = memoryview(wire.dumps(line) + b"\n")
        with self._turn:
            while view:
                view = view[_write(self._descriptor, view) :]


class Dispatcher:
    """Hands events to the server, and waits until it has each."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._turn = allocate_lock()
        self._last = 0
        self._waiting: dict[int, Any] = {}
        self._refused: dict[int, str] = {}

    def hand_over(self, trigger: str, payload: object, trace_tag: str | None) -> None:
        answered = allocate_lock()
        answered.acquire()
        with self._turn:
            self._last += 1
            seq = self._last
            self._waiting[seq] = answered
        line = {"type": "event", "seq": seq, "trigger": trigger, "payload": payload}
        if trace_tag:
            line["trace_tag"] = trace_tag
        try:
            self._lines.write(line)
        except BaseException:
            self._waiting.pop(seq, None)
            raise
        answered.acquire()
        refused = self._refused.pop(seq, None)
        if refused is not None:
            # StackStorm logs it, and the sensor goes on.
            say(f"event {seq} of trigger '{trigger}' was refused: {refused}")

    def answered(self, line: dict[str, Any]) -> None:
        seq = int(line.get("seq") or 0)
        lock = self._waiting.pop(seq, None)
        if lock is None:
            say(f"an answer to no event: {seq}")
            return
        if line["type"] == "nack":
            self._refused[seq] = str(line.get("error", ""))
        lock.release()


class FunctionSensor:
    """A function with @sensor, in the shape of StackStorm's classes."""

    def __init__(self, function: Any, service: Any, poll_interval: float | None) -> None:
        self._function = function
        self._service = service
        mark = function.__millrace__.poll_interval
        self._poll_interval = poll_interval if mark is not None and poll_interval else mark

    def run(self) -> None:
        while not TURNS.stopping:
            with TURNS:
                self._function(self._service)
            if self._poll_interval is None:
                return
            TURNS.wait(self._poll_interval)

    def nothing(self, *_: Any) -> None:
        pass

    setup = cleanup = add_trigger = update_trigger = remove_trigger = nothing


def patch_early(entry: str) -> None:
    """A sensor that patches with eventlet is patched before its imports: StackStorm's runner has
    patched all sensors before them, and eventlet asks every object that is there then."""
    try:
        with open(entry, "rb") as file:
            if b"monkey_patch(" not in file.read():
                return
        import eventlet
    except (OSError, ImportError):
        return  # what is missing is told when the file is loaded
    eventlet.monkey_patch()


def make_sensor(call: calls.Call, order: dict[str, Any], hand_over: Any) -> Any:
    entry = os.path.join(call.pack_path, "sensors", call.entry_point)
    loading.set_path(call.pack_path, "sensors", entry, list(sys.path))
    actions_lib = os.path.join(call.pack_path, "actions", "lib")
    if os.path.isdir(actions_lib):
        sys.path.append(actions_lib)
    patch_early(entry)
    module = loading.load_file(entry)
    class_name = calls.text(order, "class_name", "")
    poll_interval = order.get("poll_interval")
    function = decorators.find_marked(module, "sensor", class_name or call.action)
    if function is not None:
        service = SensorService(call, function.__millrace__.name, hand_over)
        return FunctionSensor(function, service, poll_interval)
    sensor_class = getattr(module, class_name, None)
    if sensor_class is None:
        raise LookupError(f"'{entry}' has no class '{class_name}'")
    given: dict[str, Any] = {
        "sensor_service": SensorService(call, class_name, hand_over),
        "config": call.config,
    }
    base = sys.modules.get("st2reactor.sensor.base")
    if poll_interval and base and issubclass(sensor_class, base.PollingSensor):
        given["poll_interval"] = poll_interval
    return sensor_class(**given)


class Runtime:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._dispatcher = Dispatcher(lines)
        self._changes: deque[dict[str, Any]] = deque()
        self._has_change = allocate_lock()
        self._has_change.acquire()
        self._reason = ""
        self._sensor: Any = None
        self._sensor_to_clean: Any = None
        self._cleaning = allocate_lock()
        self._ending = allocate_lock()
        self._grace_s = GRACE_S

    def run(self, order: dict[str, Any]) -> None:
        call = calls.Call(order)
        calls.begin(call)
        set_stackstorm_names(call)
        logs.sensor_logging(call.log_level)
        self._grace_s = float(order.get("grace_s") or GRACE_S)
        start_new_thread(self._read_lines, ())
        signal.signal(signal.SIGTERM, lambda *_: self._begin_stop("stop"))
        code = 0
        try:
            self._sensor = make_sensor(call, order, self._dispatcher.hand_over)
            self._sensor_to_clean = self._sensor
            self._sensor.setup()
            for trigger in order.get("triggers") or []:
                self._sensor.add_trigger(trigger)
            self._lines.write({"type": "ready"})
            self._start_changes()
            self._sensor.run()
            self._reason = self._reason or "returned"
        except SystemExit as stop:
            code = running.exit_code_of(stop.code)
            self._reason = self._reason or "exited"
        except BaseException as error:
            running.tell(error)
            code = 0 if self._reason else 1
            self._reason = self._reason or f"{type(error).__name__}: {running.message_of(error)}"
        self._begin_stop(self._reason)
        self._clean_up()
        self._end(code)

    def _read_lines(self) -> None:
        try:
            while True:
                line = self._lines.read()
                kind = "stop" if line is None else line.get("type")
                if kind in ("ack", "nack") and line is not None:
                    self._dispatcher.answered(line)
                elif kind in ("trigger_added", "trigger_updated", "trigger_removed"):
                    self._change(line)
                elif kind in ("stop", "config"):
                    self._begin_stop(str(kind))
                    if line is None:
                        return
                else:
                    say(f"a line of unknown type: {kind}")
        except Exception as error:
            say(f"stdin: {running.message_of(error)}")
            self._begin_stop("protocol")

    def _change(self, line: dict[str, Any] | None) -> None:
        if line is not None:
            self._changes.append(line)
        try:
            self._has_change.release()
        except RuntimeError:
            pass  # told already

    def _begin_stop(self, reason: str) -> None:
        """A poll that waits returns; a passive sensor's `run` ends when cleanup makes it. What
        takes longer than the grace is left where it is."""
        if TURNS.stopping:
            return
        self._reason = self._reason or reason
        TURNS.stop()
        start_new_thread(self._end_after_grace, ())
        self._change(None)

    def _end_after_grace(self) -> None:
        _real_sleep(self._grace_s)
        say(f"did not end within {self._grace_s:g} s")
        _exit(1)

    def _start_changes(self) -> None:
        patcher = sys.modules.get("eventlet.patcher")
        if patcher is not None and patcher.is_monkey_patched("thread"):
            sys.modules["eventlet"].spawn_n(self._green_changes)
        else:
            start_new_thread(self._thread_changes, ())

    def _thread_changes(self) -> None:
        while not TURNS.stopping:
            self._has_change.acquire()
            self._apply_changes()
        self._end_passive()

    def _green_changes(self) -> None:
        while not TURNS.stopping:
            time.sleep(_GREEN_PAUSE_S)
            self._apply_changes()
        self._end_passive()

    def _apply_changes(self) -> None:
        while self._changes:
            line = self._changes.popleft()
            name = {"added": "add", "updated": "update", "removed": "remove"}[
                str(line["type"])[len("trigger_") :]
            ]
            try:
                with TURNS if self._polls() else allocate_lock():
                    getattr(self._sensor, name + "_trigger")(line.get("trigger"))
            except Exception as error:
                running.tell(error)

    def _polls(self) -> bool:
        base = sys.modules.get("st2reactor.sensor.base")
        return base is not None and type(self._sensor).run is base.PollingSensor.run

    def _end_passive(self) -> None:
        """Its `run` returns when cleanup makes it, or never."""
        if self._polls():
            return
        self._clean_up()
        time.sleep(min(_PASSIVE_END_S, self._grace_s / 2))
        self._end(0)

    def _clean_up(self) -> None:
        """Once; who comes second waits until it is done."""
        with self._cleaning:
            sensor, self._sensor_to_clean = self._sensor_to_clean, None
            if sensor is None:
                return
            try:
                sensor.cleanup()
            except Exception as error:
                running.tell(error)

    def _end(self, code: int) -> None:
        """The first word is the last one. Threads that the sensor has left (a web server, a
        client) do not hold the process."""
        self._ending.acquire()
        self._lines.write({"type": "stopped", "reason": self._reason})
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        _exit(code)


def main() -> int:
    descriptor = take_descriptor("MILLRACE_RESULT_FD")
    lines = Lines(1 if descriptor is None else descriptor)
    try:
        order = lines.read()
        if order is None or order.get("type") != "start":
            raise ValueError("expected a line of type 'start' first")
        runtime = Runtime(lines)
    except ValueError as error:
        say(running.message_of(error))
        return 2
    runtime.run(order)
    return 0


if __name__ == "__main__":
    sys.exit(main())
