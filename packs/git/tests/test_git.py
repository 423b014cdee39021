# SPDX-License-Identifier: Apache-2.0
import pathlib
import subprocess
import tempfile
import unittest

import branches
import repository
from millrace import Failed
from millrace.call import Call, begin
from st2tests.base import BaseSensorTestCase


class Origin:
    """A repository on disk."""

    def __init__(self, test):
        self.home = pathlib.Path(tempfile.mkdtemp())
        test.addCleanup(subprocess.run, ["rm", "-rf", self.home], check=True)
        self.url = f"file://{self.home}/origin"
        self.run("init", "--quiet", "--initial-branch=main", "origin", where=self.home)

    def run(self, *words, where=None):
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        return subprocess.run(["git", *who, *words], cwd=where or self.home / "origin",
                              check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, subject):
        self.run("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.run("rev-parse", "HEAD")


def configure(test, **config):
    config = {"transports": ["file"], **config}
    begin(Call({"action": "git.head", "pack": "git", "config": config, "log_level": "CRITICAL"}))
    test.addCleanup(begin, None)


class Repository(unittest.TestCase):
    def setUp(self):
        configure(self)
        self.origin = Origin(self)
        self.first = self.origin.commit("first")

    def test_a_head_is_found_by_its_short_and_its_full_name(self):
        self.origin.run("branch", "other/main")
        second = self.origin.commit("second")
        self.origin.run("tag", "v1", self.first)
        self.origin.run("tag", "--annotate", "--message", "two", "v2", second)
        for ref, name, commit in (("HEAD", "HEAD", second), ("main", "refs/heads/main", second),
                                  ("refs/heads/other/main", "refs/heads/other/main", self.first),
                                  ("v1", "refs/tags/v1", self.first),
                                  ("v2", "refs/tags/v2", second)):
            self.assertEqual(repository.head(self.origin.url, ref), {"ref": name, "commit": commit})

    def test_what_is_not_there_is_told(self):
        with self.assertRaisesRegex(Failed, "no branch or tag 'gone'"):
            repository.head(self.origin.url, "gone")
        with self.assertRaisesRegex(Failed, "git ls-remote: "):
            repository.head(self.origin.url + "-gone")

    def test_what_looks_like_an_option_or_a_command_is_refused(self):
        with self.assertRaisesRegex(Failed, "expected a URL or a ref"):
            repository.head("--upload-pack=id")
        with self.assertRaisesRegex(Failed, "expected a URL or a ref"):
            repository.head(self.origin.url, "--help")
        with self.assertRaisesRegex(Failed, "'ext' not allowed"):
            repository.head("ext::sh -c id")
        configure(self, transports=["https"])
        with self.assertRaisesRegex(Failed, "'file' not allowed"):
            repository.head(self.origin.url)

    def test_a_clone_has_as_many_commits_as_were_asked_for(self):
        second = self.origin.commit("second")
        folder = str(self.origin.home / "clone")
        made = repository.clone(self.origin.url, folder, ref="main")
        self.assertEqual(made, {"folder": folder, "commit": second})
        [commit] = repository.log(folder)["commits"]
        self.assertEqual(commit["subject"], "second")
        with self.assertRaisesRegex(Failed, "already exists"):
            repository.clone(self.origin.url, folder)

    def test_the_log_has_the_newest_first(self):
        second = self.origin.commit("second; with \"signs\"")
        folder = str(self.origin.home / "clone")
        repository.clone(self.origin.url, folder, depth=0)
        newest, oldest = repository.log(folder)["commits"]
        self.assertEqual((newest["commit"], newest["subject"], newest["author"], newest["email"]),
                         (second, "second; with \"signs\"", "Ann", "ann@example.com"))
        self.assertEqual(oldest["commit"], self.first)
        self.assertEqual(repository.log(folder, since=self.first)["commits"], [newest])
        self.assertEqual(repository.log(folder, most=1)["commits"], [newest])
        with self.assertRaisesRegex(Failed, "the folder '/gone' is not there"):
            repository.log("/gone")


class Branches(BaseSensorTestCase):
    sensor_cls = branches.branches

    def setUp(self):
        super().setUp()
        self.origin = Origin(self)
        configure(self, watch=[{"url": "file:///gone"}, {"url": self.origin.url, "branch": "main"}])
        self.first = self.origin.commit("first")

    def look(self):
        branches.branches(self.sensor_service)
        return [each["payload"] for each in self.get_dispatched_triggers()]

    def test_each_move_is_told_once(self):
        self.assertEqual(self.look(), [], "the first look only notes it down")
        second = self.origin.commit("second")
        moved = {"url": self.origin.url, "branch": "main", "before": self.first, "commit": second}
        self.assertEqual(self.look(), [moved])
        self.assertEqual(self.look(), [moved])
        self.assertTriggerDispatched("git.branch_moved", moved)


if __name__ == "__main__":
    unittest.main()
