# SPDX-License-Identifier: Apache-2.0
"""No input costs more than it is long: what once ended, froze or filled the server is refused, or costs
what an honest input of its size does, a factor aside. Who pays for it is told; others go on."""

import json
import sys

from attack import EVENT, JSON, Target, cloud_event, everything, main, rule, until, wrong

TARGET = Target(most_mib=400)
# Seconds of CPU of an honest MiB of JSON, and how many times of it an attack may cost.
YARDSTICK = 0.0
FACTOR = 20


def post(path, body, headers=JSON):
    client = TARGET.client()
    text = body if isinstance(body, str) else json.dumps(body)
    status, _, answer = client.request("POST", path, text, headers, timeout=120)
    client.close()
    return status, answer


def spend(what, call, bad, most=None):
    spent, value = TARGET.cost(call)
    if spent > (most or FACTOR * YARDSTICK):
        bad.append((what, f"{spent:.2f} s of CPU"))
    return value


def calibrate():
    global YARDSTICK
    body = json.dumps({"action": "core.noop", "parameters": {"a": [{"b": i} for i in range(90_000)]}})
    spent, _ = TARGET.cost(lambda: post("/api/v1/executions", body))
    YARDSTICK = max(spent, 0.05)
    print(f"     an honest MiB: {YARDSTICK:.2f} s of CPU")


def murmur_collisions(count):
    """Keys of one hash under libstdc++'s std::hash (MurmurHash64A with its fixed seed)."""
    mul, mask = 0xC6A4A7935BD1E995, (1 << 64) - 1
    inverse = pow(mul, -1, 1 << 64)

    def mix(v):
        return v ^ (v >> 47)

    def step(state, data):
        return ((state ^ (mix(data * mul & mask) * mul & mask)) * mul) & mask

    def plain(x):
        return (x & 0x0F0F0F0F0F0F0F0F) | 0x6060606060606060

    def is_plain(x):
        return all(0x20 <= c <= 0x7E and c not in b'"\\' for c in x.to_bytes(8, "little"))

    pairs = max(1, (count - 1).bit_length())
    state, random, blocks = (0xC70F6907 ^ (pairs * 16 * mul)) & mask, 1, []
    for _ in range(pairs):
        random = random * 6364136223846793005 + 1442695040888963407 & mask
        first, second = plain(random), plain(random * 31 & mask)
        target = step(step(state, first), second)
        while True:
            random = random * 6364136223846793005 + 1442695040888963407 & mask
            other = plain(random)
            last = mix((target * inverse ^ step(state, other)) * inverse & mask) * inverse & mask
            if is_plain(last):
                break
        blocks.append([a.to_bytes(8, "little") + b.to_bytes(8, "little") for a, b in ((first, second), (other, last))])
        state = target
    return ["".join(b[k >> i & 1].decode() for i, b in enumerate(blocks)) for k in range(count)]


def keys_that_collide_cost_what_others_do():
    bad = []
    keys = murmur_collisions(9_000)
    for path, body, headers in (
        ("/api/v1/executions", {"action": "core.noop", "parameters": {"a": dict.fromkeys(keys, 1)}}, JSON),
        ("/api/v1/events", cloud_event("s", "1", data=dict.fromkeys(keys, 1)), EVENT),
    ):
        spend(path, lambda p=path, b=body, h=headers: post(p, b, h), bad)
    more = {"action": "core.noop", "parameters": {"a": dict.fromkeys(murmur_collisions(44_000), 1)}}
    status, answer = spend("44,000 keys", lambda: post("/api/v1/executions", more), bad)
    if status != 400 or "10000 keys" not in answer["detail"]:
        bad.append(("44,000 keys", status, answer))
    wrong(bad)


def a_number_ends_no_server():
    bad = []
    for expression in ("1/2147483647 * * * *", "* * */2147483647 * *", "*/60 * * * *"):
        body = rule("a.cron", "core.noop", {}, trigger="core.crontimer", trigger_parameters={"expression": expression})
        status, answer = post("/api/v1/rules", body)
        if status != 400 or "expected a step from 1 to" not in json.dumps(answer):
            bad.append((expression, status, answer))
    for ttl in (1e300, 1e18):
        status, answer = post("/api/v1/executions", {"action": "core.ask", "parameters": {"prompt": "?", "ttl": ttl}})
        if status not in (201, 400):
            bad.append((ttl, status, answer))
        elif status == 201:
            path = f"/api/v1/executions/{answer['data']['id']}"
            row = until("it ends", lambda p=path: (r := TARGET.client().data("GET", p))["status"] == "failed" and r)
            assert "100 years" in json.dumps(row), row
    wrong(bad)
    TARGET.still_well()


def output_is_counted_before_it_is_made():
    for number, (filter_name, indent) in enumerate(
        (f, i) for f in ("tojson", "to_json_string", "json_dump") for i in (9 * 10**18, 2 * 10**9, 10**12)
    ):
        message = "{{ [1] | %s(%d) }}" % (filter_name, indent)
        assert post("/api/v1/rules", rule(f"a.indent{number}", "core.echo", {"message": message},
                                          trigger="core.intervaltimer", trigger_parameters={"interval": 1, "unit": "seconds"}))[0] == 201
    until("all have failed", lambda: len({row["rule"] for row in everything(TARGET.client(), "/api/v1/enforcements")
                                          if row["status"] == "failed"}) >= 9)
    for number in range(9):
        TARGET.client().request("DELETE", f"/api/v1/rules/a.indent{number}")
    assert TARGET.grown_mib() < 200, TARGET.grown_mib()
    TARGET.still_well()


