#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Workflows from the command line, against the real server: what each command does and prints."""
import json
import os
import subprocess
import sys

from harness import Server, binary, run_cases, until


def run(server, code, *words):
    """(stdout, stderr) of a command that ends with `code`."""
    done = subprocess.run([binary(), *words], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "MILLRACE_DATA": str(server.data)})
    assert done.returncode == code, f"{words}: exit {done.returncode}, expected {code}: {done.stderr}"
    return done.stdout, done.stderr


def as_json(server, *words):
    return json.loads(server.cli(*words, "-o", "json"))


def begun(server, shape):
    ledger = server.home / f"ledger-{shape}"
    return server.cli("run", f"flows.{shape}", f"ledger={ledger}", "--async").strip()


def until_status(server, execution, status):
    until(f"{execution} is {status}",
          lambda: as_json(server, "execution", "show", execution)["status"] == status)


def steps(server, workflow):
    """{task: status} of a workflow's steps."""
    rows = as_json(server, "execution", "list", "--parent", workflow)
    return {row["task"]: row["status"] for row in rows}


def a_run_ends_with_its_output(server):
    out, said = run(server, 0, "run", "flows.fork", f"ledger={server.home / 'ledger-fork'}")
    assert "left_right" in out, out
    assert "flows.fork" in said and "succeeded after" in said, said
    out, said = run(server, 1, "run", "flows.saga", f"ledger={server.home / 'ledger-saga'}")
    assert "failed after" in said and "error: ship: " in said, said


def a_question_is_answered_once(server):
    workflow = begun(server, "approval")
    until("it asks", lambda: as_json(server, "inquiry", "list", "--status", "pending"))
    asking = as_json(server, "inquiry", "list", "--status", "pending")[0]["id"]
    assert "Shall it go on?" in server.cli("inquiry", "list")
    assert as_json(server, "inquiry", "show", asking)["execution"] == asking
    _, said = run(server, 2, "inquiry", "answer", asking, "--response", '{"yes_or_no": 3}')
    assert "yes_or_no" in said and "EXE-0020" in said, said
    _, said = run(server, 2, "inquiry", "answer", asking, "--response", "{}")
    assert "yes_or_no" in said, said
    _, said = run(server, 2, "inquiry", "answer", asking, "yes_or_no=perhaps")
    assert "yes_or_no" in said, said
    assert "answered by admin" in server.cli("inquiry", "answer", asking, "yes_or_no=true")
    _, said = run(server, 1, "inquiry", "answer", asking, "yes_or_no=true")
    assert "answered" in said and said.splitlines()[-1].startswith("hint: "), said
    run(server, 3, "inquiry", "answer", "1", "yes_or_no=true")
    server.cli("execution", "watch", workflow)
    assert as_json(server, "execution", "show", workflow)["result"]["output"] == {"answer": True}
    return workflow


def a_pause_holds_what_comes_next(server):
    workflow = begun(server, "approval")
    until("all but the question has ended", lambda: steps(server, workflow) == {
        "before": "succeeded", "beside": "succeeded", "ask": "pending"})
    assert workflow in server.cli("execution", "pause", workflow)
    until_status(server, workflow, "paused")
    asking = as_json(server, "inquiry", "list", "--status", "pending")[0]["id"]
    server.cli("inquiry", "answer", asking, "yes_or_no=false")
    assert "after" not in steps(server, workflow), "it is paused and went on"
    server.cli("execution", "resume", workflow)
    server.cli("execution", "watch", workflow)
    assert steps(server, workflow)["after"] == "succeeded"
    _, said = run(server, 1, "execution", "resume", workflow)
    assert "final" in said, said


def a_rerun_takes_the_named_task(server, workflow):
    _, said = run(server, 2, "execution", "rerun", workflow, "--task", "aftre")
    assert "did you mean 'after'" in said, said
    again = as_json(server, "execution", "rerun", workflow, "--task", "after")
    assert again["original"] == workflow and again["id"] != workflow
    server.cli("execution", "watch", again["id"])
    assert steps(server, again["id"]) == {"after": "succeeded"}
    assert as_json(server, "execution", "show", workflow)["status"] == "succeeded"


