# SPDX-License-Identifier: Apache-2.0
"""One row for each import, member and shape that real packs have (76 of them were read), each run
in the real child process. Rows that fail are printed together."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from child import run_action
from fake_api import FakeApi


class Row:
    """`code` stands in run() of an action; `expected` is its result."""

    def __init__(self, name: str, code: str, expected: Any, **more: Any) -> None:
        self.name = name
        self.expected = expected
        self.more = more
        self.source = more.pop("source", None) or (
            "import os\nfrom st2common.runners.base_action import Action\n"
            "class A(Action):\n    def run(self, **given):\n"
            + textwrap.indent(textwrap.dedent(code).strip() + "\n", " " * 8)
        )


def an_import(line: str, shows: str, expected: Any = True) -> Row:
    return Row(line, f"{line}\nreturn {shows}", expected)


STATUSES = "requested scheduled delayed running succeeded failed abandoned canceling canceled"
STATUSES += " pending pausing paused resuming"

IMPORTS = [
    an_import("from st2common.runners.base_action import Action", "issubclass(type(self), Action)"),
    an_import("from st2reactor.sensor.base import PollingSensor", "hasattr(PollingSensor, 'poll')"),
    an_import("from st2reactor.sensor.base import Sensor", "hasattr(Sensor, 'add_trigger')"),
    an_import("from st2client.client import Client", "Client.__name__", "Client"),
    an_import("from st2client.models.keyvalue import KeyValuePair", "KeyValuePair(name='a').name",
              "a"),
    an_import("from st2client.models import KeyValuePair", "KeyValuePair(name='a').id", "a"),
    an_import("from st2common.util import isotime",
              "isotime.format(isotime.parse('2026-01-02T03:04:05Z'))",
              "2026-01-02T03:04:05.000000+00:00"),
    an_import("from st2common.util.shell import quote_unix", "quote_unix('a b')", "'a b'"),
    an_import("from st2common import log as logging", "logging.getLogger('x').name", "x"),
    an_import("from st2common.exceptions.action import InvalidActionParameterException as E",
              "issubclass(E, Exception)"),
    an_import("from st2common.runners.utils import get_logger_for_python_runner_action as g",
              "g('x').name", "actions.python.x"),
    an_import("from st2client.models.action import Execution", "Execution(action='a.b').action",
              "a.b"),
    an_import("from st2client.commands.resource import ResourceNotFoundError as E",
              "issubclass(E, Exception)"),
    an_import("from st2client.models.action_alias import ActionAliasMatch",
              "ActionAliasMatch(command='x').command", "x"),
    an_import("from st2client.models.aliasexecution import ActionAliasExecution",
              "ActionAliasExecution(user='x').user", "x"),
    an_import("from st2common.util.monkey_patch import monkey_patch", "monkey_patch()", None),
    an_import("from st2tests.pack_resource import BasePackResourceTestCase as B",
              "hasattr(B, 'get_fixture_content')"),
    an_import("from st2actions.runners.pythonrunner import Action", "isinstance(self, Action)"),
    an_import("from st2client.commands.action import LIVEACTION_STATUS_TIMED_OUT as S", "S",
              "timeout"),
    *[an_import(f"from st2client.commands.action import LIVEACTION_STATUS_{each.upper()} as S", "S",
                each) for each in STATUSES.split()],
    *[an_import(f"from st2tests.base import {each}TestCase as B", "hasattr(B, 'assertEqual')")
      for each in ("BaseAction", "BaseSensor", "BaseActionAlias")],
    *[Row(f"internal: {name}",
          f"""
          try:
              import {name}
          except ImportError as error:
              return str(error)
          """, f"'{shown}' belongs to the inside of StackStorm's platform, which is not here: "
          "Millrace has the names that packs use (sdk/python/README.md lists them).")
      for name, shown in [
          ("st2common.persistence.pack", "st2common.persistence"),
          ("st2common.models.db", "st2common.models.db"),
          ("st2common.bootstrap.sensorsregistrar", "st2common.bootstrap"),
          ("st2common.util.virtualenvs", "st2common.util.virtualenvs"),
          ("st2common.content", "st2common.content"),
          ("st2common.services.packs", "st2common.services.packs"),
          ("st2common.constants.pack", "st2common.constants.pack"),
          ("st2reactor.container", "st2reactor.container"),
          ("st2common.runners.paramiko_ssh", "st2common.runners.paramiko_ssh"),
      ]],
    Row("st2common.util.jinja", """
        try:
            from st2common.util import jinja
        except ImportError as error:
            return str(error) == "No module named 'jinja2'"
        return jinja.get_jinja_environment(allow_undefined=True).from_string('x').render() == 'x'
        """, True),
    Row("internal: from a package", """
        try:
            from st2common import persistence
        except ImportError as error:
            return "inside of StackStorm" in str(error)
        """, True),
]  # fmt: skip

MEMBERS = [
    Row("self.config[...]", "return self.config['a']['b']", 1, config={"a": {"b": 1}}),
    Row("self.config.get", "return [self.config.get('a'), self.config.get('z', 2)]", [1, 2],
        config={"a": 1}),
    Row("self.config without a key", """
        try:
            self.config['z']
        except ValueError as error:
            return str(error).split(';')[0]
        """, "the configuration of pack 'tried' has no 'z'"),
    *[Row(f"self.logger.{level}", f"self.logger.{level}('said %s', 1)", None,
          stderr=f"actions.python.A: {name:<8} said 1\n")
      for level, name in [("debug", "DEBUG"), ("info", "INFO"), ("warning", "WARNING"),
                          ("warn", "WARNING"), ("error", "ERROR")]],
    Row("self.logger.exception", """
        try:
            1 / 0
        except ZeroDivisionError:
            self.logger.exception('said')
        """, None, stderr="ZeroDivisionError: division by zero\n"),
    Row("log_level", "self.logger.info('quiet'); self.logger.error('loud')", None,
        log_level="ERROR", stderr="actions.python.A: ERROR    loud\n", not_stderr="quiet"),
    Row("action_service.set_value, get_value", """
        service = self.action_service
        return [service.get_value('n'), service.set_value('n', 5), service.get_value('n')]
        """, [None, True, "5"], keys={"tried.A:n": "5"}),
    Row("get_value(local=False)", "return self.action_service.get_value('given', local=False)",
        "here"),
    Row("set_value(ttl=, encrypt=), get_value(decrypt=)", """
        service = self.action_service
        service.set_value('s', 'x', ttl=60, local=False, encrypt=True)
        return [service.get_value('s', local=False),
                service.get_value('s', local=False, decrypt=True)]
        """, ["********", "x"]),
    Row("scope user", """
        self.action_service.set_value('u', 'mine', local=False, scope='user')
        return self.action_service.get_value('u', local=False, scope='user')
        """, "mine"),
    Row("list_values, delete_value", """
        service = self.action_service
        for name in 'ab':
            service.set_value(name, name)
        first = sorted(each.name for each in service.list_values())
        return [first, service.delete_value('a'), [k.value for k in service.list_values()],
                [k.name for k in service.list_values(local=False, prefix='giv')]]
        """, [["tried.A:a", "tried.A:b"], True, ["b"], ["given"]]),
    Row("get_user_info", "return self.action_service.get_user_info()['username']", "ann"),
    Row("datastore_service.get_api_client", """
        client = self.action_service.datastore_service.get_api_client()
        return client.keys.get_by_name('given').value
        """, "here"),
    Row("webhooks.post_generic_webhook", """
        client = self.action_service.datastore_service.get_api_client()
        return client.webhooks.post_generic_webhook('a.b', payload={'c': 1}, trace_tag='t')
        """, {"trigger": "a.b", "payload": {"c": 1}}),
    Row("ST2_ACTION_*", """
        names = ('API_URL', 'AUTH_TOKEN', 'PACK_NAME', 'EXECUTION_ID')
        return [os.environ['ST2_ACTION_' + name].rpartition(':')[2][-8:] for name in names]
        """, lambda found: found[0].endswith("/v1") and found[1:] == ["a-token", "tried", "77"],
        env={"MILLRACE_EXEC_ID": "77"}),
    Row("Client(api_url=, token=)", """
        from st2client.client import Client
        env = os.environ
        client = Client(api_url=env['ST2_ACTION_API_URL'], token=env['ST2_ACTION_AUTH_TOKEN'])
        made = client.executions.create(Execution(action='core.echo', parameters={'message': 1}))
        return [made.status, client.liveactions.get_by_id(made.id).result['output'],
                made.action['name']]
        """.replace("from st2client.client", "from st2client.models.action import Execution\n"
                    "        from st2client.client"),
        ["succeeded", {"message": 1}, "echo"]),
]  # fmt: skip

BASE = "from st2common.runners.base_action import Action\n"
HELLO = "    def run(self, **given):\n        return [self.config.get('a'), self.action_service is not None]\n"  # noqa: E501


def shape(name: str, source: str, expected: Any, **more: Any) -> Row:
    return Row(name, "", expected, source=textwrap.dedent(source), **more)


def constructor(signature: str, call: str) -> Row:
    source = BASE + f"class A(Action):\n    def __init__({signature}):\n        {call}\n" + HELLO
    return shape(f"constructor ({signature}): {call}", source, [1, True], config={"a": 1})


SHAPES = [
    constructor("self, config", "super().__init__(config)"),
    constructor("self, config", "super(A, self).__init__(config=config)"),
    constructor("self, config=None", "super().__init__(config)"),
    constructor("self, config=None, action_service=None", "super().__init__(config)"),
    constructor("self, config=None, action_service=None",
                "super().__init__(config, action_service)"),
    constructor("self, config=None, action_service=None",
                "super().__init__(config=config, action_service=action_service)"),
    constructor("self, *args, **kwargs", "super().__init__(*args, **kwargs)"),
    shape("no constructor", BASE + "class A(Action):\n" + HELLO, [1, True], config={"a": 1}),
    shape("constructor that raises TypeError", BASE + """
