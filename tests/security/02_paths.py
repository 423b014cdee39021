# SPDX-License-Identifier: Apache-2.0
"""A path written in another way reaches the same route under the same right, or none."""

import sys

from attack import Target, main, responses, send_raw, wrong

TARGET = Target(most_mib=100)

# The path, and the one that it is the same as; None: it is nothing.
PATHS = [
    ("//api/v1/tokens", None),
    ("/api//v1/tokens", None),
    ("/api/v1//tokens", None),
    ("/api/v1/tokens/", None),
    ("/api/v1/tokens//", None),
    ("/health/", None),
    ("//health", None),
    ("/./api/v1/tokens", None),
    ("/api/v1/./tokens", None),
    ("/api/v1/tokens/.", None),
    ("/api/v1/rules/../tokens", None),
    ("/health/../api/v1/tokens", None),
    ("/api/v1/rules/%2e%2e/tokens", None),
    ("/api/v1/%2e/tokens", None),
    ("/api/v1/rules/%252e%252e/tokens", None),
    ("/api/v1/rules/%c0%ae%c0%ae/tokens", None),
    ("/api/v1/rules/..%2ftokens", None),
    ("/api/v1%2ftokens", None),
    ("/%2fhealth", None),
    ("/health%2f..%2fapi/v1/tokens", None),
    ("/api/v1/tokens%00", None),
    ("/api/v1/tokens%00.css", None),
    ("/health%00/api/v1/tokens", None),
    ("/api/v1/tokens;x", None),
    ("/api/v1/tokens;x=y", None),
    ("/health;/api/v1/tokens", None),
    ("/api/v1/tokens.", None),
    ("/api/v1/tokens.json", None),
    ("/api/v1/tokens%20", None),
    ("/api/v1/%20tokens", None),
    ("/api/v1/tokens%09", None),
    ("/api/v1/tokens%0a", None),
    ("/api/v1/TOKENS", None),
    ("/API/v1/tokens", None),
    ("/Health", None),
    ("\\api\\v1\\tokens", None),
    ("/api/v1\\tokens", None),
    ("/api/v1/tokens%5c", None),
    ("/api/v1/rules/..\\tokens", None),
    ("/api/v1/rules/%5c..%5ctokens", None),
    ("/api/v1/tokens%3flimit=1", None),
    ("/api/v1/tokens%23", None),
    ("/api/v1/token%u0073", None),
    ("/api/v1/token%7", None),
    ("/api/v1/token%zz", None),
    ("/api/v1/%EF%BD%94okens", None),
    ("/api/v1/token%73", "/api/v1/tokens"),
    ("/%61pi/v1/tokens", "/api/v1/tokens"),
    ("/%68ealth", "/health"),
    ("/api/v1/%72ules", "/api/v1/rules"),
    ("http://x/api/v1/tokens", "/api/v1/tokens"),
    ("http://x/health", "/health"),
    ("http://x//health", None),
]


def status_of(path, token, method="GET"):
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    got = responses(
        send_raw(
            TARGET,
            (f"{method} {path} HTTP/1.1\r\nHost: x\r\n{bearer}" "Connection: close\r\n\r\n").encode(),
        ),
        bodies=method != "HEAD",
    )
    assert len(got) == 1, got
    return got[0][0]


def no_spelling_reaches_a_route_with_another_right():
    assert len(PATHS) >= 29
    tokens = {
        "nobody": None,
        "who reads rules": TARGET.make_token(["rules:read"]),
        "who sends events": TARGET.make_token(["events:send"]),
        "the administrator": TARGET.token(),
    }
    bad = []
    for path, same in PATHS:
        for who, token in tokens.items():
            status = status_of(path, token)
            expected = (status_of(same, token),) if same else (400, 401, 403, 404, 405)
            if status not in expected:
                bad.append((path, who, status, expected))
    wrong(bad)


def a_parameter_is_one_segment_and_never_another_route():
    """`..` and its like are names where a name stands: of things that are not there."""
    reads_rules = TARGET.make_token(["rules:read"])
    for name in ("..", ".", "%2e%2e", "%2e", "%5c", "%20", "%ff", "..;", "~", "%25"):
        assert status_of(f"/api/v1/rules/{name}", reads_rules) in (400, 404), name
        assert status_of(f"/api/v1/keys/{name}/x", reads_rules) == 403, name
        assert status_of(f"/api/v1/rules/{name}", None) == 401, name


def a_literal_is_not_shadowed_by_a_parameter():
    """POST /rules/test needs rules:read, POST /rules/{ref}/enable rules:write: neither opens the other."""
    reads, writes = TARGET.make_token(["rules:read"]), TARGET.make_token(["rules:write"])
    assert status_of("/api/v1/rules/test", writes, "POST") == 403
    assert status_of("/api/v1/rules/test", reads, "POST") == 400
    assert status_of("/api/v1/rules/test/enable", reads, "POST") == 403
    assert status_of("/api/v1/rules/test/enable", writes, "POST") == 404


def a_head_needs_what_its_get_needs():
    sends = TARGET.make_token(["events:send"])
    for path in ("/api/v1/tokens", "/api/v1/rules", "/metrics"):
        assert status_of(path, None, "HEAD") == 401, path
        assert status_of(path, sends, "HEAD") == 403, path


CASES = [
    no_spelling_reaches_a_route_with_another_right,
    a_parameter_is_one_segment_and_never_another_route,
    a_literal_is_not_shadowed_by_a_parameter,
    a_head_needs_what_its_get_needs,
]

sys.exit(main(TARGET, CASES))
