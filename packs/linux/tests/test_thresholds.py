# SPDX-License-Identifier: Apache-2.0
import json
import os
import pathlib
import socket
import subprocess
import sys
import unittest
from unittest import mock

import facts
import millrace
import thresholds
from millrace import Failed
from millrace.call import Call, begin
from st2tests.base import BaseSensorTestCase

PACK = pathlib.Path(__file__).resolve().parents[1]
RUNTIME = pathlib.Path(millrace.__file__).parent / "sensor_runtime.py"


class Thresholds(BaseSensorTestCase):
    sensor_cls = thresholds.thresholds

    def setUp(self):
        super().setUp()
        self.used, self.names, self.states = 50, ["nginx"], {"web": "active"}
        for name, fake in (
            ("disk", lambda path: {"used_percent": self.used}),
            ("processes", lambda: [{"name": each} for each in self.names]),
            ("service", self.service),
        ):
            patched = mock.patch.object(facts, name, fake)
            patched.start()
            self.addCleanup(patched.stop)
        self.configure(disks=[{"path": "/", "percent": 90}], services=["web"],
                       processes=[{"name": "nginx", "least": 1, "most": 2}])
        self.addCleanup(begin, None)
        self.addCleanup(thresholds.told.clear)

    def service(self, name):
        if name not in self.states:
            raise Failed(f"there is no unit '{name}'")
        return {"state": self.states[name]}

    def configure(self, **config):
        begin(Call({"action": "linux.thresholds", "config": config, "log_level": "CRITICAL"}))

    def look(self):
        """What was told by one look."""
        before = len(self.get_dispatched_triggers())
        thresholds.thresholds(self.sensor_service)
        return [tuple(each["payload"][name] for name in ("kind", "subject", "ok", "found"))
                for each in self.get_dispatched_triggers()[before:]]

    def test_what_is_well_is_not_told(self):
        self.assertEqual(self.look(), [])

    def test_each_crossing_is_told_once_and_so_is_the_way_back(self):
        self.used = 90.1
        self.assertEqual(self.look(), [("disk", "/", False, 90.1)])
        self.used = 99
        self.assertEqual(self.look(), [])
        self.used = 90
        self.assertEqual(self.look(), [("disk", "/", True, 90)])

    def test_processes_may_be_too_few_and_too_many(self):
        self.names = []
        self.assertEqual(self.look(), [("process", "nginx", False, 0)])
        self.names = ["nginx"] * 2
        self.assertEqual(self.look(), [("process", "nginx", True, 2)])
        self.names = ["nginx"] * 3
        self.assertEqual(self.look(), [("process", "nginx", False, 3)])

    def test_a_service_that_is_not_active_is_told(self):
        self.states["web"] = "failed"
        self.assertEqual(self.look(), [("service", "web", False, "failed")])

    def test_what_cannot_be_read_does_not_hide_the_others(self):
        self.configure(services=["gone", "web"])
        self.states["web"] = "inactive"
        self.assertEqual(self.look(), [("service", "web", False, "inactive")])


class InItsOwnProcess(unittest.TestCase):
    def test_it_runs_as_the_server_runs_a_sensor(self):
        reads, writes = os.pipe()
        child = subprocess.Popen(
            [sys.executable, "-u", str(RUNTIME)], stdin=subprocess.PIPE, pass_fds=[writes],
            env={"PATH": os.environ["PATH"], "MILLRACE_RESULT_FD": str(writes)}, text=True)
        os.close(writes)
        start = {"type": "start", "pack": "linux", "pack_path": str(PACK),
                 "entry_point": "thresholds.py", "class_name": "thresholds", "poll_interval": 30,
                 "config": {"processes": [{"name": "no such process", "least": 1}]}}
        child.stdin.write(json.dumps(start) + "\n")
        child.stdin.flush()
        with os.fdopen(reads) as lines:
            self.assertEqual(json.loads(lines.readline()), {"type": "ready"})
            event = json.loads(lines.readline())
            self.assertEqual(event["trigger"], "linux.threshold_crossed")
            self.assertEqual(event["payload"], {
                "kind": "process", "subject": "no such process", "ok": False, "found": 0,
                "machine": socket.gethostname()})
            child.stdin.write('{"type": "ack", "seq": 1}\n{"type": "stop"}\n')
            child.stdin.close()
            self.assertEqual(json.loads(lines.readline()), {"type": "stopped", "reason": "stop"})
        self.assertEqual(child.wait(timeout=30), 0)


if __name__ == "__main__":
    unittest.main()
