# SPDX-License-Identifier: Apache-2.0
"""One decision costs no more than its budget, whatever a rule, an event or a question holds (review, H5).

The yardstick is a rule whose template uses up its steps; the worst of the review cost hundreds of it.
"""

import json
import pathlib
import sys

from attack import EVENT, JSON, Target, cloud_event, main, rule, until, wrong

PACK = pathlib.Path(__file__).parent / "packs/probe"
TARGET = Target(packs=[PACK], most_mib=400)
YARDSTICK = 0.0
FACTOR = 15
NUMBER = iter(range(1, 1 << 30))
BURN = "{% for i in range(1000000000) %}x{% endfor %}"
KIND = {"trigger.type": {"type": "equals", "pattern": "heavy"}}


def send(data, kind="heavy"):
    """The id of an event, once it has been decided."""
    client = TARGET.client()
    status, _, answer = client.request(
        "POST",
        "/api/v1/events",
        json.dumps(cloud_event("s", str(next(NUMBER)), kind, data)),
        EVENT,
        timeout=120,
    )
    client.close()
    assert status == 202, (status, str(answer)[:300])
    return status


def with_rules(rules, data):
    """CPU of an event that these rules meet; they are gone after it. None: they were refused."""
    client, made = TARGET.client(), []
    for body in rules:
        status, _, answer = client.request("POST", "/api/v1/rules", body)
        assert status in (201, 400), (status, str(answer)[:300])
        if status == 201:
            made.append(body["ref"])
    spent, _ = TARGET.cost(lambda: send(data)) if made else (0, None)
    for ref in made:
        client.request("DELETE", f"/api/v1/rules/{ref}")
    client.close()
    return spent


def calibrate():
    global YARDSTICK
    YARDSTICK = max(with_rules([rule("heavy.burn", "core.echo", {"message": BURN}, KIND)], {}), 0.05)
    print(f"     a million steps: {YARDSTICK:.2f} s of CPU")


def matching(pattern, kind="regex"):
    return [
        rule("heavy.r", "core.noop", {}, {**KIND, "trigger.data.x": {"type": kind, "pattern": pattern}})
    ]


def showing(text):
    return [rule("heavy.r", "core.echo", {"message": text}, KIND)]


BIG = "a" * 900_000
RULES = {
    "a regex of 1000 times": lambda: with_rules(matching("(a?){1000}b"), {"x": BIG}),
    "a regex of 1000 times, nested": lambda: with_rules(matching("((a?){30}){30}b"), {"x": BIG}),
    "iregex": lambda: with_rules(matching("(A?){1000}b", "iregex"), {"x": BIG}),
    "matchregex": lambda: with_rules(matching("(a|aa|aaa){1,500}b", "matchregex"), {"x": BIG}),
    "a regex of Unicode": lambda: with_rules(matching("(\\pL?){400}\\d"), {"x": "é" * 400_000}),
    "contains": lambda: with_rules(matching("a" * 400_000 + "b", "contains"), {"x": BIG}),
    "1000 times the age of a long text": lambda: with_rules(
        [
            rule(
                "heavy.r",
                "core.noop",
                {},
                {
                    **KIND,
                    **{f"trigger.data.x#{i}": {"type": "td_gt", "pattern": -i} for i in range(990)},
                },
            )
        ],
        {"x": "2026-01-31T12:00:00." + "1" * 900_000 + "Z"},
    ),
    "search": lambda: with_rules(
        [
            rule(
                "heavy.r",
                "core.noop",
                {},
                {
                    **KIND,
                    "trigger.data.x": {
                        "type": "search",
                        "condition": "any",
                        "pattern": {"item.v": {"type": "regex", "pattern": "(a?){500}b"}},
                    },
                },
            )
        ],
        {"x": [{"v": "a" * 900}] * 900},
    ),
    "YAQL regex().search": lambda: with_rules(
        showing("<% regex('(a?){1000}b').search($trigger.data.x) %>"), {"x": BIG}
    ),
    "YAQL =~": lambda: with_rules(showing("<% $trigger.data.x =~ '(a?){1000}b' %>"), {"x": BIG}),
    "YAQL matches": lambda: with_rules(showing("<% $trigger.data.x.matches('(a?){1000}b') %>"), {"x": BIG}),
    "YAQL searchAll": lambda: with_rules(
        showing("<% regex('(a?){1000}').searchAll($trigger.data.x).len() %>"), {"x": BIG}
    ),
    "YAQL regex replace": lambda: with_rules(
        showing("<% regex('(a?){500}b').replace($trigger.data.x, 'c') %>"), {"x": BIG}
    ),
    "regex_match": lambda: with_rules(
        showing("{{ trigger.data.x | regex_match('(a?){1000}b') }}"), {"x": BIG}
    ),
    "regex_search": lambda: with_rules(
        showing("{{ trigger.data.x | regex_search('(a?){1000}b') }}"), {"x": BIG}
    ),
    "regex_replace": lambda: with_rules(
        showing("{{ trigger.data.x | regex_replace('(a?){1000}b', 'c') }}"), {"x": BIG}
    ),
    "jsonpath": lambda: with_rules(
        showing("{{ trigger.data | jsonpath_query('$..*..*..*') | length }}"), {"x": [[[1] * 30] * 30] * 30}
    ),
    "40 rules at their limit": lambda: with_rules(
        [rule(f"heavy.r{i}", "core.echo", {"message": BURN}, KIND) for i in range(40)], {}
    ),
    "40 rules with a regex": lambda: with_rules(
        [{**matching("(a?){300}b")[0], "ref": f"heavy.r{i}"} for i in range(40)], {"x": BIG}
    ),
    "300 keys after 300,000 steps": lambda: with_rules(
        showing(
            "{% for i in range(300000) %}{% endfor %}"
            + "".join(f"{{{{ st2kv('system.none{i}') }}}}" for i in range(300))
        ),
        {},
    ),
    "300 keys of made names": lambda: with_rules(
        showing(
            "{% for i in range(100000) %}{% endfor %}{% for i in range(300) %}{{ st2kv('system.none' ~ i) }}{% endfor %}"
        ),
        {},
    ),
}


