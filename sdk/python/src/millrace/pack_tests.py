# SPDX-License-Identifier: Apache-2.0
"""`python3 -m millrace.pack_tests DIR`: runs the unit tests of a pack, in `tests/`.

Exits with 0 when all passed, 1 when one did not, 2 when there is none.
"""

from __future__ import annotations

import importlib
import os
import sys
import unittest
from typing import Any

FOLDERS = ("actions/lib", "lib", "actions", "sensors", "tests", "etc", "")


class Loader(unittest.TestLoader):
    """Leaves out classes that say `__test__ = False`: bases of tests, as pytest takes them."""

    def loadTestsFromTestCase(self, testCaseClass: Any) -> unittest.TestSuite:
        if getattr(testCaseClass, "__test__", True) is False:
            return unittest.TestSuite()
        return super().loadTestsFromTestCase(testCaseClass)


def prepare(pack_path: str) -> None:
    """sys.path as StackStorm's own runner of pack tests has it; and `mock`, where it is not
    installed, is unittest's."""
    folders = [os.path.join(pack_path, each).rstrip("/") for each in FOLDERS]
    sys.path[:0] = [each for each in folders if os.path.isdir(each)]
    try:
        importlib.import_module("mock")
    except ImportError:
        sys.modules["mock"] = importlib.import_module("unittest.mock")


def run(pack_path: str, names: list[str]) -> int:
    pack_path = os.path.abspath(pack_path)
    tests = os.path.join(pack_path, "tests")
    if not os.path.isdir(tests):
        sys.stderr.write(f"{pack_path}: has no folder 'tests'\n")
        return 2
    prepare(pack_path)
    os.chdir(pack_path)
    loader = Loader()
    suite = unittest.TestSuite()
    for folder, folders, files in os.walk(tests):
        # `fixtures` holds data, `lib` what the tests import.
        folders[:] = sorted(set(folders) - {"fixtures", "lib", "__pycache__"})
        for file in sorted(files):
            if file.startswith("test") and file.endswith(".py"):
                module = os.path.relpath(os.path.join(folder, file), tests)[:-3]
                suite.addTests(loader.loadTestsFromName(module.replace(os.sep, ".")))
    if names:
        suite = chosen(suite, names)
    if not suite.countTestCases():
        sys.stderr.write(f"{tests}: no test\n")
        return 2
    result = unittest.TextTestRunner(verbosity=1, buffer=True).run(suite)
    bad = len({test.id() for test, _ in result.failures + result.errors})
    print(
        f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed, "
        f"{len(result.skipped)} skipped"
    )
    return 1 if bad else 0


def chosen(suite: unittest.TestSuite, names: list[str]) -> unittest.TestSuite:
    """The tests whose id holds one of the names."""
    kept = unittest.TestSuite()
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            kept.addTests(chosen(each, names))
        elif any(name in each.id() for name in names):
            kept.addTest(each)
    return kept


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python3 -m millrace.pack_tests DIR [NAME...]")
    sys.exit(run(sys.argv[1], sys.argv[2:]))
