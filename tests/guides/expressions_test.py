#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each example of docs/guides/expressions.md gives through a server what the guide says, in both
languages of workflows; and no function stands in the source's tables that the guide has no example
of. Beside them what the reference evaluated (src/expr/testdata) goes through the server as well.

UPDATE_GOLDEN=1 writes the results into the guide again; review its diff.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import ROOT, Server, binary, rule, run_cases  # noqa: E402
from tables import code, names, rows, write_results  # noqa: E402

GUIDE = ROOT / "docs/guides/expressions.md"
SOURCE = ROOT / "src/expr"
ROWS = rows(GUIDE)
WRAP = {"YAQL": "<% {} %>", "Jinja": "{{{{ {} }}}}", "template": "{}"}
MODES = ("native", "orquesta")
RECORDED = ("yaql", "jinja", "text")
# The tables of the source, per kind of name; how an example uses a name of it.
BOTH = ("orquesta_functions", "st2_functions", "version_functions")
YAQL = ("yaql_math", "yaql_strings", "yaql_regex", "yaql_collections", "yaql_streams",
        "yaql_queries", "yaql_ordering")
FILTERS = ("jinja_text_filters", "jinja_html_filters", "jinja_sequence_filters")
SERVER = None
KEPT = {}  # of what was recorded: name -> (variables, {number: line})


def dumped(value):
    return json.dumps(value, ensure_ascii=False)


def expressions(row):
    """The expressions of a row: one per language that it has a column of."""
    return [wrap.format(code(row[column])) for column, wrap in WRAP.items() if row.get(column)]


def is_of_task(row):
    return row["part"].startswith("Of a task")


def is_of_item(row):
    return row["part"].startswith("Of an item")


def examples(mode):
    return [row for row in ROWS if ("gives" in row or "message" in row) and expressions(row)
            and (mode == "native" or not row["part"].startswith("Only in"))]


def outputs(found):
    """Each expression of these rows under a name of its own, as `publish` and `output` take them."""
    return [{f"e{row['line']}_{i}": text} for row in found
            for i, text in enumerate(expressions(row))]


def texts_of_items():
    return [text for row in ROWS if is_of_item(row) for text in expressions(row)]


def workflow(mode):
    """A workflow that publishes the examples of a task and puts out all others. Its variables are
    those that the guide shows."""
    variables = re.search(r"```yaml\n(input:\n.*?)```", GUIDE.read_text(), re.S)[1]
    of_task = outputs(filter(is_of_task, ROWS))
    output = outputs(r for r in examples(mode) if not is_of_task(r) and not is_of_item(r))
    output += [{name: f"<% ctx({name}) %>"} for entry in of_task for name in entry]
    output += [{"items": "<% ctx(items) %>"}]
    tasks = {
        "build": {"action": "core.echo", "input": {"message": "done"},
                  "next": [{"publish": of_task, "do": "each"}]},
        "each": {"with": {"items": "host, port in <% zip([a, b], [1, 2]) %>"}, "action": "core.echo",
                 "input": {"message": texts_of_items()},
                 "next": [{"publish": [{"items": "<% result().select($.output) %>"}]}]},
    }
    head = "version: 1.0\n" if mode == "orquesta" else ""
    return f"{head}language: {mode}\n{variables}tasks: {dumped(tasks)}\noutput: {dumped(output)}\n"


def write_pack(folder, files):
    """A pack whose actions are workflows, {name: (mode, parameters, text)}."""
    actions = folder / "actions"
    (actions / "workflows").mkdir(parents=True)
    (folder / "pack.yaml").write_text("name: guide\nversion: 1.0.0\ndescription: The examples.\n")
    for name, (mode, parameters, text) in files.items():
        (actions / f"{name}.yaml").write_text(json.dumps({
            "name": name, "description": "Examples.",
            "runner_type": "workflow" if mode == "native" else "orquesta",
            "entry_point": f"workflows/{name}.yaml",
            "parameters": {key: {} for key in parameters}}))
        (actions / "workflows" / f"{name}.yaml").write_text(text)
    return folder


def run(name, **parameters):
    """Output and messages of errors of a run."""
    done = SERVER.client().data("POST", "/api/v1/executions?wait=30s",
                                {"action": f"guide.{name}", "parameters": parameters})
    assert done["status"] in ("succeeded", "failed"), done
    result = done["result"]
    assert result.get("output"), result
    messages = [re.sub(r"^\w+Exception: Unable to evaluate ", "", error["message"])
                for error in result.get("errors", [])]
    return result["output"], messages


def message_of(text, messages):
    """What the errors say of an expression."""
    for message in messages:
        for between in (": ", ". "):
            if message.startswith(f"expression '{text}'{between}"):
                return message[len(f"expression '{text}'{between}"):]
        # What the reference says of a key in orquesta; native says KeyError.
        key = re.match(r"YaqlEvaluationException: Unable to resolve key '(.*?)' in ", message)
        if key and f"'{text}'" in message:
            return f"KeyError: {key[1]}"
    return "nothing"


