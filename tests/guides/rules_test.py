#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What docs/guides/rules.md says of operators, paths, criteria and timers is what a server does.
Criteria are held against values by `rule test`, and again as rules that real events meet. When a
timer is due stands in the store's row of it.

UPDATE_GOLDEN=1 writes what the server says (places, notes, messages, times) into the guide again.
"""
import calendar
import collections
import contextlib
import datetime
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from commands import shown  # noqa: E402
from harness import ROOT, Server, binary, cloud_event, everything, rule, run_cases, until  # noqa: E402
from tables import code, names, rows, write_results  # noqa: E402

GUIDE = ROOT / "docs/guides/rules.md"
OPERATORS = ROOT / "src/rules/operators.cpp"
EVENT = {"Content-Type": "application/cloudevents+json"}
UTC = datetime.timezone.utc
SERVER = None


def table(*columns):
    """The rows of the tables with exactly these columns."""
    found = [row for row in rows(GUIDE) if [c for c in row if c not in ("line", "part")] == list(columns)]
    assert found, f"no table has the columns {columns}"
    return found


def value(row, column):
    return json.loads(code(row[column]))


def spec_of(row, name):
    spec = {"type": name, "pattern": value(row, "pattern")}
    if "condition" in row:
        spec["condition"] = code(row["condition"])
    return spec


def criteria():
    """[(row, criteria on trigger.x)] of the tables with `matches` and `does not`."""
    found = []
    for row in [*table("operator", "also", "pattern", "matches", "does not"),
                *table("operator", "condition", "pattern", "matches", "does not")]:
        for name in names(row["operator"]) + names(row.get("also", "")):
            found.append((row, {"trigger.x": spec_of(row, name)}))
    found += [(row, value(row, "criteria")) for row in table("criteria", "matches", "does not")]
    return found


def tested(criteria_, payload):
    body = {"rule": rule("guide.test", "core.noop", {}, criteria_), "payload": payload}
    return SERVER.client().data("POST", "/api/v1/rules/test", body)


def agree(column, found, what):
    """Compares a column with {line: text}; writes it when asked to."""
    if os.environ.get("UPDATE_GOLDEN"):
        write_results(GUIDE, column, found)
    shown = {row["line"]: row for row in rows(GUIDE)}
    wrong = [f"line {line + 1}: {what} {code(shown[line][column])!r}, found {text!r}"
             for line, text in found.items() if code(shown[line][column]) != text]
    assert not wrong, "\n  ".join([f"{len(wrong)} differ", *wrong])


def every_operator_has_an_example():
    of_source = re.findall(r'^    \{"(\w+)", Operator::', OPERATORS.read_text(), re.M)
    shown = {name for row in rows(GUIDE) for column in ("operator", "also")
             for name in names(row.get(column, ""))}
    assert len(of_source) > 30 and set(of_source) <= shown, set(of_source) - shown


def criteria_hold_as_the_guide_says():
    wrong = []
    for row, test in criteria():
        for column, wanted in (("matches", True), ("does not", False)):
            if row[column] and tested(test, {"x": value(row, column)})["matched"] != wanted:
                wrong.append(f"line {row['line'] + 1}: {json.dumps(test)}: {column} {row[column]}")
    assert not wrong, "\n  ".join(wrong)


def events_meet_the_rules_that_match():
    """The same through the index of all rules: each event has the number of one rule."""
    c = SERVER.client()
    wanted = set()
    made = []
    for number, (row, test) in enumerate(criteria()):
        text = json.dumps(test).replace("trigger.x", "trigger.data.x").replace("payload.x", "payload.data.x")
        own = {"trigger.data.number": {"type": "equals", "pattern": number}}
        both = {"all": [own, json.loads(text.replace("trigger.y", "trigger.data.y"))]}
        c.data("POST", "/api/v1/rules",
               rule(f"guide.n{number}", "core.echo", {"message": "{{ trigger.id }}"}, both))
        for column in ("matches", "does not"):
            if row[column]:
                made.append((number, column, value(row, column)))
    for number, column, data in made:
        name = f"{number} {column}"
        if column == "matches":
            wanted.add(name)
        c.data("POST", "/api/v1/events", cloud_event("guide", name, "t", {"number": number, "x": data}),
               EVENT)

    def runs():
        return everything(c, "/api/v1/executions?action=core.echo")

    until("each event that matches has started its action", lambda: len(runs()) >= len(wanted))
    ids = {e["source_id"]: e["id"] for e in everything(c, "/api/v1/events")}
    for number, column, _ in made:
        event = ids[f"{number} {column}"]
        verdict = c.data("GET", f"/api/v1/rules/guide.n{number}/why?event={event}")
        assert verdict["matched"] == (column == "matches"), verdict
    started = {c.data("GET", f"/api/v1/executions/{e['id']}")["parameters"]["message"] for e in runs()}
    assert started == wanted, started ^ wanted


def paths_find_what_the_guide_says():
    found = {}
    for row in table("path", "payload", "finds"):
        verdict = tested({code(row["path"]): {"type": "exists"}}, value(row, "payload"))
        found[row["line"]] = json.dumps(verdict["criteria"][-1]["found"])
    agree("finds", found, "finds")


def notes_say_why_it_cannot_hold():
    found = {}
    for row in table("operator", "pattern", "found", "note"):
        test = {"trigger.x": spec_of(row, code(row["operator"]))}
        found[row["line"]] = tested(test, {"x": value(row, "found")})["criteria"][-1].get("note", "none")
    agree("note", found, "note")


def mistakes_of(body):
    status, _, answer = SERVER.client().request("POST", "/api/v1/rules/test", {"rule": body, "payload": {}})
    if status == 200:
        return "no mistake"
    return "; ".join(e["message"] for e in answer["errors"])


def mistakes_are_told():
    agree("message", {row["line"]: mistakes_of(rule("guide.bad", "core.noop", {}, value(row, "criteria")))
                      for row in table("criteria", "message")}, "message")


def mistakes_of_other_parts_are_told():
    c, found = SERVER.client(), {}
    for row in table("part of a rule", "message"):
        sound = rule("guide.bad", "core.noop", {})
        status, _, answer = c.request("POST", "/api/v1/rules", sound | value(row, "part of a rule"))
        assert status == 400, (row, status, answer)
        found[row["line"]] = "; ".join(e["message"] for e in answer["errors"])
    agree("message", found, "message")


def parameters_are_rendered_as_the_guide_says():
    found = {}
    for row in table("parameters", "payload", "gives"):
        body = {"rule": rule("guide.test", "core.echo", value(row, "parameters")),
                "payload": value(row, "payload")}
        verdict = SERVER.client().data("POST", "/api/v1/rules/test", body)
        found[row["line"]] = (json.dumps(verdict["parameters"]["message"]) if "parameters" in verdict
                              else " ".join(verdict["error"].split()))
    agree("gives", found, "gives")


def mistakes_of_timers_are_told():
    c, found = SERVER.client(), {}
    for row in table("timer", "parameters", "message"):
        body = rule("guide.bad", "core.noop", {}, None, code(row["timer"]), value(row, "parameters"))
        status, _, answer = c.request("POST", "/api/v1/rules", body)
        assert status == 400, (row, status, answer)
        found[row["line"]] = "; ".join(e["message"] for e in answer["errors"])
    agree("message", found, "message")


def due_of(trigger, parameters):
    """Makes a rule on this timer; when it was made and when it is due, in seconds, or None."""
    c = SERVER.client()
    made = c.data("POST", "/api/v1/rules", rule("guide.timer", "core.noop", {}, None, trigger, parameters))
    file = f"file:{SERVER.data}/millrace.db?mode=ro"
    with contextlib.closing(sqlite3.connect(file, uri=True)) as store:
        due = [row[1] / 1000 for row in store.execute("SELECT name, due FROM timer")
               if row[0].startswith(f"schedule:{trigger}:")
               and json.loads(row[0].split(":", 2)[2]) == parameters]
    assert len(due) < 2, due
    c.data("DELETE", "/api/v1/rules/guide.timer", expect=(204,))
    return datetime.datetime.fromisoformat(made["created"]).timestamp(), due[0] if due else None


def intervals_are_due_after_their_time():
    found = {}
    for row in table("timer", "parameters", "first fires after"):
        made, due = due_of(code(row["timer"]), value(row, "parameters"))
        found[row["line"]] = f"{round(due - made)} s"
    agree("first fires after", found, "after")


def times_of_the_calendar_are_due():
    """The guide's times are of 2035: far enough to come first for years, and within what the zone
    files spell out (to 2037)."""
    found = {}
    for row in [*table("timer", "parameters", "first fires"), *table("parameters", "first fires")]:
        _, due = due_of(code(row.get("timer", "core.st2.CronTimer")), value(row, "parameters"))
        found[row["line"]] = (datetime.datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                              if due else "never")
    agree("first fires", found, "fires")


# Cron once more, as plainly as can be, to hold the server's against.
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


def numbers(text, least, most, words=()):
    """The numbers of a field; a last day of the month is -1."""
    found = set()
    for part in text.split(","):
        body, _, step = part.partition("/")
        low, _, high = (words.index(w) + least if w in words else w for w in body.partition("-"))
        if body in ("L", "last"):
            found.add(-1)
            continue
        if body in "*?":
            low, high = least, most
        first = int(low)
        last = int(high) if high != "" else most if step else first
        found |= set(range(first, (7 if last < first else last) + 1, int(step or 1)))
    return found


def next_of(expression, after):
    """The first time after `after` that a cron expression in UTC names."""
    fields = expression.split()
    seconds, minutes, hours, days, months, weekdays = ["0"] * (6 - len(fields)) + fields
    either = days not in "*?" and weekdays not in "*?"
    second, minute, hour = (numbers(f, 0, m) for f, m in ((seconds, 59), (minutes, 59), (hours, 23)))
    weekday = {n % 7 for n in numbers(weekdays, 0, 6, WEEKDAYS)}
    day_numbers, month = numbers(days, 1, 31), numbers(months, 1, 12, MONTHS)
    day = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(366 * 9):
        is_last = day.day == calendar.monthrange(day.year, day.month)[1]
        by_date = day.day in day_numbers or (-1 in day_numbers and is_last)
        by_weekday = day.isoweekday() % 7 in weekday
        if day.month in month and ((by_date or by_weekday) if either else (by_date and by_weekday)):
            for h, m, s in ((h, m, s) for h in sorted(hour) for m in sorted(minute) for s in sorted(second)):
                if (at := day.replace(hour=h, minute=m, second=s)) > after:
                    return at
        day += datetime.timedelta(days=1)
    raise AssertionError(f"{expression} names no time")


def cron_expressions_are_due_when_they_say():
    meanings = {code(row["expression"]): code(row["fires"]) for row in table("expression", "fires")
                if row["expression"].startswith("`@")}
    wrong = []
    for row in table("expression", "fires"):
        text = code(row["expression"])
        made, due = due_of("core.crontimer", {"expression": text})
        after = datetime.datetime.fromtimestamp(int(made), UTC)
        wanted = next_of(meanings.get(text, text), after)
        if wanted.timestamp() != due:
            wrong.append(f"{text}: expected {wanted}, found {datetime.datetime.fromtimestamp(due, UTC)}")
    assert not wrong, "\n  ".join(wrong)


def missed_timers_catch_up():
    """The server is stopped, its timers are set back, and it comes back."""
    c = SERVER.client()
    wanted = {code(row["catch_up"]): int(code(row["times"])) for row in table("catch_up", "times", "")}
    for name in wanted:
        given = {"unit": "minutes", "interval": 10, "catch_up": name}
        c.data("POST", "/api/v1/rules",
               rule(f"guide.{name}", "core.noop", {}, None, "core.intervaltimer", given))
    c.data("POST", "/api/v1/rules",
           rule("guide.cron", "core.noop", {}, None, "core.crontimer", {"expression": "*/10 * * * *"}))
    assert SERVER.stop() == 0
    file = f"{SERVER.data}/millrace.db"
    with contextlib.closing(sqlite3.connect(file)) as store, store:
        due = int(time.time() * 1000) - 62 * 60_000
        store.execute("UPDATE timer SET due = ? WHERE name LIKE 'schedule:%'", (due,))
    SERVER.start()
    c = SERVER.client()

    def fired(trigger):
        events = everything(c, f"/api/v1/events?trigger={trigger}")
        return collections.Counter(
            c.data("GET", f"/api/v1/events/{e['id']}")["trigger_parameters"].get("catch_up", "one")
            for e in events)

    until("all that was missed has fired", lambda: fired("core.intervaltimer")["all"] >= wanted["all"])
    until("the cron timer has fired", lambda: fired("core.crontimer"))
    assert fired("core.intervaltimer") == {k: n for k, n in wanted.items() if n}, fired("core.intervaltimer")
    assert fired("core.crontimer") == {"one": 1}, fired("core.crontimer")


def block(mark):
    return re.search(rf"<!-- {re.escape(mark)} -->\n```\w+\n(.*?)```", GUIDE.read_text(), re.S)[1]


def the_shown_outputs_are_real():
    with tempfile.TemporaryDirectory() as folder:
        rule_file, payload = Path(folder) / "rule.yaml", Path(folder) / "payload.json"
        rule_file.write_text(block("rule"))
        test = ("rule", "test", "--file", str(rule_file), "--payload", str(payload))
        payload.write_text(block("payload"))
        told = {"rule test": SERVER.cli(*test, expect=1)}
        payload.write_text(block("payload").replace("refs/tags/v1", "refs/heads/main"))
        told["rule test: match"] = SERVER.cli(*test)
        SERVER.cli("rule", "create", "--file", str(rule_file))
        sent = cloud_event("guide", "shown", "push", json.loads(block("payload"))["data"])
        event = SERVER.client().data("POST", "/api/v1/events", sent, EVENT)["event"]
        told["rule why"] = SERVER.cli("rule", "why", "ci.build", event)
    for mark, text in told.items():
        if os.environ.get("UPDATE_GOLDEN"):
            GUIDE.write_text(GUIDE.read_text().replace(
                f"<!-- {mark} -->\n```text\n{block(mark)}", f"<!-- {mark} -->\n```text\n{text}"))
        assert block(mark) == text, f"{mark}: {text}"


def the_commands_of_the_guide_run():
    """EVENT stands for the id of the last event."""
    says = {"rule create --file rule.yaml --dry-run": "would be: rule 'ci.build': revision 1",
            "rule why ci.build": 'does not start with "refs/heads/"',
            "rule why ci.build EVENT": 'trigger.data.ref is "refs/tags/v1": does not start with',
            "event why EVENT": "no  ci.build",
            "rule test --file rule.yaml --last 10": "does not start with",
            "event replay EVENT --dry-run": "would match",
            "event replay --trigger core.cloudevent --since 1h --dry-run": "events looked at",
            "rule history ci.build": "/enabled: false -> true",
            "rule list --overridden true": "ops.on_push"}
    commands = [command.removeprefix("millrace ") for command in shown("rules.md")]
    assert set(says) <= set(commands), set(says) - set(commands)
    (SERVER.home / "rule.yaml").write_text(block("rule"))
    for command in commands:
        last = SERVER.client().data("GET", "/api/v1/events?limit=1")
        words = command.replace("EVENT", last[0]["id"] if last else "0")
        run = subprocess.run(["sh", "-c", f"{binary()} {words}"], capture_output=True, text=True, timeout=60,
                             cwd=SERVER.home, env={**os.environ, "MILLRACE_DATA": str(SERVER.data)})
        told = run.stdout + run.stderr
        assert run.returncode == 0, f"{command}: {run.returncode}\n{told}"
        assert says.get(command, "") in told, f"{command}: expected {says[command]!r}:\n{told}"


CASES = [
    every_operator_has_an_example,
    criteria_hold_as_the_guide_says,
    events_meet_the_rules_that_match,
    paths_find_what_the_guide_says,
    notes_say_why_it_cannot_hold,
    parameters_are_rendered_as_the_guide_says,
    mistakes_are_told,
    mistakes_of_other_parts_are_told,
    mistakes_of_timers_are_told,
    intervals_are_due_after_their_time,
    times_of_the_calendar_are_due,
    cron_expressions_are_due_when_they_say,
    the_commands_of_the_guide_run,
    the_shown_outputs_are_real,
    missed_timers_catch_up,
]


def main():
    global SERVER
    with tempfile.TemporaryDirectory() as folder, Server(packs=[folder]) as SERVER:
        for name, text in {"pack.yaml": "ref: ops\nname: ops\nversion: 1.0.0\n",
                           "rules/on_push.yaml": "name: on_push\ntrigger: core.cloudevent\n"
                           "criteria: {trigger.type: {type: eq, pattern: push}}\n"
                           "action: {ref: core.echo, parameters: {message: pushed}}\n"}.items():
            (Path(folder) / "ops" / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / "ops" / name).write_text(text)
        SERVER.start()
        SERVER.cli("key", "set", "limit", "7")
        print(f"{len(rows(GUIDE))} rows, {len(criteria())} criteria")
        return run_cases(CASES)


sys.exit(main())