def the_graph_tells_where_each_task_stands(server, workflow):
    text = server.cli("execution", "graph", workflow)
    assert "before [succeeded]: flows.step" in text and "  -> ask" in text, text
    assert server.cli("execution", "graph", workflow, "--dot").startswith("digraph")
    graph = as_json(server, "execution", "graph", workflow)
    assert {node["name"]: node.get("status") for node in graph["nodes"]} == dict.fromkeys(
        ("before", "ask", "beside", "after"), "succeeded"), graph
    assert {"from": "ask", "to": "after"}.items() <= [
        edge for edge in graph["edges"] if edge["from"] == "ask"][0].items()
    tree = server.cli("trace", "show", workflow)
    assert "─ beside  execution" in tree and "─ ask  execution" in tree, tree
    echo = server.cli("run", "core.echo", "message=hi", "--async").strip()
    run(server, 3, "execution", "graph", echo)


def a_held_task_is_resolved(server):
    workflow = begun(server, "held")
    until_status(server, workflow, "needs_decision")
    assert "task 'risky' failed and is held" in server.cli("execution", "show", workflow)
    run(server, 1, "execution", "resolve", workflow, "retry", "--task", "after")
    server.cli("execution", "resolve", workflow, "retry", "--task", "risky")
    server.cli("execution", "watch", workflow)
    rows = as_json(server, "execution", "list", "--parent", workflow, "--sort", "created")
    assert [(row["task"], row["status"]) for row in rows] == [
        ("risky", "failed"), ("risky", "succeeded"), ("after", "succeeded")], rows


def a_list_names_its_items_in_the_trace(server):
    workflow = begun(server, "items")
    server.cli("execution", "watch", workflow)
    tree = server.cli("trace", "show", workflow)
    for item in range(5):
        assert f"─ each[{item}]  execution" in tree, tree


def nothing_is_drawn_of_what_has_no_tasks(server):
    file = server.home / "empty.yaml"
    for text in ("", "null", "{}", "tasks: {}", "tasks: []", "[1]", "text", "chain: []"):
        file.write_text(text)
        for more in ((), ("--dot",), ("--language", "orquesta"), ("-o", "json")):
            out, said = run(server, 2, "workflow", "graph", str(file), *more)
            assert not out and f"{file}:1: " in said, (text, more, out, said)


def calls_are_looked_at_before_a_run(server):
    pack = server.home / "caller"
    (pack / "actions").mkdir(parents=True)
    (pack / "pack.yaml").write_text("ref: caller\nversion: 1.0.0\n")
    (pack / "actions/call.yaml").write_text("name: call\nrunner_type: orquesta\n"
                                            "entry_point: call_flow.yaml\n")
    flow = pack / "actions/call_flow.yaml"
    flow.write_text("tasks:\n  a: {action: core.noop, next: [{do: b}]}\n"
                    "  b: {action: core.echoo}\n  c: {action: core.echo, input: {mesage: x}}\n")
    for words in (("workflow", "inspect", str(flow), "--language", "orquesta"),
                  ("pack", "check", str(pack))):
        out, _ = run(server, 1, *words)
        assert "unknown action 'core.echoo' (did you mean 'core.echo'?)" in out, out
        assert "has no input 'mesage' (did you mean 'message'?)" in out, out
        assert "call_flow.yaml:3" in out, out


def workflows():
    with Server(settings={"log.level": "warn"}) as server:
        server.start()
        a_run_ends_with_its_output(server)
        workflow = a_question_is_answered_once(server)
        a_pause_holds_what_comes_next(server)
        a_rerun_takes_the_named_task(server, workflow)
        the_graph_tells_where_each_task_stands(server, workflow)
        a_held_task_is_resolved(server)
        a_list_names_its_items_in_the_trace(server)
        nothing_is_drawn_of_what_has_no_tasks(server)
        calls_are_looked_at_before_a_run(server)
        assert server.stop() == 0
        server.doctor()


if __name__ == "__main__":
    sys.exit(run_cases([workflows]))
