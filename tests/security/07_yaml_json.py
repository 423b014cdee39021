# SPDX-License-Identifier: Apache-2.0
"""YAML and JSON that are small to send and large to read: an error, for no more than an honest text of
their size costs, a factor aside."""

import json
import subprocess
import sys

from attack import EVENT, JSON, Target, argument, binary, main, wrong

TARGET = Target(most_mib=400)
MIB = 1 << 20
SIZE = MIB - 4096  # the most that an inspection takes is 1 MiB
# CPU of an honest text of the same size, and how many times of it the worst may cost.
YAML_YARDSTICK = JSON_YARDSTICK = 0.0
FACTOR = 8


def inspect(text):
    status, _, answer = TARGET.client().request(
        "POST", "/api/v1/workflows/inspect", {"text": text}, timeout=120
    )
    assert status in (200, 400, 413), (status, answer)
    return status, answer


def calibrate():
    global YAML_YARDSTICK, JSON_YARDSTICK
    lines = "".join(f"  - name: v{i}\n    description: {'x' * 60}\n" for i in range(9000))
    spent, _ = TARGET.cost(lambda: inspect(f"input:\n{lines}"[:SIZE]))
    YAML_YARDSTICK = max(spent, 0.05)
    body = (
        json.dumps({"action": "core.noop", "parameters": {"a": [{"b": i} for i in range(60_000)]}})[:SIZE]
        + "}"
    )
    spent, _ = TARGET.cost(lambda: TARGET.client().request("POST", "/api/v1/executions", body, JSON))
    JSON_YARDSTICK = max(spent, 0.05)
    print(f"     an honest MiB: YAML {YAML_YARDSTICK:.2f} s, JSON {JSON_YARDSTICK:.2f} s of CPU")


