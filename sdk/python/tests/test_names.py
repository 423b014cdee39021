# SPDX-License-Identifier: Apache-2.0
"""What the modules of StackStorm's names do, beyond being there."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from child import environment, write_pack

from st2common.exceptions.content import ParseException
from st2common.models.utils.action_alias_utils import extract_parameters
from st2common.util import isotime

UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", (2026, 1, 2, 3, 4, 5, 0)),
        ("2026-01-02 03:04:05.123Z", (2026, 1, 2, 3, 4, 5, 123000)),
        ("2026-01-02T03:04:05.123456+00:00", (2026, 1, 2, 3, 4, 5, 123456)),
        ("2026-01-02T03:04:05+0000", (2026, 1, 2, 3, 4, 5, 0)),
    ],
)
def test_times_are_read(text: str, expected: Any) -> None:
    assert isotime.parse(text) == datetime.datetime(*expected, tzinfo=UTC)


def test_times_are_checked_and_written() -> None:
    for bad in ("2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+02:00", 5):
        assert not isotime.validate(bad, raise_exception=False)
        with pytest.raises(ValueError, match="expected a time in UTC"):
            isotime.parse(bad)  # type: ignore[arg-type]
    there = isotime.parse("2026-01-02T03:04:05+02:00", True, validate_value=False)
    assert there.utcoffset() == datetime.timedelta(hours=2)
    assert isotime.format(there, usec=False) == "2026-01-02T03:04:05+02:00"
    assert isotime.format(0) == "1970-01-01T00:00:00.000000+00:00"
    assert isotime.format(0, usec=False, offset=False) == "1970-01-01T00:00:00Z"


def test_templates() -> None:
    pytest.importorskip("jinja2")
    from st2common.util import jinja

    context = {"n": 65, "m": {"a": [1]}, "nothing": None}
    templates = {
        "time": "{{ n | to_human_time_from_seconds }}",
        "days": "{{ (86400 * 2 + 3600) | to_human_time_from_seconds }}",
        "json": "{{ m | to_json_string }}",
        "yaml": "{{ m | to_yaml_string }}",
        "new": "{{ 'abc' | regex_replace('b', 'x') }}",
        "nested": ["{{ n }}"],
        "number": 5,
    }
    assert jinja.render_values(templates, context) == {
        "time": "1m5s", "days": "2d1h0m0s", "json": '{"a": [1]}', "yaml": "a:\n- 1\n", "new": "axc",
        "nested": ["65"], "number": 5,
    }  # fmt: skip
    assert jinja.is_jinja_expression("{{ a }}")
    assert not jinja.is_jinja_expression("a")
    with pytest.raises(Exception, match="'z' is undefined"):
        jinja.render_values({"a": "{{ z }}"}, {})
    assert jinja.render_values({"a": "{{ z }}"}, {}, allow_undefined=True) == {"a": ""}


FORMATS = [
    ("deploy {{ what }}", "deploy web", {"what": "web"}),
    (
        "deploy {{what}} to {{where=staging}}",
        "deploy web to prod",
        {"what": "web", "where": "prod"},
    ),
    ("deploy {{what}} {{ where = staging }}", "deploy web", {"what": "web", "where": "staging"}),
    ("say {{text}}", 'say "a b"', {"text": "a b"}),
    ("say {{text}}", "say a b c", {"text": "a b c"}),
    ("say {{text}} loudly", "say 'a b' loudly", {"text": "a b"}),
    ("set {{data}}", 'set {"a": [1, 2]}', {"data": '{"a": [1, 2]}'}),
    ("run {{what='a b'}}", "run", {"what": "a b"}),
    ("run {{what={}}}", "run", {"what": "{}"}),
    ("(list|show) {{what}}", "show all", {"what": "all"}),
    ("just words", "just words", {}),
    ("run {{what}}", "run x more=1 other='b c'", {"what": "x", "more": "1", "other": "b c"}),
    ("^run {{what}}$", "run x", None),
    ("run {{what}}", "walk x", None),
    ("run {{what}}", "run", None),
    ("run {{what}}", "please run x", None),
    ("line {{a}}", "line one\ntwo", {"a": "one\ntwo"}),
]


@pytest.mark.parametrize(("form", "command", "expected"), FORMATS)
def test_formats_of_aliases(form: str, command: str, expected: dict[str, str] | None) -> None:
    if expected is None:
        with pytest.raises(ParseException):
            extract_parameters(form, command)
    else:
        assert extract_parameters(form, command) == expected


PACK = {
    "pack.yaml": "name: tried\n",
    "actions/double.py": """
        from st2common.runners.base_action import Action

        class Double(Action):
            def run(self, n):
                self.action_service.set_value("n", n)
                return n * self.config.get("by", 2)
    """,
    "sensors/watch.py": """
        from st2reactor.sensor.base import PollingSensor

        class Watch(PollingSensor):
            def setup(self):
                self.log = self.sensor_service.get_logger("watch")
            def poll(self):
                self.log.info("looked")
                self.sensor_service.dispatch(trigger="tried.seen", payload={"a": 1})
            def cleanup(self): pass
            def add_trigger(self, trigger): pass
            def update_trigger(self, trigger): pass
            def remove_trigger(self, trigger): pass
    """,
    "aliases/double.yaml": """
        name: double
        action_ref: tried.double
        formats:
          - double {{ n }}
          - display: twice
            representation: ["twice {{ n }}"]
    """,
    "tests/fixtures/three.txt": "3",
    "tests/test_all.py": """
        import mock
        from st2tests.base import (BaseActionAliasTestCase, BaseActionTestCase,
                                   BaseSensorTestCase)
        from double import Double
        from watch import Watch

        class Action(BaseActionTestCase):
            action_cls = Double
            def test_doubles(self):
                n = int(self.get_fixture_content("three.txt"))
                self.assertEqual(self.get_action_instance().run(n), 6)
                self.assertEqual(self.get_action_instance({"by": 5}).run(n), 15)
                self.assertEqual(self.action_service.get_value("n"), 3)
                self.assertTrue(open("pack.yaml").read())

        class Sensor(BaseSensorTestCase):
            sensor_cls = Watch
            def test_dispatches(self):
                sensor = self.get_sensor_instance(config={}, poll_interval=3)
                sensor.setup()
                sensor.poll()
                sensor.log.info.assert_called_with("looked")
                self.assertTriggerDispatched(trigger="tried.seen", payload={"a": 1})
                with self.assertRaises(AssertionError):
                    self.assertTriggerDispatched(trigger="tried.seen", payload={"a": 2})
                self.assertEqual(len(self.get_dispatched_triggers()), 1)

        class Alias(BaseActionAliasTestCase):
            action_alias_name = "double"
            def test_formats(self):
                strings = self.action_alias_db.get_format_strings()
                self.assertEqual(strings, ["double {{ n }}", "twice {{ n }}"])
                self.assertExtractedParametersMatch("double {{ n }}", "double 4", {"n": "4"})
                self.assertCommandMatchesExactlyOneFormatString(strings, "twice 4")
                with self.assertRaises(AssertionError):
                    self.assertCommandMatchesExactlyOneFormatString(strings, "thrice 4")
    """,
}


def pack_tests(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "millrace.pack_tests", *arguments],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip


def test_tests_of_a_pack_run(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    pack = write_pack(tmp_path / "tried", PACK)
    done = pack_tests(str(pack))
    assert (done.returncode, done.stdout) == (0, "3 passed, 0 failed, 0 skipped\n"), done.stderr
    assert pack_tests(str(pack), "Sensor").stdout == "1 passed, 0 failed, 0 skipped\n"
    write_pack(pack, {"actions/double.py": PACK["actions/double.py"].replace("n *", "1 + n *")})
    done = pack_tests(str(pack))
    assert (done.returncode, done.stdout) == (1, "2 passed, 1 failed, 0 skipped\n"), done.stderr


def test_a_pack_without_tests(tmp_path: Path) -> None:
    assert pack_tests(str(tmp_path)).returncode == 2
