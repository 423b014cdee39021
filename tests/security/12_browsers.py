# SPDX-License-Identifier: Apache-2.0
"""A page in a browser of who may use the server reaches it through no door: no CORS, no cookies, no forms."""

import re
import sys

from attack import JSON, Target, api_document, main, nowhere, operations, responses, send_raw, wrong

TARGET = Target(most_mib=100)
ORIGINS = [
    "https://evil.example",
    "null",
    "http://127.0.0.1",
    "http://localhost:3000",
    "file://",
    "*",
    "chrome-extension://x",
]
FORMS = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "",
    "text/json",
    "application/jsonp",
    "text/plain; application/json",
    "application/json-seq",
    "text/html",
    "*/*",
    "application/",
    "json",
    "application/x-json",
]
CREDENTIALS = re.compile(r"access-control|set-cookie|www-authenticate", re.I)


def every_answer(origin):
    """Answers of all routes to a request of a page, with and without a token."""
    for method, path, _ in operations(api_document(TARGET)):
        if path == "/api/v1/stream":
            continue  # it goes on; looked at below
        for token in (None, TARGET.token()):
            bearer = f"Authorization: Bearer {token}\r\n" if token else ""
            got = responses(
                send_raw(
                    TARGET,
                    (
                        f"{method} {nowhere(path)} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nReferer: {origin}/\r\nSec-Fetch-Site: cross-site\r\n"
                        f"{bearer}Content-Length: 0\r\nConnection: close\r\n\r\n"
                    ).encode(),
                )
            )
            assert len(got) == 1, (method, path, got)
            yield method, path, got[0]


def no_answer_lets_a_page_read_it():
    bad = []
    for origin in ORIGINS[:3]:
        for method, path, (status, headers, _) in every_answer(origin):
            found = [name for name in headers if CREDENTIALS.match(name)]
            if [name for name in found if name != "www-authenticate"]:
                bad.append((method, path, status, found))
            # A browser would ask for a password and then send it with every request.
            if headers.get("www-authenticate", "Bearer") != "Bearer":
                bad.append((method, path, headers))
    wrong(bad)


def a_preflight_opens_nothing():
    bad = []
    for _, path, _ in operations(api_document(TARGET)):
        for origin in ORIGINS:
            got = responses(
                send_raw(
                    TARGET,
                    (
                        f"OPTIONS {nowhere(path)} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n"
                        "Access-Control-Request-Headers: authorization, content-type\r\nAccess-Control-Request-Private-Network: true\r\n"
                        "Connection: close\r\n\r\n"
                    ).encode(),
                )
            )
            status, headers, _ = got[0]
            if status != 405 or [name for name in headers if name.startswith("access-control")]:
                bad.append((path, origin, status, headers))
    wrong(bad)
    assert responses(
        send_raw(TARGET, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nOrigin: null\r\nConnection: close\r\n\r\n")
    )[0][0] in (404, 405)


def json_by_another_type_is_415():
    """Types that a form or a simple request may have, whose body is JSON all the same."""
    admin, bad = TARGET.client(), []
    writes = [
        (method, path)
        for method, path, operation in operations(api_document(TARGET))
        if "application/json" in (operation.get("requestBody") or {}).get("content", {})
    ]
    assert len(writes) >= 8, writes
    for method, path in writes:
        for form in FORMS:
            status, _, answer = admin.request(method, nowhere(path), '{"a": 1}', {"Content-Type": form})
            if status != 415:
                bad.append((method, path, form, status, answer))
    wrong(bad)
    assert len(admin.data("GET", "/api/v1/rules")) == 0


def a_cookie_is_no_token():
    for cookie in (
        f"token={TARGET.token()}",
        f"Authorization=Bearer {TARGET.token()}",
        f"session={TARGET.token()}",
        f"mr={TARGET.token()}",
    ):
        status, _, _ = TARGET.anyone().request("GET", "/api/v1/rules", headers={"Cookie": cookie})
        assert status == 401, cookie
    status, _, _ = TARGET.anyone().request("GET", "/api/v1/rules", headers={"Cookie": "a=b; " * 500})
    assert status == 401


def the_stream_is_no_more_open_than_the_rest():
    bare = TARGET.anyone()
    for headers in (
        {},
        {"Origin": "https://evil.example"},
        {"Accept": "text/event-stream"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
    ):
        assert bare.request("GET", "/api/v1/stream", headers=headers)[0] == 401, headers
        assert (
            bare.request("GET", f"/api/v1/stream?token={TARGET.token()}", headers=headers)[0] == 401
        ), headers


def data_of_others_is_never_html():
    """What others wrote comes as JSON, as text or as bytes: a browser that is led there runs nothing."""
    admin = TARGET.client()
    script = "<script>alert(1)</script>"
    row = admin.data(
        "POST",
        "/api/v1/executions?wait=30s",
        {"action": "core.local", "parameters": {"cmd": f"echo '{script}'"}},
    )
    admin.data("PUT", "/api/v1/keys/system/page", {"value": script})
    for path in (
        f"/api/v1/executions/{row['id']}",
        f"/api/v1/executions/{row['id']}/output",
        f"/api/v1/executions/{row['id']}/result",
        "/api/v1/keys/system/page",
        f"/api/v1/rules/{script.replace('/', '%5c')}",
        f"/{script.replace('/', '%5c')}",
    ):
        status, headers, _ = admin.request("GET", path)
        kind = headers["Content-Type"]
        assert kind.split(";")[0] in (
            "application/json",
            "application/problem+json",
            "application/octet-stream",
            "text/plain",
        ), (path, kind)
    # The one page that there is shows nothing of what was sent.
    for query in (f"?{script}", f"?q={script}", f"#{script}"):
        got = responses(
            send_raw(
                TARGET, f"GET /api/docs{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            )
        )
        status, headers, page = got[0]
        assert "html" not in headers["content-type"] or script.encode() not in page, (query, status)


CASES = [
    no_answer_lets_a_page_read_it,
    a_preflight_opens_nothing,
    json_by_another_type_is_415,
    a_cookie_is_no_token,
    the_stream_is_no_more_open_than_the_rest,
    data_of_others_is_never_html,
]

sys.exit(main(TARGET, CASES))
