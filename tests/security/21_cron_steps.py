# SPDX-License-Identifier: Apache-2.0
"""Schedules whose numbers overflow are refused, by the API, by `pack check` and by SIGHUP (review, H1)."""

import json
import subprocess
import sys

from attack import JSON, Target, binary, main, rule, until, wrong

TARGET = Target(packs=(), most_mib=100)
TARGET.may_tell = ("packs.not_reloaded",)
FIELDS = ["* * * * *", "* * * * * *"]
HUGE = [
    "1/2147483647",
    "*/2147483647",
    "0-5/2147483647",
    "1/2147483648",
    "*/4294967296",
    "*/9223372036854775807",
    "*/18446744073709551616",
    "1/2147483600",
    "*/100000",
    "*/0",
    "*/-1",
    "0/",
    "/",
    "1/1/1",
    "1-2-3",
    "2147483647",
    "2147483648",
    "9223372036854775808",
    "-1",
    "1--1",
    "99999999999999999999",
    "0-2147483647",
    "2147483646-2147483647",
    "59-0/2147483647",
    "1,*/2147483647",
    "L/2147483647",
    "1#2147483647",
    "1#9223372036854775808",
    "MON/2147483647",
    "JAN-DEC/2147483647",
    "\u0661",
    "1e3",
    "0x1",
    "+1",
    " ",
    "*" * 3000,
    "1," * 3000 + "1",
]
OTHERS = [
    ("core.intervaltimer", {"unit": "seconds", "delta": 9223372036854775807}),
    ("core.intervaltimer", {"unit": "weeks", "delta": 9223372036854775807}),
    ("core.intervaltimer", {"unit": "weeks", "delta": 15250284452471}),
    ("core.intervaltimer", {"unit": "seconds", "delta": -1}),
    ("core.intervaltimer", {"unit": "seconds", "delta": 0}),
    ("core.intervaltimer", {"unit": "seconds", "delta": 1e300}),
    ("core.intervaltimer", {"unit": "days", "delta": 106751991168}),
    ("core.datetimetimer", {"date": "9999-12-31T23:59:59Z"}),
    ("core.datetimetimer", {"date": "292277026596-12-04T15:30:08Z"}),
    ("core.datetimetimer", {"date": "-9999-01-01T00:00:00Z"}),
    ("core.datetimetimer", {"date": "2026-99-99T99:99:99Z"}),
    ("core.datetimetimer", {"date": "2026-01-01T00:00:00+99:99"}),
]
ST2 = ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"]


def hostile():
    """(trigger, parameters) of schedules."""
    for pattern in FIELDS:
        parts = pattern.split()
        for place in range(len(parts)):
            for text in HUGE:
                yield "core.crontimer", {
                    "expression": " ".join([*parts[:place], text, *parts[place + 1 :]])
                }
    for name in ST2:
        for text in HUGE + [2147483647, -1, 9223372036854775807, 1e300]:
            yield "core.st2.CronTimer", {name: text}
    yield from OTHERS


def the_api_takes_or_refuses_each():
    client, bad, taken, count = TARGET.client(), [], 0, 0
    for number, (trigger, parameters) in enumerate(hostile()):
        count += 1
        try:
            status, _, answer = client.request(
                "POST",
                "/api/v1/rules",
                rule(f"cron.r{number}", "core.noop", {}, trigger=trigger, trigger_parameters=parameters),
            )
        except OSError:
            raise AssertionError(f"the server ended at {trigger} {str(parameters)[:200]}") from None
        if status not in (201, 400):
            bad.append((trigger, parameters, status, answer))
        taken += status == 201
        if status == 201:
            client.request("DELETE", f"/api/v1/rules/cron.r{number}")
    wrong(bad)
    print(f"     {count} schedules, {taken} taken")
    TARGET.still_well()


def a_step_that_reaches_nothing_is_refused_by_name():
    for expression in ("1/2147483647 * * * *", "* * */2147483647 * *", "*/61 * * * *"):
        status, _, answer = TARGET.client().request(
            "POST",
            "/api/v1/rules",
            rule(
                "cron.step",
                "core.noop",
                {},
                trigger="core.crontimer",
                trigger_parameters={"expression": expression},
            ),
        )
        assert status == 400 and answer["errors"], (expression, answer)


def pack_of(folder, trigger, parameters):
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "pack.yaml").write_text("name: hostile\nversion: 1.0.0\ndescription: A schedule.\n")
    (folder / "rules/r.yaml").write_text(
        json.dumps(
            {
                "name": "r",
                "description": "x",
                "trigger": {"type": trigger, "ref": trigger, "parameters": parameters},
                "action": {"ref": "core.noop", "parameters": {}},
            }
        )
    )


SOME = [
    ("core.crontimer", {"expression": "1/2147483647 * * * *"}),
    ("core.crontimer", {"expression": "* * */2147483647 * *"}),
    ("core.st2.CronTimer", {"minute": "1/2147483647"}),
    ("core.st2.CronTimer", {"day": "*/2147483647"}),
    ("core.intervaltimer", {"unit": "weeks", "delta": 9223372036854775807}),
    ("core.crontimer", {"expression": "1," * 3000 + "1 * * * *"}),
]


def pack_check_ends_with_an_error():
    folder = TARGET.home / "packs/hostile"
    for trigger, parameters in SOME:
        pack_of(folder, trigger, parameters)
        run = subprocess.run(
            [binary(), "pack", "check", str(folder)], capture_output=True, text=True, timeout=60
        )
        assert 0 <= run.returncode < 10, (parameters, run.returncode, run.stdout[-300:], run.stderr[-300:])


def a_reload_of_such_a_pack_ends_nothing():
    pid = TARGET.pid()
    for number, (trigger, parameters) in enumerate(SOME):
        pack_of(TARGET.home / "packs/hostile", trigger, parameters)
        TARGET.reload()
        until(
            "it has read the packs again",
            lambda: sum(
                line["event"].startswith("packs.") or line["event"].startswith("server.reload")
                for line in TARGET.lines()
            )
            > number,
        )
        TARGET.still_well()
    assert TARGET.pid() == pid


CASES = [
    the_api_takes_or_refuses_each,
    a_step_that_reaches_nothing_is_refused_by_name,
    pack_check_ends_with_an_error,
    a_reload_of_such_a_pack_ends_nothing,
]

(TARGET.home / "packs").mkdir()
TARGET.packs = [TARGET.home / "packs"]
sys.exit(main(TARGET, CASES))