def found_of(row, output, errors):
    """What each expression of a row gave: a value as JSON, or an error's message."""
    if is_of_item(row):
        at = map(texts_of_items().index, expressions(row))
        return [dumped([item[i] for item in output["items"]]) for i in at]
    names_of = [name for entry in outputs([row]) for name in entry]
    return [dumped(output[name]) if name in output else message_of(text, errors)
            for name, text in zip(names_of, expressions(row))]


def differences(mode):
    output, errors = run(mode)
    for row in examples(mode):
        column = "gives" if "gives" in row else "message"
        for text, found in zip(expressions(row), found_of(row, output, errors)):
            if found != code(row[column]):
                yield row, text, found


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def report(found):
    lines = [f"line {row['line'] + 1}: {text}\n    says  {code(row.get('gives') or row['message'])}\n"
             f"    gives {gave}" for row, text, gave in found]
    assert not lines, "\n  ".join([f"{len(lines)} examples differ", *lines])


def every_example_gives_what_the_guide_says_in_native():
    found = list(differences("native"))
    if os.environ.get("UPDATE_GOLDEN"):
        for column in ("gives", "message"):
            write_results(GUIDE, column, {r["line"]: gave for r, _, gave in found if column in r})
        ROWS[:] = rows(GUIDE)
        found = list(differences("native"))
    report(found)
    for row in examples("native"):  # UPDATE_GOLDEN must not turn an example into an error
        assert is_json(code(row["gives"])) if "gives" in row else not is_json(code(row["message"])), row


def every_example_gives_the_same_in_orquesta():
    report(differences("orquesta"))


def mistakes_are_found_before_anything_runs():
    """A rule's parameters are compiled as a native workflow's texts are: all mistakes at once."""
    mistakes = [row for row in ROWS if "found by `inspect`" in row]
    assert len(mistakes) >= 10
    texts = {str(row["line"]): code(row["text"]) for row in mistakes}
    status, _, answer = SERVER.client().request("POST", "/api/v1/rules/test", {
        "rule": rule("guide.mistakes", "core.echo", {"message": texts}), "payload": {}})
    assert status == 400, answer
    told = {int(e["path"].rsplit("/", 1)[1]): e["message"] for e in answer["errors"]}
    found = []
    for row in mistakes:
        gave = told.get(row["line"], "nothing")
        for kind in ("expression", "template"):
            gave = gave.removeprefix(f"{kind} '{code(row['text'])}': ")
        found.append((row, gave))
    if os.environ.get("UPDATE_GOLDEN"):
        write_results(GUIDE, "found by `inspect`", dict((row["line"], gave) for row, gave in found))
        return
    wrong = [(row, gave) for row, gave in found if code(row["found by `inspect`"]) != gave]
    assert not wrong, wrong


def source(file):
    return (SOURCE / f"{file}.cpp").read_text()


def names_in(files, table=r"k\w+"):
    """The names of the rows of the tables in these source files; not of what is left out."""
    found = set()
    for file in files:
        for rows_ in re.findall(rf"constexpr Row {table}\[\] = \{{(.*?)\n\}};", source(file), re.S):
            found |= set(re.findall(r'^    \{"([^"]+)",(?!.*not_here)', rows_, re.M))
    return found


def compared_names(text):
    """The x of `name == "x"`, without those that are not supported."""
    return (set(re.findall(r'name == "(\w+)"', text))
            - set(re.findall(r'name == "(\w+)"\) return unsupported', text)))


def named(column, use):
    """The names of the first column whose example in `column` uses them: `use` with NAME."""
    found = set()
    for row in ROWS:
        for name in names(row.get("name", "")):
            if row.get(column) and re.search(use.replace("NAME", re.escape(name)), code(row[column])):
                found.add(name)
    return found


def shown_loops():
    """All `loop.x` of the templates."""
    return {name for row in ROWS if row.get("template")
            for name in re.findall(r"loop\.(\w+)", code(row["template"]))}


def every_name_of_the_source_has_an_example():
    loop = re.search(r"loop_attribute\(const.*?\n}", source("eval_jinja"), re.S)[0]
    tags = re.findall(r'is_name\("(\w+)"\)\) return', source("jinja_statements"))
    call, method = r"(?<!\w)NAME\(", r"\.NAME\("
    kinds = [
        ("YAQL function", names_in(YAQL + BOTH), named("YAQL", call)),
        ("Jinja filter", names_in(FILTERS + BOTH), named("Jinja", rf"\|\s*NAME\b|{call}")),
        ("Jinja test", names_in(["jinja_tables"], "kTests"),
         named("Jinja", r"is (not )?NAME(?!\w)|\('NAME'")),
        ("Jinja function", names_in(["jinja_tables"], "kGlobals"), named("Jinja", call)),
        ("method of texts", names_in(["string_methods"]), named("Jinja", method)),
        ("method of lists and maps", compared_names(source("container_methods")),
         named("Jinja", method) | named("template", method)),
        ("attribute of loop", compared_names(loop), shown_loops()),
        ("tag", set(tags), named("template", r"\{% NAME")),
    ]
    for what, of_source, shown in kinds:
        assert len(of_source) >= 5, f"only {len(of_source)} names of the source: {what}"
        missing = sorted(of_source - shown)
        assert not missing, f"{what} without an example: {', '.join(missing)}"


