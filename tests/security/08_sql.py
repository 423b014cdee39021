# SPDX-License-Identifier: Apache-2.0
"""Texts that would be SQL elsewhere, cursors that nobody gave, numbers at their ends."""

import base64
import http.client
import json
import re
import sys
import urllib.parse

from attack import (
    EVENT,
    JSON,
    Target,
    api_document,
    cloud_event,
    everything,
    main,
    nowhere,
    operations,
    rule,
    wrong,
)

TARGET = Target(most_mib=100)
PAYLOADS = [
    "' OR '1'='1",
    "'; DROP TABLE execution; --",
    "\" OR \"\"=\"",
    "1 OR 1=1",
    "1; DELETE FROM event",
    "' UNION SELECT hash FROM token --",
    "') OR ('1'='1",
    "\\'; --",
    "%27%20OR%201=1",
    "x' AND 1=CAST((SELECT hash FROM token) AS INT) --",
    "' || (SELECT hash FROM token) || '",
    "%' OR '%'='",
    "_%",
    "'/**/OR/**/1=1/**/--",
    "\u02bc OR 1=1 --",
    "'\x00 OR 1=1",
    "randomblob(1000000000)",
    "$1",
    "?1",
    ":tenant",
]
ENDS = [
    "0",
    "-1",
    "1",
    "-0",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    " 1",
    "1 ",
    "",
    "NaN",
    "null",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "9" * 300,
    "\u0661",
    "1,2",
    "1&limit=2",
]


def quote(text):
    return urllib.parse.quote(text, safe="")


def places():
    """Where a text may stand: (method, path, body, headers)."""
    reads = [
        "rules/{}",
        "rules/{}/why?event=1",
        "packs/{}",
        "actions/{}",
        "triggers/{}",
        "webhook-endpoints/{}",
        "keys/{}/x",
        "keys/system/{}",
        "events/{}",
        "enforcements/{}",
        "executions/{}",
        "inquiries/{}",
        "traces/{}",
        "executions/{}/output",
        "rules?trigger={}",
        "rules?action={}",
        "rules?pack={}",
        "actions?pack={}",
        "triggers?pack={}",
        "packs?pack={}",
        "events?trigger={}",
        "enforcements?rule={}",
        "enforcements?event={}",
        "executions?action={}",
        "executions?parent={}",
        "executions?status={}",
        "executions?sort={}",
        "keys?scope={}",
        "rules?cursor={}",
        "events?cursor={}",
        "executions?wait={}",
        "inquiries?status={}",
    ]
    for path in reads:
        yield "GET", f"/api/v1/{path}", None, {}
    for path in ("rules/{}", "keys/system/{}", "webhook-endpoints/{}", "tokens/{}"):
        yield "DELETE", f"/api/v1/{path}", None, {}
    yield "POST", "/api/v1/executions/{}/cancel", None, {}
    yield "POST", "/api/v1/events/{}/replay", None, {}


def no_text_becomes_sql():
    admin = TARGET.client()
    admin.data("POST", "/api/v1/rules", rule("kept.rule", "core.noop", {}))
    admin.data("PUT", "/api/v1/keys/system/kept", {"value": "kept"})
    admin.data("POST", "/api/v1/executions?wait=10s", {"action": "core.noop", "parameters": {}})
    counts = [
        len(everything(admin, f"/api/v1/{path}")) for path in ("rules", "keys", "executions", "tokens")
    ]
    bad, asked = [], 0
    for method, path, body, headers in places():
        for text in PAYLOADS:
            asked += 1
            status, _, answer = admin.request(method, path.format(quote(text)), body, headers)
            if status not in (200, 400, 404, 405) or (status == 200 and answer.get("data")):
                bad.append((method, path, text, status, str(answer)[:200]))
            if (
                "token" in str(answer)
                and "hash" not in text
                and "token" not in path
                or "SQLITE" in str(answer)
            ):
                bad.append((method, path, text, str(answer)[:200]))
    wrong(bad)
    assert [
        len(everything(admin, f"/api/v1/{path}")) for path in ("rules", "keys", "executions", "tokens")
    ] == counts
    assert asked >= 13 * 16


def stored_texts_come_back_as_they_went_in():
    admin = TARGET.client()
    for number, text in enumerate(PAYLOADS):
        admin.data("PUT", f"/api/v1/keys/system/sql{number}", {"value": {text: [text]}})
        assert admin.data("GET", f"/api/v1/keys/system/sql{number}")["value"] == {text: [text]}
        row = admin.data(
            "POST", "/api/v1/executions?wait=10s", {"action": "core.echo", "parameters": {"message": text}}
        )
        assert row["result"]["output"] == text, text
        name = re.sub(r"[\x00-\x1f\x7f-\x9f]", "", text)  # CloudEvents allows no control characters
        source = "s/" + urllib.parse.quote(name)  # a URI
        event = cloud_event(source, f"i {name}", data={"x": text})
        first = admin.data("POST", "/api/v1/events", json.dumps(event), EVENT)
        again = admin.data("POST", "/api/v1/events", json.dumps(event), EVENT)
        events = (
            first["events"] if "events" in first else [first],
            again["events"] if "events" in again else [again],
        )
        assert events[0][0]["event"] == events[1][0]["event"], (first, again)
        stored = admin.data("GET", f"/api/v1/events/{events[0][0]['event']}")
        assert stored["source"] == source and stored["source_id"] == f"i {name}" and stored["payload"]["data"] == {"x": text}, stored
    # A wildcard of LIKE or GLOB is no wildcard: one source is not another's.
    for source in ("s%25", "s_", "s*", "s?", "%5Bs%5D"):  # URIs
        made = admin.data("POST", "/api/v1/events", json.dumps(cloud_event(source, "same id")), EVENT)
        assert not json.dumps(made).count("true"), (source, made)


