#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/try_packs.py over packs of our own, one for each fault that real packs were found to have:
what it costs, and what is said of it."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from harness import ROOT, binary, run_cases

ACTION = "name: act\nrunner_type: local-shell-cmd\n"
RULE = "name: on\nenabled: true\ntrigger: {type: %s, parameters: {url: hook}}\naction: {ref: %s}\n"
SENSOR = """class_name: S
entry_point: s.py
trigger_types:
  - name: seen
    description: Something was seen.
    payload_schema: {type: object, properties: {n: {type: integer}}}
"""
PYTHON = "name: act\nrunner_type: python-script\nentry_point: act.py\n"
CLASS = "from st2common.runners.base_action import Action\nclass A(Action):\n"
WHOLE = "whole"
ANY = ""  # said or not

# folder: (files beside pack.yaml, does it load, words of what is said; None: nothing is said)
FAULTS = {
    "sound": ({"actions/act.yaml": ACTION}, WHOLE, None),
    "default_of_another_type": (
        {"actions/act.yaml": ACTION + "parameters: {deep: {type: integer, default: many}}\n"},
        WHOLE, "parameter 'deep': 'default': expected integer"),
    "default_that_can_be_cast": (
        {"actions/act.yaml": ACTION + "parameters: {deep: {type: boolean, default: 0}}\n"},
        WHOLE, None),
    "default_in_the_schema": (
        {"config.schema.yaml": "port: {type: integer, default: many}\n"},
        WHOLE, "'port': 'default': expected integer"),
    "reference_in_the_schema": (
        {"config.schema.yaml": "default: {type: object, properties: {host: {type: string}}}\n"
                               "others:\n  type: object\n  patternProperties:\n"
                               "    '^[a-z]+$': {$ref: '#/properties/default'}\n"},
        WHOLE, None),
    "keyword_that_is_none": (
        {"actions/act.yaml": ACTION + "parameters:\n  list: {type: array, item: {type: string}}\n"},
        WHOLE, "item"),
    "additional_items": (
        {"actions/act.yaml": ACTION + "parameters: {a: {type: array, additionalItems: false}}\n"},
        WHOLE, ANY),
    "payload_info": (
        {"sensors/s.yaml": SENSOR + "    payload_info: [n]\n", "sensors/s.py": ""},
        WHOLE, "unknown key 'payload_info'"),
    "key_of_no_pack": ({"pack.yaml": "made_up: 1\n"}, WHOLE, "unknown key 'made_up'"),
    "trigger_of_two_sensors": (
        {"sensors/a.yaml": SENSOR, "sensors/b.yaml": SENSOR, "sensors/s.py": ""},
        WHOLE, "is defined twice"),
    "parameter_named_properties": (
        {"actions/act.yaml": ACTION + "parameters:\n  properties: {type: object}\n"
                                      "  name: {type: string}\n"},
        WHOLE, None),
    "rule_on_no_action_of_core": (
        {"rules/on.yaml": RULE % ("core.st2.webhook", "core.no_such") +
         "criteria: {}\n"}, WHOLE, "unknown action 'core.no_such'"),
    "rule_on_another_pack": (
        {"rules/on.yaml": RULE % ("core.st2.webhook", "linux.check_loadavg")},
        WHOLE, "unknown action 'linux.check_loadavg'; the rule is left out until it is there"),
    "rule_on_no_pack": (
        {"rules/on.yaml": RULE % ("core.st2.webhook", "check_procs")},
        "without 1 file", "unknown action 'check_procs'"),
    "rule_on_a_trigger_of_core": (
        {"rules/on.yaml": RULE % ("core.st2.action.file_writen", "core.noop")},
        WHOLE, "unknown trigger 'core.st2.action.file_writen'"),
    "rule_on_a_trigger_of_another_pack": (
        {"rules/on.yaml": RULE % ("linux.file_watch.line", "core.noop")},
        WHOLE, "unknown trigger 'linux.file_watch.line'"),
    "criterion_of_nothing": (
        {"rules/on.yaml": RULE % ("core.st2.webhook", "core.noop") +
         "criteria: {service: {type: equals, pattern: web}}\n"},
        "without 1 file", "expected a path that begins with 'trigger.'"),
    "command_of_the_runner": ({"actions/act.yaml": ACTION}, WHOLE, None),
    "name_that_is_no_ref": ({"pack.yaml": "name: No Ref At All\n"}, WHOLE, None),
    "entry_point_that_is_missing": (
        {"actions/act.yaml": "name: act\nrunner_type: local-shell-script\nentry_point: gone.sh\n"},
        WHOLE, "the pack has no file actions/gone.sh"),
    "file_that_is_empty": (
        {"actions/act.yaml": ACTION, "actions/empty.yaml": ""}, "without 1 file", "empty document"),
    "type_that_is_none": (
        {"actions/act.yaml": ACTION + "parameters: {a: {type: stringa}}\n"},
        "without 1 file", "found \"stringa\""),
    "workflow_with_a_fault": (
        {"actions/act.yaml": "name: act\nrunner_type: orquesta\nentry_point: workflows/act.yaml\n",
         "actions/workflows/act.yaml": "version: 1.0\ntasks:\n  a: {action: core.noop, next: "
                                       "[{do: gone}]}\n"},
        "without 1 file", "gone"),
    "notify": (
        {"actions/act.yaml": ACTION + "notify: {on-complete: {message: done}}\n"},
        WHOLE, None),
    "runner_that_is_not_there": (
        {"actions/act.yaml": "name: act\nrunner_type: winrm-cmd\n"},
        WHOLE, "runner type 'winrm-cmd' is not supported"),
    "policy": (
        {"policies/a.yaml": "name: a\npolicy_type: action.retry\nresource_ref: core.noop\n"},
        "without 1 file", "expected 'retry_on'"),
    "alias": (
        {"aliases/a.yaml": "name: a\naction_ref: core.noop\nformats: ['do (?=it)']\n"},
        "without 1 file", "look-ahead and look-behind are not supported"),
    "no_pack_at_all": ({"pack.yaml": None}, "no", "expected 'ref' or 'name'"),
}

