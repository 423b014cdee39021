# SPDX-License-Identifier: Apache-2.0
"""Each route of the OpenAPI document under each permission: exactly the declared one opens it.
Nobody gives what he lacks, and no token outlives what it was made for."""

import hashlib
import hmac
import http.client
import pathlib
import sys

from attack import (
    JSON,
    Client,
    Target,
    api_document,
    connect,
    main,
    nowhere,
    operations,
    responses,
    send_raw,
    until,
    wrong,
)

PACK = pathlib.Path(__file__).parent / "packs/probe"
TARGET = Target(packs=[PACK], most_mib=100)
DENIED = (401, 403)


class Statuses:
    """Statuses of requests over one connection; a stream is left at its head."""

    def __init__(self, target):
        self.target = target
        self.connection = None

    def of(self, method, path, token):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.target.address(), timeout=20)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection.request(method, path, headers=headers)
        answer = self.connection.getresponse()
        if "event-stream" in answer.getheader("Content-Type", ""):
            self.connection.close()
            self.connection = None
        else:
            answer.read()
        return answer.status


def declared(operation):
    """The permission of a route, "any" (a token of any kind) or "open"."""
    if operation.get("security") == []:
        return "open"
    return operation.get("x-permission", "any")


def all_permissions():
    return TARGET.client().data("GET", "/api/v1/identity")["permissions"]


def exactly_the_declared_permission_opens_a_route():
    """No body is sent: what a right opens is then 400 or 404, and nothing is changed."""
    document = api_document(TARGET)
    routes = operations(document)
    words = all_permissions()
    assert len(routes) >= 62 and len(words) >= 21, (len(routes), len(words))
    assert {declared(o) for _, _, o in routes} - {"any", "open"} <= set(words)
    tokens = {word: TARGET.make_token([word], identity=f"only {word}") for word in words}
    strangers = {
        "none": None,
        "unknown": "mr_" + "0" * 64,
        "no token at all": "x",
        "forged run": "mrx.1.1.1.1." + "0" * 64,
        "run of another form": "mrx.1.1.1." + "0" * 64,
    }
    ask = Statuses(TARGET)
    bad, asked = [], 0
    for method, path, operation in routes:
        needs, there = declared(operation), nowhere(path)
        for who, token in {**strangers, **tokens}.items():
            status = ask.of(method, there, token)
            asked += 1
            if needs == "open":
                right = status not in DENIED
            elif who in strangers:
                right = status == 401
            else:
                right = (status == 403) == (needs not in ("any", who)) and status != 401
            if not right or status >= 500 and status != 503:
                bad.append((method, path, f"needs {needs}", who, status))
    wrong(bad)
    print(f"     {asked} requests to {len(routes)} routes")


def a_wildcard_is_its_resource_and_no_more():
    ask = Statuses(TARGET)
    routes = [(m, p, declared(o)) for m, p, o in operations(api_document(TARGET)) if ":" in declared(o)]
    for resource in ("rules", "executions", "keys"):
        token = TARGET.make_token([f"{resource}:*"])
        for method, path, needs in routes:
            status = ask.of(method, nowhere(path), token)
            assert (status == 403) == (not needs.startswith(f"{resource}:")), (
                resource,
                method,
                path,
                status,
            )


def a_head_and_a_wrong_method_open_nothing():
    ask = Statuses(TARGET)
    for method, path, operation in operations(api_document(TARGET)):
        if declared(operation) == "open":
            continue
        if method == "GET":
            assert ask.of("HEAD", nowhere(path), None) == 401, path
        assert ask.of("PATCH", nowhere(path), None) == 405, path


