# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import facts
import facts_of
from millrace import Failed

SYSTEMCTL = """#!/bin/sh
case $3 in
  web) printf 'LoadState=loaded\\nActiveState=active\\nSubState=running\\nUnitFileState=enabled\\n'
       printf 'MainPID=42\\nNRestarts=3\\n' ;;
  mount) printf 'LoadState=loaded\\nActiveState=failed\\nSubState=dead\\nUnitFileState=\\n' ;;
  broken) echo 'no bus' >&2; exit 1 ;;
  *) printf 'LoadState=not-found\\nActiveState=inactive\\n' ;;
esac
"""


class WithFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)


class Disk(WithFolder):
    def test_a_disk_is_as_full_as_df_says(self):
        found = os.statvfs_result((4096, 4096, 1000, 400, 300, 0, 0, 0, 0, 255))
        with mock.patch("os.statvfs", return_value=found):
            self.assertEqual(facts_of.disk(), {
                "total_bytes": 1000 * 4096, "free_bytes": 300 * 4096, "used_percent": 66.7})

    def test_what_is_not_there_is_told(self):
        with self.assertRaisesRegex(Failed, "'/gone': No such file"):
            facts_of.disk("/gone")


class Processes(WithFolder):
    def setUp(self):
        super().setUp()
        patched = mock.patch.object(facts, "PROC", self.folder)
        patched.start()
        self.addCleanup(patched.stop)
        (self.folder / "meminfo").touch()
        (self.folder / "9").mkdir()  # has ended meanwhile
        self.add(7, "nginx: (w) x", "S 1", 100)
        self.add(12, "sh", "R 7", 2)

    def add(self, pid, name, state_and_parent, pages):
        (self.folder / str(pid)).mkdir()
        zeros = " ".join("0" * 19)
        (self.folder / str(pid) / "stat").write_text(
            f"{pid} ({name}) {state_and_parent} {zeros} {pages} 0 0\n")

    def test_each_is_read_whatever_its_name(self):
        found = facts_of.processes()
        self.assertEqual([each["pid"] for each in found["processes"]], [7, 12])
        first = found["processes"][0]
        self.assertEqual((first["name"], first["state"], first["parent"]), ("nginx: (w) x", "S", 1))
        self.assertEqual(first["rss_bytes"], 100 * facts.PAGE_BYTES)

    def test_those_of_a_name_and_of_a_user_are_found(self):
        me = facts_of.processes()["processes"][0]["user"]
        self.assertEqual(facts_of.processes(name="sh", user=me)["count"], 1)
        self.assertEqual(facts_of.processes(name="sh", user="nobody-here")["count"], 0)

    def test_those_of_this_machine_are_read(self):
        with mock.patch.object(facts, "PROC", pathlib.Path("/proc")):
            self.assertIn(os.getpid(), [each["pid"] for each in facts.processes()])


class Service(WithFolder):
    def setUp(self):
        super().setUp()
        (self.folder / "systemctl").write_text(SYSTEMCTL)
        (self.folder / "systemctl").chmod(0o755)
        patched = mock.patch.dict(os.environ, PATH=f"{self.folder}:{os.environ['PATH']}")
        patched.start()
        self.addCleanup(patched.stop)

    def test_the_facts_of_a_unit_are_read(self):
        self.assertEqual(facts_of.service("web"), {
            "active": True, "state": "active", "sub_state": "running", "enabled": "enabled",
            "main_pid": 42, "restarts": 3})
        self.assertEqual(facts_of.service("mount"), {
            "active": False, "state": "failed", "sub_state": "dead", "enabled": "",
            "main_pid": 0, "restarts": 0})

    def test_what_is_wrong_is_told(self):
        for name, why in (("gone", "there is no unit 'gone'"), ("broken", "systemctl: no bus"),
                          ("--all", "expected the name of a unit")):
            with self.assertRaisesRegex(Failed, why):
                facts_of.service(name)
        empty = mock.patch.dict(os.environ, PATH=str(self.folder / "empty"))
        with empty, self.assertRaisesRegex(Failed, "no systemctl"):
            facts_of.service("web")


if __name__ == "__main__":
    unittest.main()