# What becomes of a python-script action: source, how far it comes, why.
CALLS = {
    "returns": (CLASS + "    def run(self):\n        return 1\n", "returned", ""),
    "refuses": (CLASS + "    def run(self):\n        return False, 'no'\n",
                "failed as it should", ""),
    "raises": (CLASS + "    def run(self):\n        return {}['x']\n", "raised", "KeyError: 'x'"),
    "exits": (CLASS + "    def run(self):\n        raise SystemExit(3)\n", "ended", ""),
    "asks": ("import urllib.request\n" + CLASS + "    def run(self):\n        return "
             "urllib.request.urlopen('http://example.com/x', timeout=5).status\n", "returned", ""),
    "lacks": ("import no_such_module\n" + CLASS + "    def run(self):\n        pass\n",
              "not imported", "No module named 'no_such_module'"),
    "cannot_be_made": (CLASS + "    def __init__(self, config):\n        super().__init__(config)\n"
                       "        raise ValueError('no host')\n    def run(self):\n        pass\n",
                       "not made", "ValueError: no host"),
}


def write_pack(folder, files):
    own = files.get("pack.yaml", "")
    head = "version: 1.0.0\n"
    if own is not None:
        head += own if "name:" in own else f"name: {folder.name}\n{own}"
    for name, text in {**files, "pack.yaml": head}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def tried(folder, *more):
    """The packs below a folder, by the folder's name."""
    run = subprocess.run(
        [sys.executable, ROOT / "tools/try_packs.py", "--binary", binary(), *more, folder],
        capture_output=True, text=True, timeout=200, env={**os.environ, "PIP_NO_INDEX": "1"})
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def each_fault_costs_its_file_and_is_told():
    with tempfile.TemporaryDirectory() as home:
        for name, (files, _, _) in FAULTS.items():
            write_pack(pathlib.Path(home) / name, files)
        packs = json.loads(tried(home, "-o", "json"))
        assert [pack["pack"] for pack in packs] == sorted(FAULTS), packs
        wrong = []
        for pack in packs:
            _, loads, words = FAULTS[pack["pack"]]
            said = [fault["message"] for fault in pack["wrong"] + pack["warnings"]]
            is_told = words == ANY or (any(words in each for each in said) if words else not said)
            if pack["loads"] != loads or not is_told:
                wrong.append((pack["pack"], pack["loads"], said))
        assert not wrong, "\n".join(map(str, wrong))
        found = {pack["pack"]: pack for pack in packs}
        for name, can_run in (("sound", 1), ("runner_that_is_not_there", 0),
                              ("entry_point_that_is_missing", 0), ("type_that_is_none", 0)):
            assert (found[name]["actions"], found[name]["can_run"]) == (1, can_run), found[name]


