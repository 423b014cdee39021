#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What who writes a pack does with its folder: new, check, test, build."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import ROOT, Server, binary, run_cases

KINDS = ["shell", "python", "workflow", "trigger", "rule", "sensor", "alias", "config", "test"]


class Folder:
    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="millrace-e2e-"))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def run(self, *words, expect=0):
        done = subprocess.run([binary(), *words], cwd=self.path, capture_output=True, text=True,
                              timeout=120)
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def a_new_pack_checks_strictly_and_passes_its_tests_at_once():
    with Folder() as folder:
        said = folder.run("pack", "new", "tea-shop")
        assert "tea-shop/actions/greet.sh" in said, said
        assert (folder.path / "tea-shop/README.md").exists()
        folder.run("pack", "check", "tea-shop", "--strict")
        said = folder.run("pack", "test", "tea-shop")
        assert "1 rehearsal: 1 passed, 0 failed" in said, said
        assert "2 passed, 0 failed" in said, said
        said = folder.run("pack", "new", "tea-shop", expect=1)
        assert "is there already, and nothing was written" in said, said


def each_kind_can_be_made_alone_and_added_to_a_pack():
    with Folder() as folder:
        for kind in KINDS:
            folder.run("pack", "new", kind, "--kind", kind)
            folder.run("pack", "check", kind, "--strict")
        folder.run("pack", "new", "all", "--kind", "shell")
        for kind in KINDS[1:]:
            folder.run("pack", "new", "all", "--kind", kind)
        said = folder.run("pack", "check", "all")
        assert "0 errors" in said, said
        folder.run("pack", "test", "all")
        folder.run("pack", "new", "Big", expect=2)
        folder.run("pack", "new", "x", "--kind", "shel", expect=2)


def a_new_pack_is_installed_and_runs():
    with Server(packs=()) as server, Folder() as folder:
        server.start()
        folder.run("pack", "new", "tea")
        server.cli("pack", "install", str(folder.path / "tea"))
        assert server.cli("run", "tea.greet", "name=ann").strip() == "hello, ann"
        assert '"words": 3' in server.cli("run", "tea.count", "text=a b c", "-o", "json")
        assert "tea" in server.cli("run", "tea.twice", "what=tea", "-o", "json")
        said = server.cli("pack", "test", "tea")
        assert "2 passed, 0 failed" in said, said


def a_test_that_fails_and_none_at_all_are_told():
    with Folder() as folder:
        folder.run("pack", "new", "tea", "--kind", "test", "--kind", "workflow")
        test = folder.path / "tea/tests/test_tea.py"
        test.write_text(test.read_text().replace("1 + 1, 2", "1 + 1, 3"))
        said = folder.run("pack", "test", "tea", expect=1)
        assert "0 passed, 1 failed" in said and "2 != 3" in said, said
        (folder.path / "tea/requirements.txt").write_text("leaves\n")
        assert "may not be installed" in folder.run("pack", "test", "tea", "test_tea", expect=1)
        folder.run("pack", "test", "tea", "twice")  # the rehearsal alone
        played = folder.path / "tea/rehearsals/twice.yaml"
        played.write_text(played.read_text().replace("output: {said: tea}", "output: {said: milk}"))
        said = folder.run("pack", "test", "tea", "twice", expect=1)
        assert "0 passed, 1 failed" in said, said
        folder.run("pack", "new", "bare", "--kind", "shell")
        said = folder.run("pack", "test", "bare", expect=3)
        assert "has no tests" in said, said


def other_packs_are_known_with_them():
    with Folder() as folder:
        folder.run("pack", "new", "milk", "--kind", "trigger", "--kind", "shell")
        folder.run("pack", "new", "tea", "--kind", "rule")
        rule = folder.path / "tea/rules/every_hour.yaml"
        rule.write_text("name: pour\ntrigger: {type: milk.arrived}\naction: {ref: milk.greet}\n")
        said = folder.run("pack", "check", "tea", "--strict", expect=1)
        assert "milk" in said, said
        folder.run("pack", "check", "tea", "--strict", "--with", "milk")
        folder.run("pack", "check", "tea", "--strict", "--with", ".")
        folder.run("pack", "check", "tea", "--with", "nowhere", expect=3)


def what_a_native_program_needs_is_held_against_the_machine():
    with Folder() as folder:
        folder.run("pack", "new", "tea", "--kind", "shell")
        shutil.copy(ROOT / "src/packs/corpus/native_file/two", folder.path / "tea/actions/tool")
        folder.run("pack", "check", "tea", "--strict")
        said = folder.run("pack", "check", "tea", "--strict", "--glibc", "2.12", expect=1)
        assert "actions/tool: warning: needs GLIBC 2.17, and this machine has 2.12" in said, said


def the_build_line_is_run_in_the_folder():
    with Folder() as folder:
        folder.run("pack", "new", "tea", "--kind", "shell")
        said = folder.run("pack", "build", "tea", expect=3)
        assert "no line `build:`" in said, said
        file = folder.path / "tea/pack.yaml"
        plain = file.read_text()
        file.write_text(plain + "build: echo built in $(basename $PWD) > actions/made\n")
        folder.run("pack", "build", "tea")
        assert (folder.path / "tea/actions/made").read_text() == "built in tea\n"
        folder.run("pack", "check", "tea", "--strict")
        file.write_text(plain + "build: exit 7\n")
        said = folder.run("pack", "build", "tea", expect=1)
        assert "exit code 7" in said, said


if __name__ == "__main__":
    sys.exit(run_cases([
        a_new_pack_checks_strictly_and_passes_its_tests_at_once,
        each_kind_can_be_made_alone_and_added_to_a_pack,
        a_new_pack_is_installed_and_runs,
        a_test_that_fails_and_none_at_all_are_told,
        other_packs_are_known_with_them,
        what_a_native_program_needs_is_held_against_the_machine,
        the_build_line_is_run_in_the_folder,
    ]))