class A(Action):
    def __init__(self, config):
        len(5)
    def run(self):
        pass
""", None, status="failed", exit_code=1, stderr="TypeError: object of type 'int' has no len()"),
    shape("an old constructor that raises", BASE + """
class A(Action):
    def __init__(self, config):
        raise OSError('no file')
    def run(self):
        pass
""", None, status="failed", exit_code=1, stderr="OSError: no file", not_stderr="TypeError"),
    shape("run(self, a, b)", BASE + "class A(Action):\n    def run(self, a, b=2):\n"
          "        return [a, b]\n", [1, 2], parameters={"a": 1}),
    shape("run(self, a, **kwargs)", BASE + "class A(Action):\n    def run(self, a, **kwargs):\n"
          "        return [a, kwargs]\n", [1, {"b": 2}], parameters={"a": 1, "b": 2}),
    shape("run(self)", BASE + "class A(Action):\n    def run(self):\n        return 1\n", 1),
    shape("run with an unknown parameter", BASE + "class A(Action):\n    def run(self):\n"
          "        return 1\n", None, parameters={"z": 1}, status="failed", exit_code=1,
          stderr="unexpected keyword argument 'z'"),
    Row("(True, x)", "return (True, {'a': 1})", {"a": 1}),
    Row("(False, x)", "return (False, 'no')", "no", status="failed"),
    Row("(None, x)", "return (None, 5)", 5),
    Row("a pair whose first is no bool", "return ('a', 'b')", None, status="failed",
        exit_code=220, stderr="expected True or False"),
    Row("a pair in a list", "return ['a', 'b']", ["a", "b"]),
    Row("a triple", "return (1, 2, 3)", [1, 2, 3]),
    Row("nothing", "pass", None),
    Row("an object", "return (True, [object])", "[<class 'object'>]"),
    Row("an object without status", "return {'a': object}", "{'a': <class 'object'>}"),
    Row("a set", "return {1}", "{1}"),
    Row("bytes", "return b'x'", "b'x'"),
    Row("dates", "import datetime; return datetime.datetime(2026, 1, 2, 3)", "2026-01-02T03:00:00"),
    Row("NaN", "return [float('nan'), float('inf'), 1.5]", [None, None, 1.5]),
    Row("texts of any kind", "return 'a\\u00e9\\U0001f600\\0'", "a\u00e9\U0001f600\0"),
    Row("a surrogate alone", "return 'a\\ud800'", "a?"),
    Row("one megabyte", "return 'x' * 1048576", "x" * 1048576),
    Row("an exception", "raise ValueError('no such thing')", None, status="failed", exit_code=1,
        stderr='ValueError: no such thing\n'),
    Row("print", "print('{\"status\": \"failed\"}'); return 1", 1, stdout='{"status": "failed"}\n'),
    Row("print without a line end", "print('a', end=''); return 1", 1, stdout="a"),
    Row("sys.exit(0)", "import sys; sys.exit(0)", None),
    Row("sys.exit(3)", "import sys; sys.exit(3)", None, status="failed", exit_code=3),
    Row("sys.exit('text')", "import sys; sys.exit('text')", None, status="failed", exit_code=1,
        stderr="text\n"),
    Row("os._exit", "os._exit(4)", None, no_frame=True, exit_code=4),
    Row("subprocess writes to stdout", "import subprocess; subprocess.call(['echo', 'hi'])\n"
        "return 1", 1, stdout="hi\n"),
    Row("C writes to descriptor 1", "os.write(1, b'raw'); return 1", 1, stdout="raw"),
    Row("a child has no result descriptor", """
        import subprocess
        shown = subprocess.check_output(
            ['sh', '-c', 'ls -l /proc/self/fd; echo "[$MILLRACE_RESULT_FD]"'], close_fds=False)
        return [b'pipe' in line for line in shown.splitlines() if b' 1 -> ' not in line
                and b' 2 -> ' not in line and b' 0 -> ' not in line].count(True)
        """, 0),
    shape("from lib.x import", BASE + "from lib.tool import VALUE\nclass A(Action):\n"
          "    def run(self):\n        return VALUE\n", 5,
          files={"actions/lib/__init__.py": "", "actions/lib/tool.py": "VALUE = 5\n"}),
    shape("actions/lib on the path", BASE + "import tool\nclass A(Action):\n"
          "    def run(self):\n        return tool.VALUE\n", 6,
          files={"actions/lib/tool.py": "VALUE = 6\n"}),
    shape("a module beside the file", BASE + "import beside\nclass A(Action):\n"
          "    def run(self):\n        return beside.VALUE\n", 7,
          files={"actions/beside.py": "VALUE = 7\n"}),
    shape("lib of the pack", BASE + "import packwide\nclass A(Action):\n"
          "    def run(self):\n        return packwide.VALUE\n", 8,
          files={"lib/packwide.py": "VALUE = 8\n"}),
    shape("an entry point in a subfolder", "", 9, entry_point="sub/csv.py", files={
        "actions/sub/csv.py": BASE + "import csv, near\nclass A(Action):\n    def run(self):\n"
        "        return near.VALUE if csv.reader else 0\n", "actions/sub/near.py": "VALUE = 9\n"}),
    shape("imported bases are left out", BASE + "from lib.base import Base\nclass A(Base):\n"
          "    def run(self):\n        return 'mine'\n", "mine",
          files={"actions/lib/__init__.py": "", "actions/lib/base.py": BASE +
                 "class Base(Action):\n    def run(self):\n        return 'base'\n"}),
    shape("the first by name", BASE + "class B(Action):\n    def run(self):\n        return 'b'\n"
          "class A(Action):\n    def run(self):\n        return 'a'\n"
          "class Aa:\n    pass\n", "a"),
    shape("an abstract class beside it", BASE + "import abc\nclass A(Action):\n"
          "    @abc.abstractmethod\n    def run(self):\n        pass\n"
          "class B(A):\n    def run(self):\n        return 'b'\n", "b"),
    shape("run in an imported base", BASE + "from lib.base import Base\nclass A(Base):\n"
          "    value = 3\n", 3, files={"actions/lib/__init__.py": "", "actions/lib/base.py": BASE +
                 "class Base(Action):\n    def run(self):\n        return self.value\n"}),
    shape("a class that is no Action", "class A:\n    def __init__(self, config, action_service):\n"
          "        pass\n    def run(self):\n        return 'duck'\n", "duck"),
    shape("an imported object that nobody may look at", BASE + """
