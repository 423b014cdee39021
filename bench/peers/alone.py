# SPDX-License-Identifier: Apache-2.0
"""Rows of a part by itself, JSON or YAML text in: the matcher beside AWS Event Ruler, the conductor
beside StackStorm's Orquesta. The same rules, events and workflows; the same answers, or no row."""
import json
import subprocess

from contestant import INSTALLED, ROOT
from load import quantile
from rows import Figure

ALONE = INSTALLED / "millrace_alone"
EVENTS = 10_000


def repository(number):
    return f"stone-{number % 97}/repo{number}.git"


# Each wants another repository, on main; or another one by another test.
TESTS = {
    "equals": lambda i: {"ref": "refs/heads/main", "repository.full_name": repository(i)},
    "iequals": lambda i: {"repository.full_name": repository(i).upper()},
    "startswith": lambda i: {"repository.full_name": repository(i).removesuffix("git")},
    "endswith": lambda i: {"repository.full_name": f"/repo{i}.git"},
    "contains": lambda i: {"repository.full_name": f"/repo{i}."},
    "matchwildcard": lambda i: {"repository.full_name": f"*repo{i}.git"},
    "greaterthan": lambda i: {"repository.forks": i},
}


def rules_by(operators, count):
    """Of these operators in turn."""
    names = (operators[i % len(operators)] for i in range(count))
    return [{"name": f"r{i}", "operator": name, "values": TESTS[name](i)}
            for i, name in enumerate(names)]


def pushes(rules):
    """Different events like GitHub's push, 1.3 KB each; every other one is of a repository that a
    rule wants, while there are as many."""
    for i in range(EVENTS):
        commits = [{"id": f"{i * 100 + c:040x}", "message": f"mend the {c}. wheel of mill {i}",
                    "timestamp": "2026-11-29T10:00:00Z", "added": [f"src/wheel{c}.cpp"],
                    "removed": [], "modified": ["README.md"],
                    "author": {"name": "Miller", "email": f"miller{i}@example.org"}}
                   for c in range(4)]
        name = repository(i * 7 % (2 * rules) if i % 2 else 10 ** 7 + i)
        yield {"ref": "refs/heads/main", "before": f"{i:040x}", "after": f"{i + 1:040x}",
               "repository": {"id": i, "name": name.split("/")[1], "full_name": name,
                              "forks": i % 4, "private": False, "default_branch": "main"},
               "pusher": {"name": "miller"}, "commits": commits}


def three():
    tasks = "".join(
        f"  {name}:\n    action: core.echo\n    input:\n      message: <% ctx().n %>\n"
        f"    next:\n      - when: <% succeeded() %>\n        publish:\n"
        f"          - n: <% result() + 1 %>\n" + (f"        do: {after}\n" if after else "")
        for name, after in (("one", "two"), ("two", "three"), ("three", "")))
    return f"version: 1.0\nvars:\n  - n: 1\ntasks:\n{tasks}output:\n  - n: <% ctx().n %>\n", {"n": 4}


def fan():
    names = [f"b{i}" for i in range(100)]
    branches = "".join(f"  {name}:\n    action: core.noop\n    next:\n"
                       "      - when: <% succeeded() %>\n        do: last\n" for name in names)
    return ("version: 1.0\nvars:\n  - n: 1\ntasks:\n  begin:\n    action: core.noop\n    next:\n"
            f"      - when: <% succeeded() %>\n        do: {', '.join(names)}\n{branches}"
            "  last:\n    join: all\n    action: core.noop\noutput:\n  - n: <% ctx().n %>\n",
            {"n": 1})


def items():
    numbers = list(range(100))
    return (f"version: 1.0\nvars:\n  - xs: {numbers}\ntasks:\n  each:\n    with: <% ctx().xs %>\n"
            "    action: core.echo\n    input:\n      message: <% item() %>\n    next:\n"
            "      - when: <% succeeded() %>\n        publish:\n          - ys: <% result() %>\n"
            "output:\n  - ys: <% ctx().ys %>\n", {"ys": numbers})


def said(argv):
    """(What the program said, its highest memory in MB)"""
    run = subprocess.run(["/usr/bin/time", "-f", "%M", *map(str, argv)], check=False, text=True,
                         capture_output=True)
    if run.returncode != 0:
        raise SystemExit(f"peers: {argv}: {run.stderr[-3000:]}")
    return json.loads(run.stdout), int(run.stderr.split()[-1]) / 1e3


def compared(names_and_commands, scale, same):
    """In turn; the medians. `same`: what all must say alike."""
    taken = {name: [] for name, _ in names_and_commands}
    answers = {}
    for _ in range(scale.rounds):
        for name, command in names_and_commands:
            told, peak = said(command)
            taken[name].append((told["us"], peak))
            answers[name] = told[same]
    if len({json.dumps(answer) for answer in answers.values()}) != 1:
        raise SystemExit(f"peers: the answers differ: {answers}")
    return answers, [
        Figure(name, cpu_us=quantile(sorted(us for us, _ in rounds), 0.5),
               resident_mb=max(peak for _, peak in rounds)) for name, rounds in taken.items()]


MATCHED = (
    ("10,000 rules by equality", lambda: rules_by(["equals"], 10_000)),
    ("100,000 rules by equality", lambda: rules_by(["equals"], 100_000)),
    ("1,000 rules with a wildcard", lambda: rules_by(["matchwildcard"], 1_000)),
    ("10,000 rules by equality without case", lambda: rules_by(["iequals"], 10_000)),
    ("10,000 rules by a prefix", lambda: rules_by(["startswith"], 10_000)),
    ("10,000 rules by a suffix", lambda: rules_by(["endswith"], 10_000)),
    ("1,000 rules by a text within", lambda: rules_by(["contains"], 1_000)),
    ("1,000 rules of a mix", lambda: rules_by(list(TESTS), 1_000)),
)


def matching(folder, scale):
    """{row: figures}"""
    rows = {}
    for title, rules in MATCHED:
        rules = rules()
        (folder / "rules.json").write_text(json.dumps(rules))
        (folder / "events").write_text(
            "".join(json.dumps(event) + "\n" for event in pushes(len(rules))))
        arguments = [folder / "rules.json", folder / "events", scale.round_s / 2]
        answers, figures = compared(
            [("Millrace", [ALONE, "match", *arguments]),
             ("AWS Event Ruler", ["java", "-Xmx2g", "-cp", INSTALLED / "ruler/*",
                                  INSTALLED / "ruler/Matching.java", *arguments])],
            scale, "matches")
        matches = answers["Millrace"]
        if not matches:
            raise SystemExit(f"peers: {title}: nothing matched")
        rows[f"{title}, 10,000 different events: {matches:,} matches"] = figures
    return rows


def conducting(folder, scale):
    rows = {}
    for title, (text, output) in (("3 tasks", three()), ("fan-out 100 and join", fan()),
                                  ("100 items", items())):
        (folder / "workflow.yaml").write_text(text)
        arguments = [folder / "workflow.yaml", scale.round_s / 2]
        answers, rows[f"a workflow of {title}, to its end"] = compared(
            [("Millrace", [ALONE, "conduct", *arguments]),
             ("Orquesta", [INSTALLED / "python/bin/python",
                           ROOT / "bench/peers/orquesta/conduct.py", *arguments])],
            scale, "output")
        if answers["Millrace"] != output:
            raise SystemExit(f"peers: {title}: expected {output}, found {answers}")
    return rows
