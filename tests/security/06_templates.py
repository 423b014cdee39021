# SPDX-License-Identifier: Apache-2.0
"""Templates of who may write rules: they cost no more than their budget, reach nothing, and what
comes as data is never evaluated. --calls N: generated ones, --seed N: other ones."""

import json
import random
import re
import sys
import threading

from attack import ROOT, Target, is_sanitized, argument, cloud_event, EVENT, JSON, main, rule, until, wrong
from template_texts import LARGE, ODD, REACH

sys.path.insert(0, str(ROOT / "tests/guides"))
from tables import names, rows  # noqa: E402

TARGET = Target(most_mib=400)
GUIDE = ROOT / "docs/guides/expressions.md"
PAYLOAD = {
    "n": 3,
    "text": "Hello World",
    "big": "ab " * 20_000,
    "list": list(range(500)),
    "nested": [[1, [2, {"a": []}]]],
    "map": {f"k{i}": i for i in range(200)},
    "people": [{"name": "Al", "age": 25}, {"name": "Bo", "age": 3}],
    "json": json.dumps({"a": [1] * 100}),
    "wide": "é😀" * 100,
    "template": "{{ 7 * 7 }}<% 7 * 7 %>",
}
# CPU of a template that uses up its steps: the most that any may cost, but for a factor that is
# for what is not a step, as copying 16 MiB is.
YARDSTICK = 0.0
FACTOR = 24 if is_sanitized() else 12


def test(text, client=None, payload=PAYLOAD):
    """(status, what the parameters came to or None, message)."""
    status, _, answer = (client or TARGET.client()).request(
        "POST",
        "/api/v1/rules/test",
        {"rule": rule("t.t", "core.echo", {"message": text}), "payload": payload},
        timeout=120,
    )
    assert status in (200, 400, 413), (text[:300], status, answer)
    if status != 200:
        return status, None, json.dumps(answer)[:400]
    found = answer["data"]
    if "error" in found:
        return status, None, found["error"]
    return status, found["parameters"]["message"], ""


def calibrate():
    global YARDSTICK
    spent, (_, value, message) = TARGET.cost(lambda: test("{% for i in range(1000000000) %}x{% endfor %}"))
    assert value is None and "steps" in message, (value, message)
    YARDSTICK = max(spent, 0.02)
    print(f"     a million steps: {YARDSTICK:.2f} s of CPU")


BUDGET = r"more than|larger than|steps|memory|output|too large|too deep|nested|budget|at most|depth|longer|bytes|levels"
LEAKS = re.compile(
    r"root:x:|uid=\d|/bin/(ba)?sh|<class|<function|<module|built-in|object at 0x|std::|/usr/|0x[0-9a-f]{12}\b"
)


def within_its_budget(text, found):
    """Runs a template and notes in `found` what it should not have done."""
    before = TARGET.cpu()
    status, value, message = test(text)
    spent = TARGET.cpu() - before
    if spent > FACTOR * YARDSTICK:
        found.append((text[:120], f"{spent:.2f} s of CPU"))
    if LEAKS.search(f"{value}"[:100_000]):
        found.append((text[:120], f"{value}"[:300]))
    return status, value, message


def what_would_be_large_ends_with_a_budgets_error():
    bad = []
    for text in LARGE:
        status, value, message = within_its_budget(text, bad)
        if status == 200 and not (value is None and re.search(BUDGET, message)):
            bad.append((text, f"{value}"[:80], message))
    wrong(bad)
    TARGET.still_well()
    assert TARGET.grown_mib() < (200 if not is_sanitized() else 1600), TARGET.grown_mib()


def odd_numbers_and_deep_texts_cost_little():
    bad = []
    for text in ODD:
        within_its_budget(text, bad)
    wrong(bad)
    TARGET.still_well()


def leaves(value):
    """All texts in a value."""
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in [str(k), *leaves(v)]]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list) else [str(value)]


