#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/guides: each stands in the guide as it stands in its file, has no mistakes
and comes out as its rehearsal says.

A block of a guide that shows a file has a line `<!-- file: PATH -->` above it. A block that shows
a whole workflow must show a file; what a file's rehearsal is called is the file's name.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MILLRACE, ROOT = sys.argv[1], Path(sys.argv[2]).resolve()
EXAMPLES = ROOT / "packs/examples/workflows"
WORKFLOWS = sorted((EXAMPLES / "actions/workflows").glob("*.yaml"))
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```yaml\n(?P<text>.*?)```", re.S)


def millrace(*words):
    run = subprocess.run([MILLRACE, *map(str, words)], capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


def blocks():
    for guide in sorted((ROOT / "docs/guides").glob("*.md")):
        for block in BLOCK.finditer(guide.read_text()):
            yield guide.name, block["file"], block["text"]


def guides_quote_files_as_they_are():
    shown = [(guide, file, text) for guide, file, text in blocks() if file]
    assert len(shown) >= 8, f"only {len(shown)} files are shown"
    for guide, file, text in shown:
        assert (ROOT / file).read_text() == text, f"{guide}: the block is not what {file} says"


def whole_workflows_are_shown_from_files():
    for guide, file, text in blocks():
        whole = re.search(r"^(tasks|chain):", text, re.M)
        assert file or not whole, f"{guide}: this workflow is in no file:\n{text}"


def every_example_is_shown():
    shown = {file for _, file, _ in blocks()}
    for path in WORKFLOWS:
        assert str(path.relative_to(ROOT)) in shown, f"no guide shows {path}"


def examples_have_no_mistakes():
    assert len(WORKFLOWS) >= 8
    for path in WORKFLOWS:
        code, output = millrace("workflow", "inspect", path, "-o", "json")
        assert code == 0 and json.loads(output)["errors"] == [], f"{path}: {output}"
        code, output = millrace("workflow", "graph", path)
        assert code == 0 and re.search(r"\bstart\b", output), f"{path}: {output}"
    code, output = millrace("pack", "check", EXAMPLES)
    assert code == 0, output


def every_example_is_rehearsed():
    for path in WORKFLOWS:
        code, output = millrace("workflow", "test", EXAMPLES / "rehearsals" / path.name, "-o", "json")
        assert code == 0, output
        rehearsal = json.loads(output)
        assert rehearsal["passed"] and rehearsal["cases"], output
        assert os.path.samefile(rehearsal["workflow"], path), output


# Of each row of the table of expressions: what it gives for the run below.
EXPRESSIONS = {
    "ctx()": {"x": 1, "n": 5, "hosts": ["a", "b"], "list": [{"name": "p", "size": 4}]},
    "ctx().x": 1,
    "ctx(x)": 1,
    "task(build).result": {"output": 7},
    "task_status(build)": "succeeded",
    "st2kv('system.x')": "kept",
    "ctx().get(x, 'else')": 1,
    "<% ctx().list.select($.name) %>": ["p"],
    "<% ctx().list.where($.size > 3) %>": [{"name": "p", "size": 4}],
    "<% switch(ctx().n > 3 => big, true => small) %>": "big",
    "{{ ctx().hosts | join(', ') }}": "a, b",
    "{% for h in ctx().hosts %}{{ h }} {% endfor %}": "a b ",
    "{{ ctx().list[0].colour | default('red') }}": "red",
}
NEED_A_TASK = {"result()", "succeeded()", "failed()", "timed_out()", "completed()", "item()",
               "item(x)"}  # the examples have them


def the_table_of_expressions_tells_the_truth():
    guide = (ROOT / "docs/guides/workflows.md").read_text()
    table = re.search(r"\| expression \| is \|\n.*?\n\n", guide, re.S)[0]
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in table.splitlines()[2:] if line]
    shown = {text.replace("\\|", "|") for cell in cells for text in re.findall(r"`(.+?)`", cell)}
    assert shown == EXPRESSIONS.keys() | NEED_A_TASK, shown ^ (EXPRESSIONS.keys() | NEED_A_TASK)
    rows = [text if text[0] in "<{" else f"<% {text} %>" for text in EXPRESSIONS]
    variables = EXPRESSIONS["ctx()"]
    workflow = {"input": list(variables),
                "tasks": {"build": {"action": "core.noop", "next": [{"do": "use"}]},
                          "use": {"action": "core.echo", "input": {"message": rows}}}}
    rehearsal = {"workflow": "w.yaml", "inputs": variables, "keys": {"system.x": "kept"},
                 "results": {"build": {"result": {"output": 7}}},
                 "expect": {"status": "succeeded",
                            "calls": {"use": {"message": list(EXPRESSIONS.values())}}}}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "w.yaml").write_text(json.dumps(workflow))
        (Path(folder) / "r.yaml").write_text(json.dumps(rehearsal))
        code, output = millrace("workflow", "test", Path(folder) / "r.yaml")
        assert code == 0, output


def a_rehearsal_that_fails_says_so():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "r.yaml"
        file.write_text(f"workflow: {EXAMPLES}/actions/workflows/hello.yaml\n"
                        "results: {greet: {result: {output: hi}}}\n"
                        "expect: {status: failed, sequence: [greet, greet]}\n")
        code, output = millrace("workflow", "test", file)
        assert code == 1 and "FAIL  case 1" in output and "0 of 1 cases" in output, output
        assert "expected  failed\n          found     succeeded" in output, output
        assert "expected  greet, greet\n          found     greet" in output, output


CASES = [guides_quote_files_as_they_are, whole_workflows_are_shown_from_files,
         every_example_is_shown, examples_have_no_mistakes, every_example_is_rehearsed,
         the_table_of_expressions_tells_the_truth,
         a_rehearsal_that_fails_says_so]


def main():
    failed = 0
    for case in CASES:
        try:
            case()
        except Exception as error:
            failed += 1
            print(f"FAILED {case.__name__}: {error}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