def decrypting_needs_a_right_of_its_own():
    admin = TARGET.client()
    admin.data("PUT", "/api/v1/keys/system/sealed", {"value": "open sesame", "encrypted": True})
    reads = TARGET.with_token("keys:read")
    both = TARGET.with_token("keys:read", "keys:decrypt")
    decrypts = TARGET.with_token("keys:decrypt")
    path = "/api/v1/keys/system/sealed"
    assert both.data("GET", path + "?decrypt=true")["value"] == "open sesame"
    assert reads.request("GET", path + "?decrypt=true")[0] == 403
    assert decrypts.request("GET", path + "?decrypt=true")[0] == 403
    for client in (reads, both):
        for shown in (path, "/api/v1/keys", "/api/v1/keys?scope=system"):
            assert "sesame" not in str(client.request("GET", shown)), shown


def a_delivery_is_401_or_404():
    admin, bare = TARGET.client(), TARGET.anyone()
    admin.data(
        "POST",
        "/api/v1/webhook-endpoints",
        {"name": "hub", "scheme": "github", "secrets": ["a secret of the hub"]},
    )
    admin.data("POST", "/api/v1/webhook-endpoints", {"name": "own", "scheme": "token"})
    sender = TARGET.with_token("events:send")
    reader = TARGET.with_token("events:read")
    for prefix in ("/api/v1/webhooks", "/api/v1/tenants/1/webhooks"):
        assert bare.request("POST", f"{prefix}/hub", "{}", JSON)[0] == 401
        assert admin.request("POST", f"{prefix}/hub", "{}", JSON)[0] == 401  # a token signs nothing
        assert bare.request("POST", f"{prefix}/nohub", "{}", JSON)[0] == 404
        assert bare.request("POST", f"{prefix}/own", "{}", JSON)[0] == 401
        assert reader.request("POST", f"{prefix}/own", "{}", JSON)[0] == 403
        assert sender.request("POST", f"{prefix}/own", "{}", JSON)[0] == 202
    assert bare.request("POST", "/api/v1/tenants/2/webhooks/hub", "{}", JSON)[0] == 404
    # Who has shown nothing learns no names that are near.
    _, _, problem = bare.request("POST", "/api/v1/webhooks/hob", "{}", JSON)
    assert "hub" not in str(problem), problem


def nobody_gives_permissions_that_he_lacks():
    words = all_permissions()
    admin = TARGET.with_token("admin", "rules:read", identity="half")
    for word in [*words, "*", "rules:*", "executions:*"]:
        status, _, answer = admin.request(
            "POST", "/api/v1/tokens", {"identity": "child", "permissions": [word]}
        )
        assert status == (201 if word in ("admin", "rules:read") else 403), (word, answer)
    status, _, _ = admin.request(
        "POST", "/api/v1/tokens", {"identity": "child", "permissions": ["rules:read", "keys:decrypt"]}
    )
    assert status == 403
    for word in ("role:admin", "rules:read,*", "rules:read,keys:decrypt", "**", " *", "*:*", ":", "rules:"):
        status, _, answer = admin.request(
            "POST", "/api/v1/tokens", {"identity": "child", "permissions": [word]}
        )
        assert status in (400, 403), (word, answer)


