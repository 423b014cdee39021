# SPDX-License-Identifier: Apache-2.0
"""Calls from the OpenAPI document with values of all kinds, and connections whose bytes were changed: no
crash, no 5xx, nothing kept. --calls N, --connections N, --seed N take more, or others."""

import json
import pathlib
import random
import socket
import sys
import urllib.parse

from attack import (
    is_sanitized,
    EVENT,
    Target,
    api_document,
    argument,
    connect,
    main,
    mutated,
    operations,
    rule,
    start_time,
    wrong,
)

PACK = pathlib.Path(__file__).parent / "packs/probe"
TARGET = Target(packs=[PACK], most_mib=150, settings={"worker.kill_grace_ms": 100})
SEED = argument("--seed", 8)
TEXTS = [
    "",
    "a",
    "a.b",
    "core.noop",
    "core.echo",
    "core.fail",
    "core.cloudevent",
    "core.intervaltimer",
    "core.crontimer",
    "system",
    "probe.plain",
    "probe",
    "nothing",
    "\x00",
    "\n",
    "\u2028",
    "é😀",
    "{{ 1 }}",
    "{{ trigger }}",
    "<% $ %>",
    "{{",
    "' OR 1=1 --",
    "../..",
    "%",
    "a" * 300,
    "*",
    "true",
    "null",
    "-1",
    "9223372036854775808",
    "2026-01-01T00:00:00Z",
    "30s",
    "1e400",
    "NaN",
    "[",
    "(a+)+$",
    "\ud7ff",
]
NUMBERS = [0, 1, -1, 2, 50, 501, 2**31, 2**32, 2**63 - 1, -(2**63), 2**63, 1e308, -0.0, 0.5, 1e-320]
SAFE = [
    ("core.noop", {}),
    ("core.echo", {"message": 1}),
    ("core.fail", {}),
    ("core.ask", {"prompt": "?"}),
    ("core.sleep", {"seconds": 3600}),
    ("core.local", {"cmd": "true"}),
    ("probe.plain", {"script": "exit 3"}),
    ("core.inject_trigger", {"trigger": "core.cloudevent", "payload": {}}),
]


