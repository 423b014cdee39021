# SPDX-License-Identifier: Apache-2.0
"""No answer tells more than 100 problems of 1 KiB, whatever it is told: a mistake costs what it is long,
never a multiple of it."""

import json
import sys

from attack import EVENT, JSON, Target, main, rule, wrong

TARGET = Target(most_mib=400)
MOST = 100
LONGEST = 1024
LONG = "a" * 300_000
MANY = 9_000


def workflow(text, **more):
    return "POST", "/api/v1/workflows/inspect", {"text": text, **more}


def execution(**body):
    return "POST", "/api/v1/executions", body


def new_rule(**body):
    return "POST", "/api/v1/rules", {**rule("a.b", "core.noop", {}), **body}


def questions():
    yield "unknown fields", execution(**{f"f{i}": 1 for i in range(MANY)})
    yield "an unknown field of 300 KB", execution(**{LONG: 1})
    yield "parameters that nobody declared", execution(
        action="core.noop", parameters={f"p{i}": 1 for i in range(MANY)}
    )
    yield "a parameter's name of 300 KB", execution(action="core.noop", parameters={LONG: 1})
    yield "an action's name of 300 KB", execution(action="core." + LONG)
    yield "an action of dots", execution(action="a." * 150_000)
    yield "a status of 300 KB", execution(action="core.noop", priority=LONG)
    yield "a parameter's value of 300 KB", execution(
        action="core.http", parameters={"url": "http://x", "method": LONG}
    )
    yield "a url of 300 KB", execution(action="core.http", parameters={"url": LONG})
    yield "headers that are no texts", execution(
        action="core.http", parameters={"url": "http://x", "headers": {f"h{i}": [i] for i in range(MANY)}}
    )
    yield "users that are no texts", execution(action="core.ask", parameters={"users": list(range(MANY))})
    yield "criteria", new_rule(
        criteria={f"trigger.{i}": {"type": "nothing", "pattern": 1} for i in range(MANY)}
    )
    yield "a criterion's name of 300 KB", new_rule(criteria={LONG: {"type": LONG, "pattern": 1}})
    yield "bad templates", new_rule(
        action={"ref": "core.echo", "parameters": {"message": [f"{{{{ {i} " for i in range(MANY)]}}
    )
    yield "a bad template of 300 KB", new_rule(
        action={"ref": "core.echo", "parameters": {"message": "{{ " + LONG}}
    )
    yield "a rule's ref of 300 KB", new_rule(ref="a." + LONG)
    yield "a trigger of 300 KB", new_rule(trigger={"ref": LONG})
    yield "a cron expression of 300 KB", new_rule(
        trigger={"ref": "core.crontimer", "parameters": {"expression": LONG}}
    )
    yield "a zone of 300 KB", new_rule(
        trigger={"ref": "core.crontimer", "parameters": {"expression": "* * * * *", "timezone": LONG}}
    )
    yield "a test's message", (
        "POST",
        "/api/v1/rules/test",
        {"payload": {}, "rule": rule("a.b", "core.echo", {"message": "{{ '" + LONG + "' + 1 }}"})},
    )
    yield "a test's criteria", (
        "POST",
        "/api/v1/rules/test",
        {
            "payload": {"x": LONG},
            "rule": {
                **rule("a.b", "core.noop", {}),
                "criteria": {"trigger.x": {"type": "regex", "pattern": LONG[:100_000] + "["}},
            },
        },
    )
    yield "permissions", (
        "POST",
        "/api/v1/tokens",
        {"identity": "x", "permissions": [f"p{i}" for i in range(50)]},
    )
    yield "permissions of 300 KB", ("POST", "/api/v1/tokens", {"identity": "x", "permissions": [LONG]})
    yield "an identity of 300 KB", ("POST", "/api/v1/tokens", {"identity": LONG, "permissions": ["*"]})
    yield "a hook's name of 300 KB", ("POST", "/api/v1/webhook-endpoints", {"name": LONG, "scheme": LONG})
    yield "a key of 300 KB", ("PUT", "/api/v1/keys/system/" + "a" * 12_000, {"value": 1})
    yield "a path of 12 KB", ("GET", "/api/v1/rules/" + "a" * 12_000, None)
    yield "no route of 12 KB", ("GET", "/" + "a" * 12_000, None)
    yield "a query of 12 KB", ("GET", "/api/v1/rules?" + "a" * 12_000, None)
    yield "a limit of 12 KB", ("GET", "/api/v1/rules?limit=" + "9" * 12_000, None)
    yield "a cursor of 12 KB", ("GET", "/api/v1/rules?cursor=" + "a" * 12_000, None)
    yield "a status of 12 KB", ("GET", "/api/v1/executions?status=" + "a" * 12_000, None)
    yield "a method of 12 KB", ("A" * 12_000, "/api/v1/rules", None)
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    yield "an event's trigger of 300 KB", ("POST", "/api/v1/events", {**event, "trigger": LONG})
    yield "an event's version of 300 KB", ("POST", "/api/v1/events", {**event, "specversion": LONG})
    yield "an event's id of 300 KB", ("POST", "/api/v1/events", {**event, "id": LONG})
    yield "a tag of 300 KB", workflow("a: !" + LONG + " x")
    yield "tags", workflow("".join(f"a{i}: !x{i} {{b}}\n" for i in range(30_000)))
    yield "an alias of 300 KB", workflow("a: *" + LONG)
    yield "a workflow's key of 300 KB", workflow(LONG + ": 1")
    yield "a workflow's keys", workflow("\n".join(f"k{i}: 1" for i in range(40_000)))
    yield "a task's keys", workflow("tasks:\n  a:\n" + "\n".join(f"    k{i}: 1" for i in range(40_000)))
    yield "tasks that are nothing", workflow("tasks:\n" + "\n".join(f"  t{i}: 1" for i in range(40_000)))
    yield "tasks without an action", workflow(
        "version: 1.0\ntasks:\n"
        + "\n".join(f"  t{i}: {{next: [{{do: [nowhere{i}]}}]}}" for i in range(10_000))
    )
    yield "variables that nobody set", workflow(
        "version: 1.0\ntasks:\n  a:\n    action: core.echo\n    input:\n"
        "      message:\n" + "\n".join(f"        - <% ctx(v{i}) %>" for i in range(4_000))
    )
    yield "bad expressions", workflow(
        "version: 1.0\ntasks:\n  a:\n    action: core.echo\n    input:\n      message:\n"
        + "\n".join(f"        - <% ({i} %>" for i in range(10_000))
    )
    yield "a bad expression of 300 KB", workflow(
        "version: 1.0\ntasks:\n  a:\n    action: core.echo\n    input:\n      message: <% (" + LONG + " %>"
    )
    yield "the same key", workflow("tasks:\n" + "  a: {action: core.noop}\n" * 2_000)