from lib.proxy import request
class A(Action):
    def run(self):
        return 4
""", 4, files={"actions/lib/__init__.py": "", "actions/lib/proxy.py": """
        class Proxy:
            def __getattribute__(self, name):
                raise RuntimeError('no request')
        request = Proxy()
        """}),
    shape("no class", "x = 1\n", None, status="failed", exit_code=1, stderr="no subclass of"),
    shape("no file", "", None, entry_point="gone.py", status="failed", exit_code=1,
          stderr="gone.py' is not there"),
    shape("a syntax error", "def\n", None, status="failed", exit_code=1, stderr="SyntaxError"),
    shape("an import that is not there", "import not_there_at_all\n", None, status="failed",
          exit_code=1, stderr="ModuleNotFoundError: No module named 'not_there_at_all'"),
    shape("stdout closed by the action", BASE + "import sys\nclass A(Action):\n"
          "    def run(self):\n        sys.stdout.close()\n        return 1\n", 1),
    shape("the SDK's own decorator", "from millrace import action\n@action\ndef f(a, b=2):\n"
          "    return (a, b)\n", [1, 2], parameters={"a": 1}),
    shape("several functions in a file", "from millrace import action\n@action\ndef x():\n"
          "    return 'x'\n@action(name='a')\ndef y():\n    return 'y'\n", "y"),
    shape("Failed with a result", "from millrace import Failed, action\n@action\ndef f():\n"
          "    raise Failed('no', result={'left': 3})\n", {"left": 3}, status="failed",
          exit_code=1, stderr="Failed: no"),
    shape("current()", "from millrace import action, current\n@action\ndef f():\n"
          "    call = current()\n    call.logger.info('said')\n"
          "    return [call.user, call.action, call.config, call.client.keys.get('given')]\n",
          ["ann", "tried.a", {"k": 1}, "here"], config={"k": 1},
          stderr="actions.python.tried.a: INFO     said\n"),
]  # fmt: skip


def failure_of(row: Row, folder: Path, api: FakeApi) -> str | None:
    """What is wrong with a row, or None."""
    more = dict(row.more)
    wanted = {"status": "succeeded", "exit_code": 0}
    for name in ("status", "exit_code", "stdout", "stderr", "not_stderr", "no_frame", "keys"):
        if name in more:
            wanted[name] = more.pop(name)
    env = {**api.env, **more.pop("env", {})}
    api.keys.clear()
    api.keys["system", "given"] = {
        "scope": "system", "name": "given", "value": "here", "encrypted": False,
    }  # fmt: skip
    ended = run_action(folder, row.source, more.pop("parameters", None), env=env, **more)
    if wanted.get("no_frame"):
        good = ended.frame is None
    elif callable(row.expected):
        good = row.expected(ended.result)
    else:
        good = ended.status == wanted["status"] and ended.result == row.expected
    good = good and ended.exit_code == wanted["exit_code"]
    good = good and wanted.get("stdout", ended.stdout) == ended.stdout
    good = good and str(wanted.get("stderr", "")) in ended.stderr
    good = good and not ("not_stderr" in wanted and str(wanted["not_stderr"]) in ended.stderr)
    for name, value in dict(wanted.get("keys", {})).items():
        good = good and api.keys["system", name]["value"] == value
    return None if good else f"{row.name}: expected {row.expected!r} {wanted}, found {ended}"


@pytest.mark.parametrize("part", ["IMPORTS", "MEMBERS", "SHAPES"])
def test_every_row(part: str, tmp_path: Path, api: FakeApi) -> None:
    rows: list[Row] = globals()[part]
    failures = []
    for number, row in enumerate(rows):
        try:
            failure = failure_of(row, tmp_path / str(number), api)
        except Exception as error:
            failure = f"{row.name}: {error!r}"
        if failure:
            failures.append(failure)
    print(f"{len(rows) - len(failures)} of {len(rows)} rows hold")
    assert not failures, "\n\n".join(failures)