def nothing_outside_the_language_is_reached():
    bad = []
    for text in REACH:
        status, value, message = within_its_budget(text, bad)
        # What came out is a number, a word, or something that stands in the text itself.
        strange = [
            leaf
            for leaf in leaves(value)
            if not re.fullmatch(r"[\w ():.'{}\[\],]*", leaf) and leaf not in text
        ]
        if strange:
            bad.append((text, strange))
        if LEAKS.search(message.replace(text, "")):
            bad.append((text, message))
    wrong(bad)


def arguments():
    return [
        "0",
        "1",
        "-1",
        "2",
        "3",
        "1000",
        "1000000",
        "10 ** 9",
        "1000000000000",
        "-1000000000000",
        "9223372036854775807",
        "-9223372036854775807",
        "1e308",
        "-1e308",
        "0.0",
        "''",
        "'a'",
        "'abc'",
        "' '",
        "'%s'",
        "'{}'",
        "'{0:>99999999}'",
        "'(a*)*b'",
        "'['",
        "'.'",
        "'a.b.c'",
        "'\\\\'",
        "'1.2.3'",
        "'{\"a\": [1]}'",
        "'a: [1, 2]'",
        "'$..*'",
        "true",
        "false",
        "[]",
        "[1]",
        "[3, 1, 2]",
        "['a', 'b']",
        "[[1, 2], [3]]",
        "{}",
        "T.n",
        "T.text",
        "T.big",
        "T.list",
        "T.nested",
        "T.map",
        "T.people",
        "T.json",
        "T.wide",
        "T.missing",
    ]


def vocabulary():
    """{kind: names}, from the guide, which a test holds complete."""
    found = {"filter": set(), "test": set(), "function": set(), "method": set(), "yaql": set()}
    for row in rows(GUIDE):
        part = row["part"]
        kinds = (
            ["filter"]
            if part.startswith("Jinja: filters")
            else (
                ["test"]
                if part == "Jinja: tests"
                else (
                    ["function"]
                    if part == "Jinja: functions"
                    else (
                        ["method"]
                        if part.startswith("Jinja: methods")
                        else (
                            ["filter", "yaql"]
                            if part.startswith("Functions of both")
                            else ["yaql"] if part.startswith("YAQL:") else []
                        )
                    )
                )
            )
        )
        for kind in kinds:
            found[kind] |= {name for name in names(row["name"]) if re.fullmatch(r"[A-Za-z_]\w*", name)}
    assert all(len(v) >= 5 for v in found.values()) and sum(map(len, found.values())) > 280, found
    return {kind: sorted(some) for kind, some in found.items()}


def generated(rng, words):
    jinja = rng.random() < 0.55
    root = "trigger" if jinja else "$trigger"

    def one():
        return rng.choice(arguments()).replace("T.", f"{root}.")

    def value():
        text = one()
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            text = step(text)
        return text

    def step(text):
        given = ", ".join(one() for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 1, 2, 3))))
        if not jinja:
            lambdas = rng.choice((given, given, "$", "$ > 1", "$1 + $2", "[$, $]", "$ * 2, $"))
            name = rng.choice(words["yaql"])
            return rng.choice(
                (
                    f"({text}).{name}({lambdas})",
                    f"{name}({text})",
                    f"({text}) {rng.choice('+-*/')} ({one()})",
                )
            )
        kind = rng.random()
        if kind < 0.5:
            return f"({text}) | {rng.choice(words['filter'])}({given})"
        if kind < 0.8:
            return f"({text}).{rng.choice(words['method'])}({given})"
        if kind < 0.9:
            return f"({text}) is {rng.choice(words['test'])}({given})"
        if kind < 0.95:
            return f"{rng.choice(words['function'])}({given})"
        return f"({text}) {rng.choice(('+', '-', '*', '**', '/', '//', '%', '~', 'in', '<'))} ({one()})"

    text = step(value())
    return f"{{{{ {text} }}}}" if jinja else f"<% {text} %>".replace("10 ** 9", "1000000000")