def each_call_is_judged_by_how_far_it_came():
    with tempfile.TemporaryDirectory() as home:
        files = {}
        for name, (source, _, _) in CALLS.items():
            files[f"actions/{name}.yaml"] = PYTHON.replace("act", name, 1).replace("act.py",
                                                                                  f"{name}.py")
            files[f"actions/{name}.py"] = source
        write_pack(pathlib.Path(home) / "calls", files)
        [pack] = json.loads(tried(home, "-o", "json"))
        for name, (_, how, why) in CALLS.items():
            seen = pack["calls"][f"actions/{name}.yaml"]
            assert seen["how"] == how and why in seen["why"], (name, seen)
        assert (pack["called"], pack["python"]) == (5, 7), pack
        printed = tried(home)
        assert "5 of 7" in printed and "not made: ValueError: no host" in printed, printed


WATCH = """
import socket
from st2reactor.sensor.base import Sensor

class Watch(Sensor):
    def setup(self): {setup}
    def run(self): {run}
    def cleanup(self): pass
    def add_trigger(self, trigger): pass
    def update_trigger(self, trigger): pass
    def remove_trigger(self, trigger): pass
"""
# setup, run, how far it comes.
SENSORS = {
    "sees": ("pass", "self.sensor_service.dispatch('eyes.seen', {})", "dispatched"),
    "looks": ("socket.create_connection(('imap.example.com', 993)).makefile().readline()",
              "__import__('time').sleep(60)", "ran"),
    "fails": ("raise ValueError('no luck')", "pass", "not started"),
}


def each_sensor_is_started_and_judged_by_how_far_it_came():
    with tempfile.TemporaryDirectory() as home:
        files = {}
        for name, (setup, run, _) in SENSORS.items():
            files[f"sensors/{name}.yaml"] = (f"class_name: Watch\nentry_point: {name}.py\n"
                                             "name: %s\ntrigger_types: [{name: seen}]\n" % name)
            files[f"sensors/{name}.py"] = WATCH.format(setup=setup, run=run)
        files["aliases/a.yaml"] = "name: a\naction_ref: core.noop\nformats: [do it]\n"
        write_pack(pathlib.Path(home) / "eyes", files)
        [pack] = json.loads(tried(home, "-o", "json", "--sensors"))
        for name, (_, _, how) in SENSORS.items():
            assert pack["sensors"][f"sensors/{name}.yaml"]["how"] == how, (name, pack["sensors"])
        assert "no luck" in pack["sensors"]["sensors/fails.yaml"]["why"], pack["sensors"]
        assert (pack["aliases"], pack["aliases_loaded"]) == (1, 1), pack


def an_environment_is_built_or_pip_says_why_not():
    with tempfile.TemporaryDirectory() as home:
        (pathlib.Path(home) / "packs").mkdir()
        for name, requirements in (("can", "--find-links wheels\n"),
                                   ("cannot", "no-such-thing==7.0\n")):
            write_pack(pathlib.Path(home) / "packs" / name, {
                "requirements.txt": requirements,
                "actions/act.yaml": PYTHON, "actions/act.py": CLASS + "    def run(self): pass\n"})
        where = pathlib.Path(home) / "packs"
        can, cannot = json.loads(tried(where, "-o", "json", "--build", "--envs", f"{home}/envs"))
        assert can["environment"] == "built", can
        assert cannot["environment"].startswith("cannot be built: ERROR: "), cannot
        assert "no-such-thing==7.0" in cannot["environment"], cannot
        assert (can["called"], cannot["called"]) == (1, 1), "both are tried"


if __name__ == "__main__":
    sys.exit(run_cases([
        each_fault_costs_its_file_and_is_told,
        each_call_is_judged_by_how_far_it_came,
        each_sensor_is_started_and_judged_by_how_far_it_came,
        an_environment_is_built_or_pip_says_why_not,
    ]))
