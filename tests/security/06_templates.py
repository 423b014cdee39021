# SPDX-License-Identifier: Apache-2.0
"""Templates of who may write rules: they cost no more than their budget, reach nothing, and what
comes as data is never evaluated. --calls N: generated ones, --seed N: other ones."""

import json
import random
import re
import sys
import threading

from attack import ROOT, Target, is_sanitized, argument, cloud_event, EVENT, JSON, main, rule, until, wrong

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
# What would be large or long: ends with a budget's error, whatever it calls it.
LARGE = [
    "{{ 'a' * 10000000000 }}",
    "{{ 'ab' * 9223372036854775807 }}",
    "{{ [0] * 1000000000000 }}",
    "{{ ([0] * 1000) * 10000000 }}",
    "{{ (('a' * 10000) * 10000) * 10000 }}",
    "<% 'a' * 10000000000 %>",
    "<% [0] * 1000000000000 %>",
    "<% ('a' * 100000) * 100000 %>",
    "{{ range(1000000000000) | list }}",
    "{{ range(1000000000000) | sum }}",
    "{{ range(1000000000) | join }}",
    "<% range(1000000000000).toList() %>",
    "<% range(1000000000000).sum() %>",
    "<% range(1000000000).len() %>",
    "{{ 'a'.center(10000000000) }}",
    "{{ 'a'.ljust(10000000000) }}",
    "{{ 'a'.rjust(10000000000) }}",
    "{{ 'a'.zfill(10000000000) }}",
    "{{ 'a' | center(10000000000) }}",
    "{{ 'a' | indent(100000000000, true) }}",
    "{{ '%100000000000d' % 1 }}",
    "{{ '%.100000000000f' % 1 }}",
    "{{ '%*d' % (100000000000, 1) }}",
    "{{ '{:>100000000000}'.format(1) }}",
    "{{ '{:.100000000000f}'.format(1.0) }}",
    "{{ 'a'.replace('a', 'b' * 10000000) * 10 }}",
    "{{ (trigger.big).replace('', trigger.big) }}",
    "{{ trigger.big | replace('a', trigger.big) }}",
    "{{ trigger.big.join(trigger.big) }}",
    "{{ trigger.big | list | join(trigger.big) }}",
    "<% trigger.big.replace('a', trigger.big) %>".replace("trigger", "$trigger"),
    "{% for i in range(1000000000) %}{% for j in range(1000000000) %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(a='a') %}{% for i in range(100) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    "{% set ns = namespace(a=[1]) %}{% for i in range(100) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    "{% set ns = namespace(a=[1]) %}{% for i in range(100) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(x) %}{{ f(x + 1) }}{{ f(x + 1) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{% for i in [1] recursive %}{{ loop([i]) }}{% endfor %}",
    "{{ [1, 2, 3] | batch(100000000000, 0) | list }}",
    "{{ [1] | slice(10000000000) | list }}",
    "{{ 'a' | wordwrap(1) * 10000000000 }}",
    "<% [1].cycle().toList() %>",
    "<% [1].cycle().sum() %>",
    "<% 'a'.repeat(10000000000) %>",
    "<% generate(1, true, $ + 1).toList() %>",
    "<% generate(1, true, $ * 2).last() %>",
    "<% generateMany(1, [$ + 1, $ + 2]).toList() %>",
    "<% generateMany(1, [$]).toList() %>",
    "<% [1].cycle().join([1].cycle(), true, 1).toList() %>",
    "<% range(100000).join(range(100000), true, 1).len() %>",
    "<% range(3000).select(range(3000)).flatten().len() %>",
    "<% [0].cycle().orderBy($) %>",
    "<% sequence().skip(1000000000000).first() %>",
    "<% pow(10, 1000000000) %>",
    "<% shiftBitsLeft(1, 1000000000000) %>",
]
# Large numbers, deep and long texts: an error or a value, at no great cost.
ODD = [
    "<% range(12).permutations().toList() %>",
    "<% range(40).permutations(20).first() %>",
    "{{ 9 ** 9999999 }}",
    "{{ 2 ** 9223372036854775807 }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ -9223372036854775808 // -1 }}",
    "{{ -9223372036854775808 % -1 }}",
    "{{ 1 // 0 }}",
    "{{ 1 % 0 }}",
    "{{ 1 / 0 }}",
    "{{ 9223372036854775807 + 1 }}",
    "{{ -9223372036854775808 - 1 }}",
    "{{ 9223372036854775807 * 9223372036854775807 }}",
    "{{ -(-9223372036854775808) }}",
    "{{ 1e308 * 10 }}",
    "{{ (1e308 * 10) - (1e308 * 10) }}",
    "{{ (1e308 * 10) | int }}",
    "{{ ('nan' | float) | int }}",
    "{{ [1, 2, 3][9223372036854775807] }}",
    "{{ [1, 2, 3][-9223372036854775808] }}",
    "{{ [1, 2, 3][::9223372036854775807] }}",
    "{{ [1, 2, 3][::-9223372036854775808] }}",
    "{{ 'abc'[::0] }}",
    "{{ 'abc'[-9223372036854775808:9223372036854775807:-1] }}",
    "{{ range(0, 9223372036854775807, 9223372036854775806) | list }}",
    "{{ range(-9223372036854775808, 9223372036854775807) | length }}",
    "{{ range(0, 10, 0) }}",
    "{{ 1.5 | round(9223372036854775807) }}",
    "{{ 1.5 | round(-9223372036854775808) }}",
    "{{ 12345 | round(-400) }}",
    "{{ 'a' | truncate(-9223372036854775808) }}",
    "{{ 'a b' | truncate(9223372036854775807, true, '', 0) }}",
    "{{ 'a' | wordwrap(0) }}",
    "{{ 'a' | wordwrap(-1) }}",
    "{{ [1] | batch(0) | list }}",
    "{{ [1] | batch(-1) | list }}",
    "{{ [1] | slice(0) | list }}",
    "{{ [1] | slice(-1) | list }}",
    "{{ '%c' % 1114112 }}",
    "{{ '%c' % -1 }}",
    "{{ '%c' % 55296 }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0[0]}'.format([1]) }}",
    "{{ '{:{}}'.format(1, 100000000000) }}",
    "{{ '{:n}'.format(1) }}",
    "{{ '{' * 1000 }}",
    "{{ '%' % () }}",
    "{{ '%(' % {} }}",
    "{{ 'a'.split('') }}",
    "{{ ''.split(none, -9223372036854775808) }}",
    "{{ 9223372036854775807 | filesizeformat }}",
    "{{ -1e308 | filesizeformat(true) }}",
    "{{ -9223372036854775808 | abs }}",
    "{{ 9223372036854775808 }}",
    "{{ 99999999999999999999999999999999 }}",
    "{{ 1e999 }}",
    "{{ 0x7fffffffffffffffff }}",
    "{{ 1_000_000 }}",
    "{{ '\\ud800' }}",
    "{{ '\\U00110000' }}",
    "{{ '\\x' }}",
    "<% 9223372036854775807 + 1 %>",
    "<% -9223372036854775807 - 2 %>",
    "<% -9223372036854775808 / -1 %>",
    "<% 1 / 0 %>",
    "<% 1 mod 0 %>",
    "<% -9223372036854775808 mod -1 %>",
    "<% abs(-9223372036854775808) %>",
    "<% pow(2, -1000000) %>",
    "<% pow(0, -1) %>",
    "<% round(1.5, 9223372036854775807) %>",
    "<% shiftBitsRight(1, -1) %>",
    "<% shiftBitsLeft(1, 64) %>",
    "<% [1, 2].take(9223372036854775807) %>",
    "<% [1, 2].skip(-9223372036854775808) %>",
    "<% [1].slice(0) %>",
    "<% [1].slice(-1).toList() %>",
    "<% [1].insert(9223372036854775807, 1) %>",
    "<% [1].delete(-9223372036854775808) %>",
    "<% 'abc'.substring(9223372036854775807) %>",
    "<% 'abc'.substring(-9223372036854775808, 9223372036854775807) %>",
    "<% range(0, 9223372036854775807, 9223372036854775806).toList() %>",
    "<% range(0, 10, 0).take(3) %>",
    "<% sequence(9223372036854775807).take(3) %>",
    "<% [[1, 2]].unpack(a, b, c) %>",
    "<% 'a'.split('') %>",
    "<% random(9223372036854775807, -9223372036854775808) %>",
    "<% dict([[1]]) %>",
    "<% [1].toDict() %>",
    "{{ '(' * 100000 }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "{{ " + "(" * 5000,
    "{{ " + "-" * 100_000 + "1 }}",
    "{{ " + "not " * 20_000 + "1 }}",
    "{{ 1" + " + 1" * 100_000 + " }}",
    "{{ 1" + " ** 1" * 20_000 + " }}",
    "{{ 1" + " if 1 else 1" * 20_000 + " }}",
    "{{ a" + ".a" * 100_000 + " }}",
    "{{ 1" + " | abs" * 20_000 + " }}",
    "{{ '" + "a" * 500_000 + "' }}",
    "{{ " + "'a' ~ " * 50_000 + "'a' }}",
    "{{ [" + "1, " * 100_000 + "] | length }}",
    "{{ {" + "'a': 1, " * 50_000 + "} | length }}",
    "{{ a[" * 5000,
    "{% if 1 %}" * 5000,
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{% for a in b %}" * 5000,
    "{#" * 50_000,
    "{%" * 50_000,
    "{{ x is " + "not " * 5000 + "defined }}",
    "{% elif 1 %}" * 5000,
    "{{ '{{' * 10 }}" * 1000,
    "{{ 1 }}" * 50_000,
    "{% raw %}" * 10_000,
    "{{ range(10) | map('map', 'map', 'map') | list }}",
    "{{ [[]] | map('map') | list }}",
    "<% " + "(" * 5000 + "1" + ")" * 5000 + " %>",
    "<% " + "[" * 5000 + "]" * 5000 + " %>",
    "<% " + "{a => " * 5000,
    "<% 1" + " + 1" * 100_000 + " %>",
    "<% " + "not " * 20_000 + "true %>",
    "<% " + "-" * 100_000 + "1 %>",
    "<% $" + ".a" * 50_000 + " %>",
    "<% $" + ".select($)" * 5_000 + " %>",
    "<% " + "let(a => 1) -> " * 5_000 + "1 %>",
    "<%" * 50_000,
    "<% 1 %>" * 20_000,
    "<% f(" * 5_000,
    "<% '" + "\\x41" * 100_000 + "' %>",
    "<% ' %>",
    "<% ` %>",
    "{% filter upper %}" * 1000 + "a" + "{% endfilter %}" * 1000,
    "{% set a = 1 %}" * 20_000,
    "{{ trigger.list | sort(attribute='" + "a." * 20_000 + "') }}",
    "{{ trigger.list | map(attribute='0.0.0.0') | list }}",
    "{{ trigger.people | groupby('age') | map('last') | map('length') | list }}",
    "{{ cycler() }}",
    "{{ joiner()() }}",
    "{{ trigger.nested | tojson | from_json_string | tojson }}",
    "{{ dict(" + "a=1, " * 3000 + ") }}",
]
# Doors out of the language that are none.
REACH = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ ().__class__.__bases__[0] }}",
    "{{ self }}",
    "{{ self.__dict__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ request }}",
    "{{ g }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages }}",
    "{{ [].append.__self__ }}",
    "{{ (1).__class__ }}",
    "{{ none.__class__ }}",
    "{{ trigger.__class__ }}",
    "{{ loop.__class__ }}",
    "{{ '%s' | format(''.__class__) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format('') }}",
    "{{ ''.format.__globals__ }}",
    "{{ ''.join.__func__ }}",
    "{{ dict.__base__ }}",
    "{{ [1] | map('attr', '__class__') | list }}",
    "{{ [1] | map(attribute='__class__') | list }}",
    "{{ [1] | selectattr('__class__') | list }}",
    "{{ {} | items | attr('gi_frame') }}",
    "{% include '/etc/passwd' %}",
    "{% include 'file:///etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% from 'os' import system %}",
    "{% extends '/etc/passwd' %}",
    "{% python %}1{% endpython %}",
    "{% exec 'id' %}",
    "{% eval %}",
    "{% do 1 %}",
    "{% debug %}",
    "{% load x %}",
    "{% autoescape false %}{% endautoescape %}{{ self }}",
    "{{ include('/etc/passwd') }}",
    "{{ import('os') }}",
    "{{ open('/etc/passwd') }}",
    "{{ eval('1') }}",
    "{{ exec('1') }}",
    "{{ __import__('os') }}",
    "{{ os }}",
    "{{ getattr('', 'x') }}",
    "{{ environ }}",
    "{{ env }}",
    "{{ lookup('file', '/etc/passwd') }}",
    "{{ query('env', 'HOME') }}",
    "{{ lookup('pipe', 'id') }}",
    "{{ '/etc/passwd' | file }}",
    "{{ 'id' | shell }}",
    "{{ '/etc/passwd' | b64decode }}",
    "{{ yaml_parse('!!python/object/apply:os.system [id]') }}",
    "{{ from_yaml_string('!!python/name:os.system') }}",
    "{{ yaml_parse('a: !include /etc/passwd') }}",
    "{{ yaml_parse('!<tag:x> {a: 1}') }}",
    "{{ from_yaml_string('&a [*a]') }}",
    "{{ yaml_parse('{<<: &a {b: *a}}') }}",
    "{{ config }}",
    "{{ config.keys }}",
    "{{ app }}",
    "<% $.__class__ %>",
    "<% __class__() %>",
    "<% ''.__class__ %>",
    "<% call('__import__', ['os'], {}) %>",
    "<% call(open, ['/etc/passwd'], {}) %>",
    "<% $.getattr(x) %>",
    "<% new('x') %>",
    "<% import('os') %>",
    "<% $#property#x %>",
    "<% #operator_.(1, x) %>",
    "<% env() %>",
    "<% yaml_parse('!!python/object/apply:os.system [id]') %>",
    "<% def(f, f()) -> f() %>",
    "<% lambda(1) %>",
    "<% trace() %>",
    "<% $__class__ %>",
    "<% super() %>",
    "<% property(x) %>",
    "<% this() %>",
    "<% isDict(__globals__) %>",
    "<% datetime(1) %>",
    "<% now() %>",
    "<% 'a'.format(1) %>",
    "<% format('{0.__class__}', 1) %>",
    "<% '{0.__class__}'.format(1) %>",
]
LEAKS = re.compile(
    r"root:x:|uid=\d|/bin/(ba)?sh|<class|<function|<module|built-in|object at 0x|std::|/usr/|0x[0-9a-f]{9}"
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
        given = ", ".join(one() for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 2, 3))))
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
    assert values > count // 20, "too few that mean something"


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