def no_call_of_any_name_breaks_out():
    rng, words, bad = random.Random(argument("--seed", 8)), vocabulary(), []
    count, values = argument("--calls", 2500), 0
    client = TARGET.client()
    for _ in range(count):
        text = generated(rng, words)
        before = TARGET.cpu()
        try:
            _, value, message = test(text, client)
        except OSError:
            raise AssertionError(f"the server ended at: {text}") from None
        if TARGET.cpu() - before > FACTOR * YARDSTICK:
            bad.append((text, f"{TARGET.cpu() - before:.2f} s of CPU"))
        if LEAKS.search(f"{value}"[:20_000]) or LEAKS.search(message.replace(text, "")[:20_000]):
            bad.append((text, f"{value}"[:200], message[:300]))
        values += value is not None
    wrong(bad)
    print(f"     {count} templates, {values} gave a value")
    assert values > count // 10, "too few that mean something"


def what_comes_as_data_is_never_evaluated():
    """Not a caller's parameters, not an event's payload, not a key's value."""
    client = TARGET.client()
    texts = [
        "{{ 7 * 7 }}",
        "<% 7 * 7 %>",
        "{% for i in range(3) %}x{% endfor %}",
        "{{ st2kv('system.x') }}",
        "${7*7}",
        "#{7*7}",
        "{# c #}",
    ]
    row = client.data(
        "POST", "/api/v1/executions?wait=30s", {"action": "core.echo", "parameters": {"message": texts}}
    )
    assert row["status"] == "succeeded" and texts == json.loads(json.dumps(row["result"]))["output"], row
    for text in texts:
        for use in (
            "{{ trigger.x }}",
            "<% $trigger.x %>",
            "{{ [trigger.x] | first }}",
            "{{ trigger.x ~ '' }}",
        ):
            assert test(use, payload={"x": text})[1] == text, (use, text)
        client.data("PUT", "/api/v1/keys/system/data", {"value": text})
        assert test("{{ st2kv('system.data') }}")[1] == text, text
    assert test("{{ trigger.x }}", payload={"x": {"{{ 1 }}": ["<% 2 %>"]}})[1] == {"{{ 1 }}": ["<% 2 %>"]}
    client.data("POST", "/api/v1/rules", rule("t.echo", "core.echo", {"message": "{{ trigger.data.x }}"}))
    client.data("POST", "/api/v1/events", json.dumps(cloud_event("s", "1", data={"x": texts})), EVENT)
    until(
        "the rule has run",
        lambda: sum(r["status"] == "succeeded" for r in client.data("GET", "/api/v1/executions")) == 2,
    )
    found = [
        client.data("GET", f"/api/v1/executions/{r['id']}")
        for r in client.data("GET", "/api/v1/executions")
    ]
    assert [r["parameters"]["message"] for r in found] == [texts, texts], found


def many_at_once_hold_no_more_than_a_few():
    """Evaluations of the API take turns: 24 that each take all they may hold less than 6 would."""
    eater = (
        "{% set ns = namespace(a='a') %}{% for i in range(100) %}{% set ns.a = ns.a + ns.a %}{% endfor %}"
    )
    base = TARGET.rss_kib()
    TARGET.peak_kib = base
    _, one = test(eater)[1:], TARGET.peak_kib

    def eat():
        client = TARGET.client()
        for _ in range(2):
            test(eater, client)
        client.close()

    threads = [threading.Thread(target=eat) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    TARGET.still_well()
    grown = (TARGET.peak_kib - base) >> 10
    print(f"     24 at once: {grown} MiB more")
    assert grown < 6 * 95, grown


CASES = [
    calibrate,
    what_would_be_large_ends_with_a_budgets_error,
    odd_numbers_and_deep_texts_cost_little,
    nothing_outside_the_language_is_reached,
    no_call_of_any_name_breaks_out,
    what_comes_as_data_is_never_evaluated,
    many_at_once_hold_no_more_than_a_few,
]

sys.exit(main(TARGET, CASES))