class Maker:
    """Values that fit a schema, mostly."""

    def __init__(self, document, rng):
        self.schemas = document["components"]["schemas"]
        self.rng = rng
        self.known = {"id": [], "rule": ["fuzz.rule"], "key": ["k"], "hook": ["hub"]}

    def anything(self, depth=0):
        kind = self.rng.randrange(8 if depth < 4 else 5)
        if kind == 0:
            return self.rng.choice([None, True, False])
        if kind < 3:
            return self.rng.choice(NUMBERS)
        if kind < 5:
            return self.rng.choice(TEXTS)
        if kind < 6:
            return [self.anything(depth + 1) for _ in range(self.rng.randrange(4))]
        return {
            self.rng.choice(TEXTS) or "a": self.anything(depth + 1) for _ in range(self.rng.randrange(4))
        }

    def value(self, schema, depth=0):
        rng = self.rng
        if rng.random() < 0.08 or depth > 8:
            return self.anything(depth)
        if "$ref" in schema:
            return self.value(self.schemas[schema["$ref"].rsplit("/", 1)[1]], depth + 1)
        kind = schema.get("type")
        kind = rng.choice(kind) if isinstance(kind, list) else kind
        if "enum" in schema:
            return rng.choice(schema["enum"])
        if kind == "object":
            required = schema.get("required", [])
            out = {
                name: self.value(inner, depth + 1)
                for name, inner in schema.get("properties", {}).items()
                if name in required and rng.random() < 0.97 or rng.random() < 0.4
            }
            if rng.random() < 0.05:
                out[rng.choice(TEXTS)] = self.anything(depth)
            return out
        if kind == "array":
            return [
                self.value(schema.get("items", {}), depth + 1) for _ in range(rng.choice((0, 1, 1, 2, 5)))
            ]
        if kind in ("integer", "number"):
            return rng.choice([schema.get("minimum", 0), schema.get("maximum", 100), 1, *NUMBERS])
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "string":
            if schema.get("pattern", "").startswith("^[1-9]"):
                return self.identifier()
            return rng.choice(TEXTS)
        return self.anything(depth)

    def identifier(self):
        return str(self.rng.choice(self.known["id"][-50:] + [1, 0, -1, 2**63 - 1, 2**63, "x", ""]))

    def parameter(self, name):
        pool = {
            "id": self.identifier,
            "ref": lambda: self.rng.choice(self.known["rule"] + TEXTS),
            "name": lambda: self.rng.choice(["k", "hub", "own"] + TEXTS),
            "scope": lambda: self.rng.choice(["system", "user:a", *TEXTS]),
            "tenant": lambda: self.rng.choice(["1", "1", "2", "x"]),
        }
        return urllib.parse.quote(
            pool.get(name, lambda: self.rng.choice(TEXTS))() or "x", safe="", errors="surrogatepass"
        )

    def body(self, path, operation):
        content = (operation.get("requestBody") or {}).get("content", {})
        if not content:
            return (None, None) if self.rng.random() < 0.9 else ("{}", "application/json")
        kind, shape = self.rng.choice(list(content.items()))
        value = self.value(shape.get("schema", {}))
        rng = self.rng
        if path == "/api/v1/executions" and isinstance(value, dict) and rng.random() < 0.8:
            value["action"], value["parameters"] = rng.choice(SAFE)
            if rng.random() < 0.3:
                value["parameters"] = {
                    **value["parameters"],
                    rng.choice(("message", "prompt", "env", "x")): self.anything(),
                }
        if "rules" in path and isinstance(value, dict) and rng.random() < 0.7:
            made = rule(
                "fuzz.rule",
                "core.echo",
                {"message": rng.choice(TEXTS)},
                trigger=rng.choice(("core.cloudevent", "core.crontimer")),
            )
            made["trigger"]["parameters"] = rng.choice(
                ({}, {"expression": rng.choice(("* * * * *", "61 * * * *", "@daily", *TEXTS[:20]))})
            )
            made["criteria"] = rng.choice(
                (
                    {},
                    {
                        "trigger.x": {
                            "type": rng.choice(("equals", "regex", "matchregex", "nothing")),
                            "pattern": self.anything(),
                        }
                    },
                )
            )
            if path.endswith("/test"):
                value = {"rule": made, "payload": self.anything()}
            else:
                value = {**made, **(value if rng.random() < 0.2 else {})}
                if "{ref}" in path:
                    value.pop("ref", None)
        if path.endswith("events"):
            kind = rng.choice(("application/cloudevents+json", "application/cloudevents-batch+json"))
            value = {
                "specversion": "1.0",
                "id": rng.choice(TEXTS) or "1",
                "source": "s",
                "type": rng.choice(TEXTS) or "t",
                "data": self.anything(),
            }
            value = [value, value] if "batch" in kind else value
        text = json.dumps(value)
        if rng.random() < 0.05:
            text = text[: rng.randrange(len(text) + 1)]
        return text, "application/json" if kind == "*/*" else kind