def no_rule_costs_more_than_its_budget():
    bad = []
    for what, attack in RULES.items():
        spent = attack()
        if spent > FACTOR * YARDSTICK:
            bad.append((what, f"{spent:.2f} s of CPU"))
    wrong(bad)
    TARGET.still_well()


def question(schema):
    row = TARGET.client().data(
        "POST",
        "/api/v1/executions",
        {"action": "core.ask", "parameters": {"prompt": "?", "schema": schema}},
    )
    until(
        "it waits",
        lambda: TARGET.client().data("GET", f"/api/v1/executions/{row['id']}")["status"]
        in ("pending", "failed"),
    )
    return row["id"]


SCHEMAS = {
    "uniqueItems": ({"type": "array", "uniqueItems": True}, list(range(60_000))),
    "uniqueItems of maps": ({"type": "array", "uniqueItems": True}, [{"a": i} for i in range(40_000)]),
    "uniqueItems of numbers": ({"type": "array", "uniqueItems": True}, [i + 0.5 for i in range(60_000)]),
    "patternProperties": (
        {
            "type": "object",
            "patternProperties": {f"^x{i}[a-z]{{0,50}}$": {"type": "integer"} for i in range(30)},
        },
        {f"y{i}": 1 for i in range(2_000)},
    ),
    "patternProperties and a large program": (
        {"type": "object", "patternProperties": {"(a?){900}b": {}}},
        {"a" * 400 + str(i): 1 for i in range(1_000)},
    ),
    "pattern": ({"type": "string", "pattern": "(a?){1000}b"}, BIG),
    "pattern of items": (
        {"type": "array", "items": {"type": "string", "pattern": "(a?){500}b"}},
        ["a" * 90] * 8_000,
    ),
    "anyOf": (
        {"type": "array", "items": {"anyOf": [{"const": f"c{i}"} for i in range(2_000)]}},
        list(range(10_000)),
    ),
    "oneOf": (
        {"type": "array", "items": {"oneOf": [{"type": "integer", "minimum": i} for i in range(2_000)]}},
        list(range(10_000)),
    ),
    "allOf": ({"type": "array", "items": {"allOf": [{"minimum": 5}] * 3_000}}, [1] * 10_000),
    "enum": ({"type": "array", "items": {"enum": [f"e{i}" for i in range(500)]}}, [1] * 3_000),
    "enum of large ones": (
        {"type": "array", "items": {"enum": ["e" * 2000 + str(i) for i in range(200)]}},
        ["e" * 2000] * 300,
    ),
    "nested anyOf": (None, [1] * 3),
    "required": ({"type": "array", "items": {"required": [f"r{i}" for i in range(1_000)]}}, [{}] * 3_000),
    "additionalProperties": (
        {"type": "array", "items": {"additionalProperties": False}},
        [{f"p{i}": 1 for i in range(50)}] * 1_000,
    ),
    "contains": ({"type": "array", "contains": {"enum": list(range(3_000))}}, ["x"] * 20_000),
}


def nested(depth):
    schema = {"type": "string"}
    for _ in range(depth):
        schema = {"anyOf": [schema, schema]}
    return {"type": "array", "items": schema}


def no_answer_costs_more_than_its_budget():
    bad = []
    for what, (schema, response) in SCHEMAS.items():
        client = TARGET.client()
        asked, inquiry = TARGET.cost(
            lambda schema=schema: (
                question(schema or nested(20 if schema is None else 0)) if schema else None
            )
        )
        if inquiry is None:
            continue
        body = json.dumps({"response": response})
        assert len(body) < 1 << 20, (what, len(body))
        spent, (status, _, answer) = TARGET.cost(
            lambda: client.request("POST", f"/api/v1/inquiries/{inquiry}/answer", body, JSON, timeout=200)
        )
        client.close()
        if asked + spent > FACTOR * YARDSTICK:
            bad.append((what, f"{asked:.2f} s to ask, {spent:.2f} s of CPU to answer"))
        if status not in (200, 400, 404, 409, 422):
            bad.append((what, status, str(answer)[:200]))
        if len(json.dumps(answer)) > 2_500_000:
            bad.append((what, f"an answer of {len(json.dumps(answer))} bytes"))
    wrong(bad)
    TARGET.still_well()


