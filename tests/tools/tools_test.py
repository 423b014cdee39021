#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tools/dropped.py, hashes.py, changes.py and st2_orquesta.py find, and what they leave alone."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from changes import includers  # noqa: E402
from dropped import dropped  # noqa: E402
from hashes import unseeded  # noqa: E402
from suite import failures  # noqa: E402
import st2_orquesta  # noqa: E402


def found(body):
    return [name for _, name in dropped(f"void f() {{\n{body}\n}}\n")]


class Dropped(unittest.TestCase):
    def test_a_result_that_is_used_only_when_it_is_ok_is_found(self):
        self.assertEqual(found("  if (auto x = g(); x.ok()) use(*x);"), ["x"])
        self.assertEqual(found("  if (a->b.ok() && *a->b > 1) {\n    use(*a->b);\n  }"), ["a->b"])

    def test_another_case_is_enough(self):
        for other in ("  if (x.ok()) use(*x); else end();",
                      "  if (x.ok()) return use(*x);\n  end();",
                      "  if (x.ok()) use(*x);\n  log(x.error());",
                      "  if (!x.ok()) return;\n  if (x.ok()) use(*x);",
                      "  if (x.ok()) use(*x);\n  return x;",
                      "  ASSERT(x.ok());\n  if (x.ok()) use(*x);"):
            self.assertEqual(found(other), [], other)

    def test_another_function_is_not_another_case(self):
        self.assertEqual(found("  if (x.ok()) use(*x);\n}\n\nvoid g() {\n  log(x.error());"), ["x"])

    def test_a_waiver_needs_its_reason(self):
        self.assertEqual(found("  // may fail: nobody needs it\n  if (x.ok()) use(*x);"), [])
        self.assertEqual(found("  // may fail:\n  if (x.ok()) use(*x);"), ["x"])

    def test_texts_and_comments_are_no_code(self):
        self.assertEqual(found('  log("if (x.ok()) use(x);");  // if (x.ok()) use(x);'), [])


class Failures(unittest.TestCase):
    def test_only_what_failed_is_told_without_what_is_said_in_passing(self):
        line = "-" * 58
        log = (f"Start testing\n{line}\n1/3 Testing: good\n1/3 Test: good\nfine\n"
               f"Test Passed.\n{line}\n\n2/3 Testing: bad\n2/3 Test: bad\n{line}\n"
               f"2026-11-30T06:25:31.048Z warn  store.connection_lost\n[ RUN      ] A.B\nwhy\n"
               f"Test Failed.\n{line}\n\n3/3 Testing: late\nTest Failed.\n")
        self.assertEqual(list(failures(log)), ["bad", "late"])
        self.assertIn("why", failures(log)["bad"])
        self.assertFalse([one for one in failures(log)["bad"] if "connection_lost" in one])


class Unseeded(unittest.TestCase):
    def names(self, text):
        return [what for _, what in unseeded(text)]

    def test_a_table_of_texts_names_its_hash(self):
        self.assertEqual(self.names("std::unordered_map<std::string, int> a;"),
                         ["unordered_map<std::string, int>"])
        self.assertEqual(self.names("std::unordered_set<std::string_view> a;"),
                         ["unordered_set<std::string_view>"])
        self.assertEqual(self.names("std::unordered_map<std::string, std::pair<int, int>,\n"
                                    "    StringHash, std::equal_to<>> a;"), [])
        self.assertEqual(self.names("std::unordered_set<Value, ValueHash> a;"), [])

    def test_ids_are_not_chosen_outside(self):
        self.assertEqual(self.names("std::unordered_map<ExecutionId, int> a;"), [])
        self.assertEqual(self.names("std::hash<int64_t>{}(id.value)"), [])

    def test_the_hash_itself_is_found(self):
        self.assertEqual(self.names("std::hash<std::string>()(text)"), ["std::hash<std::string>"])
        self.assertEqual(self.names("std::hash<double>{}(d)"), ["std::hash<double>"])


class Includers(unittest.TestCase):
    def test_a_header_is_touched_by_what_it_includes_directly_or_not(self):
        rows, time, text = (ROOT / "src" / name for name in
                            ("kernel/rows.h", "base/time.h", "base/text.h"))
        self.assertEqual(includers([rows, text], {"src/base/ids.h"}), [rows])
        self.assertEqual(includers([time, text], {"src/base/result.h"}), [time])
        self.assertEqual(includers([rows, text], None), [rows, text])


class StackStormsTests(unittest.TestCase):
    def test_each_difference_stands_in_the_page(self):
        page = (ROOT / "docs/conformance.md").read_text()
        for name in st2_orquesta.KNOWN:
            self.assertIn(f"`{name.rpartition('.')[2]}`", page)

    def test_only_what_is_ours_is_passed_over(self):
        of_shell = {"stdout": "a", "return_code": 0, "exit_code": 0, "output": None}
        error = {"type": "error", "message": "m", "line": 3, "spec_path": "vars", "result": of_shell}
        self.assertEqual(st2_orquesta.without_ours({"output": {"line": 1}, "errors": [error]}),
                         {"output": {"line": 1}, "errors": [
                             {"type": "error", "message": "m",
                              "result": {"stdout": "a", "return_code": 0}}]})


if __name__ == "__main__":
    unittest.main()