def bomb(wide, deep, use="*"):
    """Lists of references to lists of references."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, deep):
        lines.append(f"a{i}: &a{i} [{', '.join(f'{use}a{i - 1}' for _ in range(wide))}]")
    return "\n".join(lines)


def merges(deep):
    lines = ["a0: &a0 {k0: 1, l0: 2}"]
    for i in range(1, deep):
        lines.append(f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n  k{i}: 1")
    return "\n".join(lines)


def filled(piece, size=SIZE):
    return piece * (size // len(piece))


# What is no workflow, or would be a very large one. All must come back with a finding.
YAML = {
    "alias bomb": bomb(9, 12),
    "alias bomb, wide": bomb(1000, 4),
    "alias of itself": "a: &a [*a]",
    "alias of itself in a map": "a: &a {b: *a}",
    "merge bomb": merges(30),
    "merge with itself": "a: &a\n  <<: *a",
    "merge of a text": "a: {<<: x}",
    "unknown alias": "a: *b",
    "anchor twice": "a: &x 1\nb: &x 2\nc: *x",
    "anchors": filled("&a "),
    "anchors of their own": "".join(f"- &a{i} x\n" for i in range(60_000)),
    "anchor of 1 MiB": "a: &" + "a" * (SIZE - 10),
    "aliases": "a: &a x\nb: [" + filled("*a ,", SIZE - 100) + "x]",
    "dashes": filled("- "),
    "dashes without blanks": filled("-"),
    "dashes line by line": filled("-\n"),
    "brackets": filled("["),
    "brackets and braces": filled("[{"),
    "closed brackets": "[" * 400_000 + "]" * 400_000,
    "braces": filled("{"),
    "closing brackets": filled("]"),
    "question marks": filled("? "),
    "question marks without blanks": filled("?"),
    "question marks line by line": filled("?\n"),
    "colons": filled(": "),
    "commas": "[" + filled(",") + "]",
    "quotes": filled("'"),
    "double quotes": filled('"'),
    "an open text": "'" + filled("a"),
    "backslashes": '"' + filled("\\"),
    "bars": filled("|\n"),
    "an open literal": "a: |\n" + filled(" x\n"),
    "literals": "".join(f"a{i}: |\n  x\n" for i in range(60_000)),
    "folded": "a: >\n" + filled("  x\n\n"),
    "indentation that grows": "\n".join(" " * i + f"a{i}:" for i in range(1_400)),
    "indentation of 1 MiB": " " * SIZE + "a: 1",
    "tabs": filled("\t"),
    "blank lines": filled("\n"),
    "comments": filled("#\n"),
    "a comment of 1 MiB": "#" + filled("x"),
    "comments of a value": "a: 1 " + filled("# x "),
    "documents": filled("--- a\n"),
    "document ends": filled("...\n"),
    "directives": filled("%YAML 1.2\n"),
    "own directives": filled("%FOO x\n"),
    "tag directives": "".join(f"%TAG !a{i}! tag:x,2000:\n" for i in range(30_000)),
    "tags": filled("!a "),
    "verbatim tag": "a: !<" + "a" * (SIZE - 20) + " x",
    "python tag": "a: !!python/object/apply:os.system [id]",
    "binary": "a: !!binary " + filled("A", 200_000),
    "a float of 100,000 digits": "a: 1." + "1" * 100_000,
    "an integer of 100,000 digits": "a: " + "9" * 100_000,
    "sexagesimal": "a: " + "1:" * 100_000 + "1",
    "a date": "a: 9999999-99-99",
    "a key of 1 MiB": filled("a") + ": 1",
    "a list as a key": "? [" + filled("a, ", 200_000) + "a]\n: 1",
    "a map as a key": "{{a: 1}: 1}",
    "NUL": "a: \0",
    "bell": "a: \a",
    "next line": "a: b\u0085c: d",
    "line separator": "a: b\u2028c: d",
    "a BOM within": "a: \ufeffb",
    "beyond the BMP": filled("\U0001f600"),
    "keys": "\n".join(f"k{i}: 1" for i in range(70_000)),
    "the same list": "a: [" + filled("1, ", SIZE - 100) + "1]",
    "a word": filled("a"),
    "nothing": " ",
    "null": "~",
    "a number": "1",
    "a list": "[1]",
}


def yaml_costs_no_more_than_an_honest_text():
    bad, findings = [], 0
    for what, text in YAML.items():
        assert len(text.encode()) <= 4 * MIB, what
        spent, (status, answer) = TARGET.cost(lambda text=text: inspect(text))
        if spent > FACTOR * YAML_YARDSTICK:
            bad.append((what, f"{spent:.2f} s of CPU"))
        if status == 200 and not answer["data"]:
            bad.append((what, "no finding"))
        if len(json.dumps(answer)) > 256 << 10:
            bad.append((what, f"an answer of {len(json.dumps(answer))} bytes"))
        findings += status == 200
    wrong(bad)
    assert findings > len(YAML) // 2, findings


def the_command_line_reads_the_same_and_ends():
    """Packs come from outside, too: `pack check` of each of these ends with an error, not a signal."""
    folder = TARGET.home / "hostile"
    (folder / "actions").mkdir(parents=True)
    some = (
        "alias bomb",
        "merge bomb",
        "alias of itself",
        "anchors",
        "dashes",
        "brackets",
        "question marks",
        "documents",
        "tags",
        "indentation that grows",
        "python tag",
        "NUL",
    )
    for what in some:
        (folder / "pack.yaml").write_text("name: hostile\nversion: 1.0.0\n")
        (folder / "actions/a.yaml").write_text(YAML[what])
        run = subprocess.run(
            [binary(), "pack", "check", str(folder)], capture_output=True, text=True, timeout=120
        )
        assert run.returncode > 0, (what, run.returncode, run.stdout[:300])
        assert len(run.stdout + run.stderr) < 100_000, (what, len(run.stdout))
        (folder / "pack.yaml").write_text(YAML[what])
        (folder / "actions/a.yaml").unlink()
        run = subprocess.run(
            [binary(), "pack", "check", str(folder)], capture_output=True, text=True, timeout=120
        )
        assert run.returncode > 0, (what, run.returncode)


def bodies():
    deep = SIZE // 8
    yield "maps in a list", '{"action": "core.noop", "parameters": {"a": [' + "{}," * 340_000 + "{}]}}"
    yield "lists in a list", '{"action": "core.noop", "parameters": {"a": [' + "[]," * 340_000 + "[]]}}"
    yield "unknown fields", "{" + ",".join(f'"f{i}": 1' for i in range(80_000)) + "}"
    yield "the same unknown field", "{" + ",".join('"f": 1' for _ in range(80_000)) + "}"
    yield "the same field", "{" + ",".join('"action": "core.noop"' for _ in range(40_000)) + "}"
    yield "brackets", "[" * SIZE
    yield "closed brackets", "[" * deep + "]" * deep
    yield "braces", '{"a":' * (SIZE // 5)
    yield "depth 65", '{"action": "core.noop", "parameters": ' + '{"a":' * 64 + "1" + "}" * 64 + "}"
    yield "commas", "[" + "," * SIZE
    yield "minus signs", "-" * SIZE
    yield "an open text", '"' + "a" * SIZE
    yield "escapes", '"' + "\\u0041" * (SIZE // 6) + '"'
    yield "backslashes", '"' + "\\\\" * (SIZE // 2)
    yield "a number of 1 MiB", "9" * SIZE
    yield "a fraction of 1 MiB", "0." + "1" * SIZE
    yield "an exponent of 1 MiB", "1e" + "9" * (SIZE - 2)
    yield "blanks", " " * SIZE
    yield "line feeds", "\n" * SIZE + "x"
    yield "a key of 1 MiB", '{"' + "k" * (SIZE - 10) + '": 1}'
    yield "wrong types", '{"action": [' + "1," * 300_000 + "1]}"


def json_costs_no_more_than_an_honest_text():
    bad = []
    for what, body in bodies():
        client = TARGET.client()
        spent, (status, _, answer) = TARGET.cost(
            lambda client=client, body=body: client.request(
                "POST", "/api/v1/executions", body, JSON, timeout=120
            )
        )
        client.close()
        if spent > FACTOR * JSON_YARDSTICK:
            bad.append((what, f"{spent:.2f} s of CPU"))
        if status not in (400, 404, 413, 422) and what != "the same field":
            bad.append((what, status, str(answer)[:200]))
        if len(json.dumps(answer)) > 256 << 10:
            bad.append((what, f"an answer of {len(json.dumps(answer))} bytes"))
        if isinstance(answer, dict) and len(answer.get("errors", [])) > 100:
            bad.append((what, f"{len(answer['errors'])} problems"))
    wrong(bad)
    TARGET.still_well()


def depth_64_is_taken_and_65_is_not():
    """The bound of a body. A payload may nest 60 deep, for it is stored within something."""

    def parameters(depth):
        inner = "[" * (depth - 2) + "]" * (depth - 2)
        return '{"action": "core.echo", "parameters": {"message": ' + inner + "}}"

    client = TARGET.client()
    assert client.request("POST", "/api/v1/executions", parameters(64), JSON)[0] in (201, 400)
    assert client.request("POST", "/api/v1/executions", parameters(60), JSON)[0] == 201
    status, _, problem = client.request("POST", "/api/v1/executions", parameters(65), JSON)
    assert status == 400 and "at most 64 levels" in problem["detail"], problem
    event = '{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": %s}'
    assert client.request("POST", "/api/v1/events", event % ("[" * 59 + "]" * 59), EVENT)[0] == 202
    assert client.request("POST", "/api/v1/events", event % ("[" * 60 + "]" * 60), EVENT)[0] == 400


CASES = [
    calibrate,
    yaml_costs_no_more_than_an_honest_text,
    the_command_line_reads_the_same_and_ends,
    json_costs_no_more_than_an_honest_text,
    depth_64_is_taken_and_65_is_not,
]

sys.exit(main(TARGET, CASES))