def calls_of_the_document():
    rng = random.Random(SEED)
    document, client = api_document(TARGET), TARGET.client()
    maker = Maker(document, rng)
    routes = [r for r in operations(document) if r[1] not in ("/api/v1/stream",)]
    seen, bad = {}, []
    for name, body in (
        ("hub", {"scheme": "github", "secrets": ["a secret of the hub"]}),
        ("own", {"scheme": "token"}),
    ):
        client.data("POST", "/api/v1/webhook-endpoints", {"name": name, **body})
    for number in range(argument("--calls", 3000)):
        method, path, operation = rng.choice(routes)
        if method == "DELETE" and ("tokens" in path or "packs" in path) and rng.random() < 0.9:
            continue
        there = "/".join(
            maker.parameter(part[1:-1]) if part.startswith("{") else part for part in path.split("/")
        )
        query, headers = [], {}
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and rng.random() < 0.3 and parameter["name"] not in ("follow",):
                value = maker.value(parameter["schema"])
                value = "0s" if parameter["name"] == "wait" and rng.random() < 0.8 else value
                text = value if isinstance(value, str) else json.dumps(value)
                if text.endswith(("m", "s")) and text[:-1].isdigit():
                    text = "10ms"
                query.append(
                    f"{parameter['name']}={urllib.parse.quote(text, safe='', errors='surrogatepass')}"
                )
            elif parameter["in"] == "header" and rng.random() < 0.2:
                headers[parameter["name"]] = rng.choice(
                    ("1", '"1"', "*", "k", f"k{number}", "-1", "a" * 300)
                )
        body, kind = maker.body(path, operation)
        if kind:
            headers["Content-Type"] = kind
        question = there + ("?" + "&".join(query) if query else "")
        try:
            status, _, answer = client.request(method, question, body, headers, timeout=60)
        except OSError as error:
            raise AssertionError(
                f"call {number} of seed {SEED}: {method} {question} {body}: {error}"
            ) from None
        seen[status // 100] = seen.get(status // 100, 0) + 1
        if status >= 500 and status != 503:
            bad.append((number, method, question, body, status, answer))
        if isinstance(answer, dict) and isinstance(answer.get("data"), dict) and "id" in answer["data"]:
            maker.known["id"].append(answer["data"]["id"])
    wrong(bad)
    print(f"     answers by class: {dict(sorted(seen.items()))}")
    assert seen.get(2, 0) > 200 and seen.get(4, 0) > 200, seen
    TARGET.still_well()


def requests():
    token = TARGET.token().encode()
    auth = b"Host: x\r\nAuthorization: Bearer " + token + b"\r\n"
    event = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":[1,2]}}'
    body = b'{"action":"core.echo","parameters":{"message":"x"}}'
    return [
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/rules?limit=10&cursor= HTTP/1.1\r\n" + auth + b"\r\n",
        b"POST /api/v1/executions HTTP/1.1\r\n"
        + auth
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
        b"POST /api/v1/events HTTP/1.1\r\n"
        + auth
        + b"Content-Type: application/cloudevents+json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(event), event),
        b"POST /api/v1/events HTTP/1.1\r\n"
        + auth
        + b"ce-specversion: 1.0\r\nce-id: 7\r\nce-source: s\r\nce-type: t\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 3\r\n\r\nabc",
        b"POST /api/v1/webhooks/hub HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\nContent-Length: 2\r\n\r\n{}",
        b"PUT /api/v1/keys/system/raw HTTP/1.1\r\n"
        + auth
        + b"Content-Type: application/json\r\nIf-Match: \"1\"\r\nExpect: 100-continue\r\n"
        b"Content-Length: 11\r\n\r\n{\"value\":1}",
        b"GET /ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /ready HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


def connections_whose_bytes_were_changed():
    rng, seeds, answered = random.Random(SEED), requests(), 0
    for number in range(argument("--connections", 2500)):
        data = b"".join(mutated(rng, rng.choice(seeds)) for _ in range(rng.choice((1, 1, 2, 3))))
        with connect(TARGET) as sock:
            try:
                for piece in (data[: (cut := rng.randrange(len(data) + 1))], data[cut:]):
                    sock.sendall(piece)
                if rng.random() < 0.9:
                    sock.shutdown(socket.SHUT_WR)
                    got = b""
                    while piece := sock.recv(1 << 16):
                        got += piece
                else:
                    continue  # it leaves without a word
            except OSError:
                continue  # reset: it had enough
        answered += bool(got)
        assert b"HTTP/1.1 5" not in got.replace(b"HTTP/1.1 503", b""), (number, SEED, data, got[:500])
        assert not got or got.startswith(b"HTTP/1.1 "), (number, SEED, data, got[:200])
    assert answered > argument("--connections", 2500) // 3, answered
    TARGET.still_well()


def it_kept_nothing_and_stops():
    print(f"     {TARGET.grown_mib()} MiB more")
    assert TARGET.grown_mib() < (800 if is_sanitized() else 100)


CASES = [calls_of_the_document, connections_whose_bytes_were_changed, it_kept_nothing_and_stops]

sys.exit(main(TARGET, CASES))
