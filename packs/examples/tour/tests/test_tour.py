# SPDX-License-Identifier: Apache-2.0
import pathlib
import tempfile
import unittest

import inbox
from measure import measure
from millrace import Failed
from millrace.call import Call, begin
from st2tests.base import BaseSensorTestCase


class Measure(unittest.TestCase):
    def test_lines_and_words_are_counted(self):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write("zwei Wörter\nund noch drei\n")
            file.flush()
            self.assertEqual(measure(file.name), {"lines": 2, "words": 5})

    def test_a_text_that_is_not_there_fails(self):
        with self.assertRaisesRegex(Failed, "cannot read '/gone'"):
            measure("/gone")


class Inbox(BaseSensorTestCase):
    sensor_cls = inbox.inbox

    def test_a_file_is_told_once(self):
        with tempfile.TemporaryDirectory() as folder:
            begin(Call({"pack": "tour", "config": {"inbox": folder}}))
            self.addCleanup(begin, None)
            (pathlib.Path(folder) / "old.txt").touch()
            inbox.inbox(self.sensor_service)
            (pathlib.Path(folder) / "new.txt").write_text("hello")
            for _ in range(2):
                inbox.inbox(self.sensor_service)
            self.assertEqual([each["payload"] for each in self.get_dispatched_triggers()],
                             [{"path": f"{folder}/new.txt", "bytes": 5}])


if __name__ == "__main__":
    unittest.main()
