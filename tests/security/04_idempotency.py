# SPDX-License-Identifier: Apache-2.0
"""An Idempotency-Key belongs to an identity, a request and nobody else."""

import sys
import threading

from attack import JSON, Target, api_document, everything, main, nowhere, operations

TARGET = Target(most_mib=100)
NOOP = {"action": "core.noop", "parameters": {}}


def start(client, key, body=NOOP, path="/api/v1/executions"):
    status, _, answer = client.request("POST", path, body, {"Idempotency-Key": key})
    return status, answer


def made(answer):
    status, body = answer
    assert status == 201, answer
    return body["data"]["id"]


def executions():
    return len(everything(TARGET.client(), "/api/v1/executions"))


def it_is_apart_by_identity():
    one = TARGET.with_token("executions:run", identity="one")
    two = TARGET.with_token("executions:run", identity="two")
    assert made(start(one, "shared")) != made(start(two, "shared"))
    # An identity that looks like another one and a part of its key is not that one.
    for identity, key in (("one:shared", "x"), ("one", "shared:x"), ("on", "eshared"), ("", "")):
        if identity:
            assert start(TARGET.with_token("executions:run", identity=identity), key)[0] == 201


def a_second_token_of_the_identity_gets_the_first_answer():
    first = TARGET.with_token("executions:run", identity="same")
    second = TARGET.with_token("executions:run", identity="same")
    kept = made(start(first, "k"))
    before = executions()
    assert made(start(second, "k")) == kept and made(start(first, "k")) == kept
    assert executions() == before


def another_request_under_the_same_key_is_422():
    client = TARGET.with_token("*", identity="changes")
    kept = made(start(client, "k"))
    for body in (
        {**NOOP, "priority": "low"},
        {"action": "core.echo", "parameters": {"message": 1}},
        {"parameters": {}, "action": "core.noop"},
        '{"action": "core.noop", "parameters": {} }',
    ):
        status, _, answer = client.request(
            "POST", "/api/v1/executions", body, {**JSON, "Idempotency-Key": "k"}
        )
        assert status == 422, (body, answer)
    assert start(client, "k", path="/api/v1/executions?wait=1s")[0] == 422
    status, _, _ = client.request("PUT", "/api/v1/keys/system/x", {"value": 1}, {"Idempotency-Key": "k"})
    assert status == 422
    assert client.request("GET", "/api/v1/keys/system/x")[0] == 404
    assert made(start(client, "k")) == kept


def a_key_gives_no_answer_to_who_lost_the_right():
    """The answer that is kept is no way around the permission."""
    strong = TARGET.with_token("executions:run", identity="demoted")
    weak = TARGET.with_token("executions:read", identity="demoted")
    made(start(strong, "k"))
    assert start(weak, "k")[0] == 403
    assert start(TARGET.anyone(), "k")[0] == 401


def a_key_of_256_bytes_is_refused_by_every_route_that_takes_one():
    client = TARGET.with_token("*", identity="long")
    takers = [
        (method, path)
        for method, path, operation in operations(api_document(TARGET))
        if any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", []))
    ]
    assert len(takers) >= 12, takers
    for method, path in takers:
        body = {} if method != "DELETE" else None
        status, _, answer = client.request(method, nowhere(path), body, {"Idempotency-Key": "k" * 256})
        assert status == 400 and answer["code"] == "API-0015", (method, path, answer)
    assert start(client, "k" * 255)[0] == 201


def odd_keys_are_texts_like_any_other():
    client = TARGET.with_token("*", identity="odd")
    keys = [
        "'; DROP TABLE execution; --",
        "%00",
        "..",
        "\\",
        "\"",
        "a b",
        "*",
        "?",
        "{{ 1 }}",
        "0",
        "null",
        "\xe4\xff",
        "a,b",
        "a\tb",
    ]
    found = [made(start(client, key.encode("latin-1"))) for key in keys]
    assert len(set(found)) == len(keys)
    assert [made(start(client, key.encode("latin-1"))) for key in keys] == found


def many_at_once_make_one():
    token = TARGET.make_token(["executions:run"], identity="many")
    before, answers = executions(), []

    def ask():
        client = TARGET.anyone()
        client.token = token
        for _ in range(10):
            answers.append(start(client, "k"))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} <= {201, 409}, {status for status, _ in answers}
    assert len({made(answer) for answer in answers if answer[0] == 201}) == 1
    assert executions() == before + 1


CASES = [
    it_is_apart_by_identity,
    a_second_token_of_the_identity_gets_the_first_answer,
    another_request_under_the_same_key_is_422,
    a_key_gives_no_answer_to_who_lost_the_right,
    a_key_of_256_bytes_is_refused_by_every_route_that_takes_one,
    odd_keys_are_texts_like_any_other,
    many_at_once_make_one,
]

sys.exit(main(TARGET, CASES))