def lists():
    return [
        path
        for method, path, operation in operations(api_document(TARGET))
        if method == "GET" and any(p["name"] == "cursor" for p in operation.get("parameters", []))
    ]


def cursor(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def a_cursor_of_nobody_is_400():
    admin = TARGET.client()
    for i in range(3):
        admin.data("POST", "/api/v1/executions", {"action": "core.noop", "parameters": {}})
    _, _, page = admin.request("GET", "/api/v1/executions?limit=1")
    own = page["next_cursor"]
    assert admin.request("GET", f"/api/v1/executions?limit=1&cursor={own}")[0] == 200
    plain = base64.urlsafe_b64decode(own + "===").decode()
    name, last = plain.rsplit(":", 1)
    odd = [
        "-1",
        "0",
        "-9223372036854775808",
        "9223372036854775808",
        "1.5",
        "0x1",
        " 1",
        "1 ",
        "+1",
        "",
        "1\0",
        "1;",
        "9" * 100,
        "\u0661",
    ]
    bad = []
    for text in [f"{name}:{number}" for number in odd] + [
        f"{name}",
        f"{name}::1",
        f":{last}",
        f"{name} :{last}",
        f"{name.upper()}:{last}",
    ]:
        status, _, answer = admin.request("GET", f"/api/v1/executions?cursor={cursor(text)}")
        if status != 400 and text != f"{name}:":  # without a number it is the first page
            bad.append((text, status))
    for raw in ("a", "=", "====", "!!!!", own + "=", own.upper(), "%00", own + "%0a", "-", "_" * 999):
        status, _, _ = admin.request("GET", f"/api/v1/executions?cursor={raw}")
        if status != 400 and raw != own + "=":
            bad.append((raw, status))
    for path in lists():
        status, _, _ = admin.request("GET", f"{nowhere(path)}?cursor={own}")
        if path != "/api/v1/executions" and status not in (400, 404):
            bad.append((path, status))
    wrong(bad)


def numbers_at_their_ends_are_taken_or_400():
    admin = TARGET.client()
    row = admin.data(
        "POST", "/api/v1/executions?wait=10s", {"action": "core.echo", "parameters": {"message": "x"}}
    )
    bad = []
    questions = (
        [f"{path}?limit={{}}" for path in map(nowhere, lists())]
        + [f"/api/v1/executions/{row['id']}/output?{name}={{}}" for name in ("from", "limit", "attempt")]
        + [
            "/api/v1/queues?limit={}",
            "/api/v1/executions?parent={}",
            "/api/v1/enforcements?event={}",
            "/api/v1/rules/kept.rule/why?event={}",
            f"/api/v1/executions/{row['id']}?wait={{}}",
            f"/api/v1/executions/{row['id']}?wait=0{{}}s",
            "/api/v1/executions/{}",
            "/api/v1/events/{}",
            "/api/v1/inquiries/{}",
            "/api/v1/enforcements/{}",
        ]
    )
    for question in questions:
        for end in ENDS:
            text = quote(end) if "&" not in end else end
            status, _, answer = admin.request("GET", question.format(text))
            if status not in (200, 400, 404):
                bad.append((question, end, status, answer))
            if (
                "limit={}" in question
                and end in ("0", "-1", "501", "9223372036854775808", "1.5", "0x10", "NaN")
                and status not in (400, 404)
            ):
                bad.append((question, end, status))
    wrong(bad)


def headers_at_their_ends_are_taken_or_400():
    admin = TARGET.client()
    bad = []
    for end in ENDS + [
        '"1"',
        "W/\"1\"",
        '"',
        '""',
        '"1',
        "*",
        '"-1"',
        '"9223372036854775807"',
        '"a"',
        '"1", "2"',
    ]:
        try:
            end.encode("latin-1")
        except UnicodeEncodeError:
            continue
        body = {**rule("kept.rule", "core.noop", {})}
        body.pop("ref")
        status, _, answer = admin.request("PUT", "/api/v1/rules/kept.rule", body, {"If-Match": end})
        if status not in (200, 400, 412):
            bad.append(("If-Match", end, status, answer))
        status, _, answer = admin.request(
            "PUT", "/api/v1/keys/system/kept", {"value": "kept"}, {"If-Match": end}
        )
        if status not in (200, 400, 412):
            bad.append(("If-Match of a key", end, status, answer))
        for name in ("Last-Event-ID",):
            connection = http.client.HTTPConnection(*TARGET.address(), timeout=20)
            connection.request(
                "GET", "/api/v1/stream", headers={"Authorization": f"Bearer {TARGET.token()}", name: end}
            )
            status = connection.getresponse().status
            connection.close()
            if status not in (200, 400):
                bad.append((name, end, status))
    wrong(bad)


CASES = [
    no_text_becomes_sql,
    stored_texts_come_back_as_they_went_in,
    a_cursor_of_nobody_is_400,
    numbers_at_their_ends_are_taken_or_400,
    headers_at_their_ends_are_taken_or_400,
]

sys.exit(main(TARGET, CASES))