def a_schema_that_doubles_is_bounded():
    """20 anyOf in each other are a million ways; sent as short text it cannot be, as parameters it can."""
    shared = nested(12)
    spent, inquiry = TARGET.cost(lambda: question(shared))
    more, _ = TARGET.cost(
        lambda: TARGET.client().request(
            "POST", f"/api/v1/inquiries/{inquiry}/answer", {"response": [1] * 3_000}, timeout=200
        )
    )
    assert spent + more < FACTOR * YARDSTICK, f"{spent:.2f} s and {more:.2f} s of CPU"


def large_output_is_parsed_elsewhere():
    """A pack's action says it speaks YAML, and says 12 MiB of it."""
    row = TARGET.client().data(
        "POST",
        "/api/v1/executions?wait=120s",
        {"action": "probe.yaml", "parameters": {"script": "yes '- [a, {b: c}, \"d\"]' | head -c 12000000"}},
    )
    assert row["status"] in ("succeeded", "failed"), row["status"]
    TARGET.still_well()


def enforced():
    """The enforcements of the newest event."""
    client = TARGET.client()
    event = client.data("GET", "/api/v1/events?limit=1")[0]["id"]
    return client.data("GET", f"/api/v1/enforcements?event={event}&limit=200")


def a_rule_that_asks_for_too_many_keys_fails_alone():
    """It took the event with it, and every other rule on it."""
    client = TARGET.client()
    loop = "{% for i in range(3000) %}{{ st2kv('system.' ~ trigger.data.x ~ i, default='') }}{% endfor %}"
    chain = (
        "{% set ns = namespace(k='system.a') %}{% for i in range(300) %}"
        "{% set ns.k = ns.k ~ st2kv(ns.k, default='a') %}{% endfor %}"
    )
    for ref, text in (("heavy.loop", loop), ("heavy.chain", chain), ("heavy.plain", "{{ trigger.id }}")):
        client.data("POST", "/api/v1/rules", rule(ref, "core.echo", {"message": text}, KIND))
    spent, _ = TARGET.cost(lambda: send({"x": "k"}))
    rows = enforced()
    for ref in ("heavy.loop", "heavy.chain", "heavy.plain"):
        client.request("DELETE", f"/api/v1/rules/{ref}")
    assert sorted(row["status"] for row in rows) == ["created", "failed", "failed"], rows
    assert all("keys at most" in row["error"] for row in rows if row["status"] == "failed"), rows
    assert spent < FACTOR * YARDSTICK, (spent, YARDSTICK)
    assert client.data("GET", "/health")["status"] == "ok"


def a_large_key_is_read_once():
    client = TARGET.client()
    client.data("PUT", "/api/v1/keys/system/large", {"value": {f"k{i}": i for i in range(4000)}})
    loop = "{% for i in range(100000) %}{% set x = st2kv('system.large') %}{% endfor %}"
    spent = with_rules(showing(loop), {})
    assert spent < FACTOR * YARDSTICK, (spent, YARDSTICK)


def what_many_rules_hand_on_is_bounded():
    """An event of a megabyte, handed on by each of 75 rules and of 150: some 45 are the limit.

    Bytes are written, which a sanitizer makes dearer than the steps of the yardstick: so twice the
    rules against half of them.
    """
    rules = [
        rule(f"heavy.r{i}", "core.echo", {"message": "{{ trigger.data.x }}"}, KIND) for i in range(150)
    ]
    half, spent = with_rules(rules[:75], {"x": BIG}), with_rules(rules, {"x": BIG})
    print(f"     75 rules: {half:.2f} s, 150: {spent:.2f} s of CPU")
    assert spent < 1.5 * half + YARDSTICK, (spent, half)
    assert spent < 3 * FACTOR * YARDSTICK, (spent, YARDSTICK)
    TARGET.still_well()


def what_a_workflow_publishes_is_bounded():
    """A result of megabytes, published under 60 names; and 800 items that each read another key."""
    client = TARGET.client()

    def ended(action):
        made = client.data("POST", "/api/v1/executions", {"action": action})
        path = f"/api/v1/executions/{made['id']}"
        going_on = ("requested", "scheduled", "running")
        until(f"{action} ends", lambda: client.data("GET", path)["status"] not in going_on, 120)
        return client.data("GET", path)

    row = ended("probe.publishes")
    assert row["status"] == "failed", row["status"]
    assert "too large" in json.dumps(row["result"]), str(row["result"])[:300]
    row = ended("probe.reads_keys")
    assert row["status"] == "succeeded", str(row)[:500]


CASES = [
    calibrate,
    no_rule_costs_more_than_its_budget,
    no_answer_costs_more_than_its_budget,
    a_schema_that_doubles_is_bounded,
    large_output_is_parsed_elsewhere,
    a_rule_that_asks_for_too_many_keys_fails_alone,
    a_large_key_is_read_once,
    what_many_rules_hand_on_is_bounded,
    what_a_workflow_publishes_is_bounded,
]

sys.exit(main(TARGET, CASES))