def a_token_is_the_whole_token():
    token = TARGET.make_token(["rules:read"])
    stored = hashlib.sha256(token.encode()).hexdigest()
    others = [
        token[:-1],
        token[:10],
        token + "0",
        token + token,
        token.upper(),
        token[3:],
        "MR_" + token[3:],
        token[:-1] + ("0" if token[-1] != "0" else "1"),
        token.replace("mr_", "mr-"),
        stored,
        "mr_" + stored,
        f"{token},{token}",
        f"{token} {token}",
        f"\"{token}\"",
        "mr_",
        "mrx.",
        "mrx",
        "",
        "null",
        "*",
        token + "\t0",
        token[::-1],
    ]
    ask = Statuses(TARGET)
    assert ask.of("GET", "/api/v1/rules", token) == 200
    bad = [(other, status) for other in others if (status := ask.of("GET", "/api/v1/rules", other)) != 401]
    wrong(bad)
    for scheme in ("Basic", "Token", "Bearer:", "Digest", ""):
        got = send_raw(
            TARGET,
            f"GET /api/v1/rules HTTP/1.1\r\nHost: x\r\nAuthorization: {scheme} {token}\r\n"
            "Connection: close\r\n\r\n".encode(),
        )
        assert responses(got)[0][0] == 401, scheme
    # Nowhere but in the header.
    for path in (f"/api/v1/rules?token={token}", f"/api/v1/rules?access_token={token}"):
        assert ask.of("GET", path, None) == 401
    got = send_raw(
        TARGET,
        f"GET /api/v1/rules HTTP/1.1\r\nHost: x\r\nCookie: token={token}\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    assert responses(got)[0][0] == 401


def a_revoked_token_is_dead_at_once():
    made = TARGET.client().data("POST", "/api/v1/tokens", {"identity": "x", "permissions": ["rules:read"]})
    ask = Statuses(TARGET)
    assert ask.of("GET", "/api/v1/rules", made["token"]) == 200
    assert TARGET.client().request("DELETE", f"/api/v1/tokens/{made['id']}")[0] == 204
    assert ask.of("GET", "/api/v1/rules", made["token"]) == 401


def an_expired_token_is_dead():
    made = TARGET.client().data(
        "POST", "/api/v1/tokens", {"identity": "x", "permissions": ["rules:read"], "ttl_s": 1}
    )
    ask = Statuses(TARGET)
    until("the token has expired", lambda: ask.of("GET", "/api/v1/rules", made["token"]) == 401, 20)


def of_a_run(action, folder):
    """(token, execution, the file that ends it) of a run that is running."""
    told, end = folder / "token", folder / "end"
    script = (
        f'printenv > {folder}/env; printf %s "$MILLRACE_API_TOKEN" > {told}.new; mv {told}.new {told}; '
        f'while [ ! -e {end} ]; do sleep 0.05; done'
    )
    row = TARGET.client().data(
        "POST", "/api/v1/executions", {"action": action, "parameters": {"script": script}}
    )
    until("the run has told", told.exists)
    return told.read_text(), row["id"], end


def a_runs_token_dies_with_its_run():
    folder = TARGET.home / "rights"
    folder.mkdir()
    token, execution, end = of_a_run("probe.rights", folder)
    assert token.startswith("mrx."), token
    ask = Statuses(TARGET)
    assert ask.of("GET", "/api/v1/executions", token) == 200
    # What was declared and nothing else.
    for path in ("/api/v1/rules", "/api/v1/tokens", "/api/v1/keys", "/metrics"):
        assert ask.of("GET", path, token) == 403, path
    assert ask.of("POST", "/api/v1/executions", token) == 403
    # Every part of it is signed.
    parts = token.split(".")
    for i in range(1, len(parts)):
        for other in ("0", "1", "2", "-1", parts[i] + "0", " " + parts[i], "+" + parts[i], ""):
            if other == parts[i]:
                continue
            forged = ".".join([*parts[:i], other, *parts[i + 1 :]])
            assert ask.of("GET", "/api/v1/executions", forged) == 401, forged
    end.touch()
    TARGET.client().data("GET", f"/api/v1/executions/{execution}?wait=30s")
    assert ask.of("GET", "/api/v1/executions", token) == 401
    assert ask.of("GET", "/api/v1/identity", token) == 401


def a_run_that_declares_no_permission_has_no_token():
    folder = TARGET.home / "plain"
    folder.mkdir()
    token, _, end = of_a_run("probe.plain", folder)
    end.touch()
    assert token == ""
    assert "mrx." not in (folder / "env").read_text()


CASES = [
    exactly_the_declared_permission_opens_a_route,
    a_wildcard_is_its_resource_and_no_more,
    a_head_and_a_wrong_method_open_nothing,
    decrypting_needs_a_right_of_its_own,
    a_delivery_is_401_or_404,
    nobody_gives_permissions_that_he_lacks,
    a_token_is_the_whole_token,
    a_revoked_token_is_dead_at_once,
    an_expired_token_is_dead,
    a_runs_token_dies_with_its_run,
    a_run_that_declares_no_permission_has_no_token,
]

sys.exit(main(TARGET, CASES))