def alike(found, wanted):
    """As the conformance test compares: kinds too, and sets in any order."""
    if isinstance(wanted, dict) and "__repr__" in wanted:
        return True
    if isinstance(wanted, dict) and "__set__" in wanted:
        items = wanted["__set__"]
        return isinstance(found, list) and len(found) == len(items) and all(
            any(alike(one, item) for one in found) for item in items)
    if isinstance(wanted, int) and abs(wanted) >= 2**63:
        return found == float(wanted)  # what does not fit 64 bits leaves an expression as a float
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(alike(found[k], wanted[k]) for k in wanted)
    return found == wanted


def recorded(name):
    """The variables, and the lines by number. Without variables that hold an expression, which
    would be evaluated as input, and without what shows all variables: the outputs are among them."""
    first, *lines = map(json.loads, (SOURCE / f"testdata/{name}.jsonl").read_text().splitlines())
    ctx = {k: v for k, v in first["ctx"].items() if not re.search("<%|{{", json.dumps(v))}
    gone = "|".join(first["ctx"].keys() - ctx.keys())
    left_out = re.compile(rf"\b({gone})\b|ctx\(\)(?![.\[])|ctx\(\)\.len|ctx\((''|\"\")\)")
    return ctx, {i: line for i, line in enumerate(lines)
                 if not left_out.search(str(line["expr"]))}


def recorded_workflow(ctx, lines, tasks=None):
    plan = {"version": 1.0, "language": "orquesta", "input": list(ctx),
            "tasks": tasks or {"start": {"action": "core.noop"}},
            "output": [{f"r{i}": line["expr"]} for i, line in lines.items()]}
    return dumped(plan)


def sound(ctx, lines, folder):
    """Without those that `inspect` finds a mistake in: one alone keeps a workflow from starting. Each
    stands in a task of its own, which `inspect` names."""
    tasks = {f"t{i}": {"action": "core.echo", "input": {"message": line["expr"]}}
             for i, line in lines.items()}
    file = folder / "recorded.yaml"
    file.write_text(recorded_workflow(ctx, {0: {"expr": ""}}, tasks))
    found = subprocess.run([binary(), "workflow", "inspect", file, "-o", "json"],
                           capture_output=True, text=True, timeout=60)
    faulty = {re.match(r"tasks\.t(\d+)\.", error["path"])[1]
              for error in json.loads(found.stdout)["errors"]}
    return {i: line for i, line in lines.items() if str(i) not in faulty}


def what_the_reference_evaluated_comes_out_of_the_server():
    wrong, total = [], 0
    for name in RECORDED:
        ctx, lines = KEPT[name]
        output, _ = run(name, **ctx)
        for i, line in lines.items():
            total += 1
            found = output.get(f"r{i}", "an error")
            random = "random(" in json.dumps(line["expr"])
            right = (f"r{i}" not in output if "error" in line
                     else type(found) is type(line["result"]) if random
                     else f"r{i}" in output and alike(found, line["result"]))
            if not right:
                wrong.append(f"{line} gave {json.dumps(found)[:200]}")
    assert total > 1500, total
    assert not wrong, "\n  ".join([f"{len(wrong)} of {total}", *wrong])


CASES = [
    every_name_of_the_source_has_an_example,
    every_example_gives_what_the_guide_says_in_native,
    every_example_gives_the_same_in_orquesta,
    mistakes_are_found_before_anything_runs,
    what_the_reference_evaluated_comes_out_of_the_server,
]


def main():
    global SERVER
    shown = examples("native")
    files = {mode: (mode, (), workflow(mode)) for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        for name in RECORDED:
            ctx, lines = recorded(name)
            KEPT[name] = ctx, sound(ctx, lines, Path(folder))
            files[name] = ("orquesta", ctx, recorded_workflow(*KEPT[name]))
        pack = write_pack(Path(folder) / "guide", files)
        with Server(packs=[pack]) as SERVER:
            SERVER.start()
            SERVER.cli("key", "set", "colour", "green")
            (Path(folder) / "token").write_text("s3cret")
            SERVER.cli("key", "set", "token", "--encrypt", "--file", f"{folder}/token")
            print(f"{len(shown)} rows, {sum(len(expressions(row)) for row in shown)} examples")
            return run_cases(CASES)


sys.exit(main())
