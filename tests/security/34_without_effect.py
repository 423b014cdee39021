# SPDX-License-Identifier: Apache-2.0
"""What is asked for holds or is refused: nothing is taken and then left out without a word."""

import sys

from attack import Target, cloud_event, main, rule, until, wrong

TARGET = Target(most_mib=150)


def key(name):
    return f"/api/v1/keys/system/{name}"


def a_condition_of_a_write_holds_or_is_refused():
    admin = TARGET.client()

    def put(path, value, **headers):
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return admin.request("PUT", path, {"value": value}, named)[0]

    assert put(key("made"), 1, If_None_Match="*") == 200
    assert put(key("made"), 2, If_None_Match="*") == 412
    assert admin.data("GET", key("made"))["value"] == 1
    assert put(key("none"), 1, If_Match="*") == 412
    assert admin.request("GET", key("none"))[0] == 404
    assert put(key("made"), 3, If_Match="*") == 200
    bad = [
        headers
        for headers in (
            {"If_Match": ""},
            {"If_Match": " "},
            {"If_Match": "W/\"1\""},
            {"If_None_Match": ""},
            {"If_None_Match": "\"1\""},
            {"If_None_Match": "*", "If_Match": "\"1\""},
        )
        if put(key("made"), 4, **headers) != 400
    ]
    wrong(bad)
    assert admin.data("GET", key("made"))["value"] == 3
    hook = {"name": "plain", "scheme": "token"}
    admin.data("POST", "/api/v1/webhook-endpoints", hook)
    for headers in ({"If-Match": "\"7\""}, {"If-None-Match": "*"}):
        for method, path, body in (
            ("PUT", "/api/v1/webhook-endpoints/plain", hook),
            ("DELETE", "/api/v1/webhook-endpoints/plain", None),
            ("DELETE", "/api/v1/tokens/1", None),
            ("DELETE", "/api/v1/packs/nosuch", None),
        ):
            status, _, answer = admin.request(method, path, body, headers)
            assert (status, answer["code"]) == (400, "API-0005"), (method, path, headers, answer)
    assert admin.request("GET", "/api/v1/webhook-endpoints/plain")[0] == 200
    assert admin.request("DELETE", key("made"), None, {"If-None-Match": "*"})[0] == 400
    assert admin.request("GET", key("made"), None, {"If-None-Match": "*"})[0] == 200


def an_empty_idempotency_key_is_none():
    admin = TARGET.client()
    for text in ("", " ", "\t"):
        status, _, answer = admin.request(
            "POST", "/api/v1/executions", {"action": "core.noop"}, {"Idempotency-Key": text}
        )
        assert (status, answer["code"]) == (400, "API-0015"), (text, answer)


def a_rule_that_would_mean_something_else_is_refused():
    admin = TARGET.client()
    told = {}

    def write(place, trigger, parameters, criteria=None):
        body = rule("odd.rule", "core.noop", {}, criteria, trigger, parameters)
        status, _, answer = admin.request("POST", "/api/v1/rules", body)
        told[f"{trigger} {parameters} {criteria}"] = status, place in str(answer.get("errors"))

    for zone in (5, True, 1.5, ["Europe/Berlin"], {}):
        write("/timezone", "core.crontimer", {"expression": "0 0 * * *", "timezone": zone})
        write("/timezone", "core.datetimetimer", {"fire_at": "2040-01-01 00:00:00", "timezone": zone})
        write("/timezone", "core.st2.CronTimer", {"hour": 0, "timezone": zone})
    write("/name", "core.webhook", {"name": "{{ trigger.name }}"})
    for kind, pattern in (("regex", 5), ("startswith", 1), ("td_lt", "20"), ("matchwildcard", ["*"])):
        write("/pattern", "core.cloudevent", {}, {"trigger.data.a": {"type": kind, "pattern": pattern}})
    wrong([(what, found) for what, found in told.items() if found != (400, True)])


def a_hook_fires_no_timer():
    """Rules on a timer trust that it is time; CloudEvents that name one are refused, too."""
    admin = TARGET.client()
    for trigger in ("core.crontimer", "core.datetimetimer", "core.st2.IntervalTimer"):
        body = {"name": "early", "scheme": "token", "trigger": trigger}
        status, _, answer = admin.request("POST", "/api/v1/webhook-endpoints", body)
        assert status == 400 and answer["errors"][0]["path"] == "/trigger", (trigger, answer)
    assert admin.request("GET", "/api/v1/webhook-endpoints/early")[0] == 404


def a_result_that_json_cannot_hold_is_an_error():
    admin = TARGET.client()
    for text in ("{{ 1e308 * 10 }}", "{{ 'nan' | float }}", "<% float('inf') %>", "{{ {1: 'a', '1': 'b'} }}"):
        spec = rule("odd.number", "core.echo", {"message": text})
        answer = admin.data("POST", "/api/v1/rules/test", {"rule": spec, "payload": {}})
        assert answer.get("error") and "parameters" not in answer, (text, answer)
    for text in ("{{ '\\ud800' }}", "<% '\\uDFFF' %>"):
        spec = rule("odd.text", "core.echo", {"message": text})
        assert admin.request("POST", "/api/v1/rules", spec)[0] == 400, text
    admin.data("POST", "/api/v1/rules", rule("odd.sum", "core.echo", {"message": "{{ trigger.data.x * 1e300 }}"}))
    event = admin.data("POST", "/api/v1/events", cloud_event("/odd", "1", data={"x": 1e300}), {"Content-Type": "application/cloudevents+json"})
    event = event[0]["event"] if isinstance(event, list) else event["event"]
    found = until(
        "the rule was held against the event",
        lambda: admin.data("GET", f"/api/v1/enforcements?event={event}"),
    )
    assert [one["status"] for one in found if one["rule_ref"] == "odd.sum"] == ["failed"], found


if __name__ == "__main__":
    sys.exit(
        main(
            TARGET,
            [
                a_condition_of_a_write_holds_or_is_refused,
                an_empty_idempotency_key_is_none,
                a_rule_that_would_mean_something_else_is_refused,
                a_hook_fires_no_timer,
                a_result_that_json_cannot_hold_is_an_error,
            ],
        )
    )