def inspections_cost_what_they_are_long():
    def ladder(n):
        text = "version: 1.0\ntasks:\n"
        for i in range(n):
            text += (f"  t{i}:\n    action: core.noop\n    next:\n      - when: <% succeeded() %>\n"
                     f"        publish: [{{v{i}: 1}}]\n        do: t{i + 1}\n"
                     f"      - when: <% failed() %>\n        do: t{i + 1}\n")
        return text + f"  t{n}:\n    action: core.noop\n"

    unset = ("version: 1.0\nvars:\n" + "".join(f"  - variable{i}: 1\n" for i in range(8_000)) +
             "tasks:\n  t:\n    action: core.noop\n    input:\n" +
             "".join(f"      i{i}: <% ctx().varable{i} %>\n" for i in range(8_000)))
    texts = {
        "a ladder": ladder(400),
        "unset variables": unset,
        "a key given 40,000 times": "a: 1\n" * 40_000,
        "bad tags": "- !!x 1\n" * 90_000,
        "calls that do not close": "version: 1.0\ntasks:\n  t:\n    action: <% " + "ctx(" * 100_000 + " %>\n",
        "inline parameters": "version: 1.0\ntasks:\n  t:\n    action: core.noop " + "a=[" * 100_000 + "\n",
    }
    bad = []
    for what, text in texts.items():
        body = {"text": text, "language": "orquesta"}
        status, answer = spend(what, lambda b=body: post("/api/v1/workflows/inspect", b), bad)
        if status != 200 or len(json.dumps(answer)) > 256 << 10:
            bad.append((what, status, f"{len(json.dumps(answer))} bytes"))
    wrong(bad)


def one_budget_over_all_rules_of_an_event():
    bad = []
    hostile = {"trigger.data.x": {"type": "regex", "pattern": "(a?){1000}b"}}
    honest = {"trigger.data.x": {"type": "regex", "pattern": "^a+$"}}
    assert post("/api/v1/rules", rule("b.hostile", "core.noop", {}, hostile))[0] == 201
    assert post("/api/v1/rules", rule("b.honest", "core.noop", {}, honest))[0] == 201
    for i in range(80):
        loop = "{% for i in range(9000) %}{% for k in range(900) %}{% endfor %}{% endfor %}x"
        assert post("/api/v1/rules", rule(f"b.loop{i}", "core.echo", {"message": loop}, honest))[0] == 201
    event = cloud_event("s", "costly", data={"x": "a" * 900_000})
    status, answer = spend("82 rules", lambda: post("/api/v1/events", event, EVENT), bad)
    assert status == 202, answer
    identifier = answer["data"][0]["event"] if isinstance(answer["data"], list) else answer["data"]["event"]
    rows = {row["rule"]: row for row in everything(TARGET.client(), f"/api/v1/enforcements?event={identifier}")}
    assert rows["b.hostile"]["status"] == "failed" and "steps" in rows["b.hostile"]["error"], rows["b.hostile"]
    assert rows["b.honest"]["status"] != "failed", rows["b.honest"]
    for i in range(80):
        TARGET.client().request("DELETE", f"/api/v1/rules/b.loop{i}")
    wrong(bad)
    TARGET.still_well()


def schemas_have_a_budget():
    bad = []
    for what, schema, response in (
        ("uniqueItems", {"uniqueItems": True}, list(range(60_000))),
        ("patternProperties", {"patternProperties": {f"^a{{{i + 1}}}$": True for i in range(30)}},
         {f"name{i}": 1 for i in range(2_000)}),
        ("anyOf", {"items": {"anyOf": [{"enum": [-1 - i]} for i in range(5_000)]}}, list(range(20_000))),
        ("enum", {"items": {"enum": [f"choice {i}" for i in range(500)]}}, [f"wrong {i}" for i in range(3_000)]),
        ("pattern", {"pattern": "(a?){1000}b"}, "a" * 900_000),
    ):
        row = TARGET.client().data("POST", "/api/v1/executions",
                                   {"action": "core.ask", "parameters": {"prompt": "?", "schema": schema}})
        until("it waits", lambda r=row: TARGET.client().data("GET", f"/api/v1/executions/{r['id']}")["status"] == "pending")
        path = f"/api/v1/inquiries/{row['id']}/answer"
        status, answer = spend(what, lambda p=path, r=response: post(p, {"response": r}), bad)
        if len(json.dumps(answer)) > 256 << 10:
            bad.append((what, status, f"{len(json.dumps(answer))} bytes"))
    wrong(bad)
    TARGET.still_well()


CASES = [
    calibrate,
    keys_that_collide_cost_what_others_do,
    a_number_ends_no_server,
    output_is_counted_before_it_is_made,
    inspections_cost_what_they_are_long,
    one_budget_over_all_rules_of_an_event,
    schemas_have_a_budget,
]

sys.exit(main(TARGET, CASES))