def texts(value):
    """All texts of an answer."""
    if isinstance(value, dict):
        return [t for k, v in value.items() for t in (k, *texts(v))]
    return (
        [t for v in value for t in texts(v)]
        if isinstance(value, list)
        else [value] if isinstance(value, str) else []
    )


def no_answer_is_longer_than_its_bound():
    bad = []
    for what, (method, path, body) in questions():
        client = TARGET.client()
        headers = EVENT if path.endswith("/events") else JSON
        status, _, answer = client.request(
            method, path, json.dumps(body) if body else None, headers, timeout=120
        )
        client.close()
        assert status in (200, 400, 404, 405, 413, 414, 422), (what, status, answer)
        found = texts(answer)
        size = len(json.dumps(answer))
        problems = answer.get("errors", []) if status >= 400 else answer["data"]
        if size > MOST * (LONGEST + 512):
            bad.append((what, status, f"{size} bytes"))
        if isinstance(problems, list) and len(problems) > MOST:
            bad.append((what, status, f"{len(problems)} problems"))
        longest = max(map(len, found), default=0)
        if longest > 2 * LONGEST:
            bad.append((what, status, f"a text of {longest} characters"))
    wrong(bad)


CASES = [no_answer_is_longer_than_its_bound]

sys.exit(main(TARGET, CASES))
