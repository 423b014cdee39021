# SPDX-License-Identifier: Apache-2.0
"""A delivery counts once, and nobody speaks as the server or as another sender (review, M1 and M2)."""

import hashlib
import hmac
import json
import sys
import time

from attack import EVENT, JSON, Target, cloud_event, everything, main, rule, until, wrong

TARGET = Target(most_mib=100)
SECRET = "a secret of this endpoint"


def mac(*parts):
    return hmac.new(SECRET.encode(), b"".join(parts), hashlib.sha256).hexdigest()


def slack(body, at):
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": "v0=" + mac(f"v0:{at}:".encode(), body)}


def stripe(body, at):
    return {"Stripe-Signature": f"t={at},v1=" + mac(f"{at}.".encode(), body)}


def github(body, at):
    return {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": f"delivery of {len(body)}",
        "X-Hub-Signature-256": "sha256=" + mac(body),
    }


def deliver(name, body, headers, kind="application/json"):
    status, _, answer = TARGET.anyone().request(
        "POST", f"/api/v1/webhooks/{name}", body, {"Content-Type": kind, **headers}
    )
    return status, answer


def events():
    return len(everything(TARGET.client(), "/api/v1/events"))


def endpoints():
    for name in ("slack", "stripe", "github"):
        TARGET.client().data(
            "POST", "/api/v1/webhook-endpoints", {"name": name, "scheme": name, "secrets": [SECRET]}
        )


def a_captured_delivery_is_no_new_event():
    """The same bytes again, whatever stands around them."""
    at = str(int(time.time()) - 5)
    for name, sign in (("slack", slack), ("stripe", stripe)):
        for number, body in enumerate((b'{"type": "event_callback", "n": %d}' % i for i in range(2))):
            headers = sign(body, at)
            status, first = deliver(name, body, headers)
            assert status == 202 and not first["data"]["duplicate"], first
            before = events()
            for more in (
                {},
                {"X-Slack-Retry-Num": "1"},
                {"User-Agent": "other"},
                {"X-Request-Id": f"again{number}"},
            ):
                status, again = deliver(name, body, {**headers, **more})
                assert status == 202 and again["data"] == {**first["data"], "duplicate": True}, (
                    name,
                    more,
                    again,
                )
            assert events() == before, name
        # Around the signature: blanks, an order, a second one of another version.
        body = b'{"type": "event_callback", "around": true}'
        headers = sign(body, at)
        deliver(name, body, headers)
        before = events()
        if name == "stripe":
            value = headers["Stripe-Signature"]
            stamp, signature = value.split(",")
            for other in (
                f"{signature},{stamp}",
                f"{value},v0={'0' * 64}",
                f"{value},v1={'0' * 64}",
                f"{stamp},v1={'0' * 64},{signature}",
                f"{value},x=y",
                f"{value},{signature}",
            ):
                deliver(name, body, {"Stripe-Signature": other})
        else:
            deliver(
                name,
                body,
                {"x-slack-SIGNATURE": headers["X-Slack-Signature"], "X-Slack-Request-Timestamp": f" {at} "},
            )
        deliver(name, body, headers, "text/plain")
        assert events() == before, f"{name}: {events() - before} more of one captured delivery"


def a_standard_delivery_needs_an_id():
    TARGET.client().data(
        "POST", "/api/v1/webhook-endpoints", {"name": "standard", "scheme": "standard", "secrets": [SECRET]}
    )
    import base64

    at, body, before = str(int(time.time())), b'{"a": 1}', events()
    for identifier in ("", " "):
        signed = hmac.new(
            SECRET.encode(), f"{identifier.strip()}.{at}.".encode() + body, hashlib.sha256
        ).digest()
        headers = {"webhook-timestamp": at, "webhook-signature": "v1," + base64.b64encode(signed).decode()}
        if identifier:
            headers["webhook-id"] = identifier
        assert deliver("standard", body, headers)[0] in (400, 401), headers
    assert events() == before


RESERVED = [
    "webhook:github",
    "webhook:",
    "webhook:nohook",
    "timer:core.intervaltimer",
    "timer:1",
    "execution:1",
    "execution:",
    "rule:a.b",
    "millrace:",
    "millrace:server",
]


def nobody_speaks_as_the_server():
    sender = TARGET.with_token("events:send", identity="mallory")
    bad, before = [], events()
    for source in RESERVED:
        for shape in ("event", "batch", "headers"):
            event = cloud_event(source, "delivery of 9")
            if shape == "event":
                status, _, answer = sender.request("POST", "/api/v1/events", json.dumps(event), EVENT)
            elif shape == "batch":
                status, _, answer = sender.request(
                    "POST",
                    "/api/v1/events",
                    json.dumps([cloud_event("fine", source), event]),
                    {"Content-Type": "application/cloudevents-batch+json"},
                )
            else:
                status, _, answer = sender.request(
                    "POST",
                    "/api/v1/events",
                    "{}",
                    {
                        **JSON,
                        "ce-specversion": "1.0",
                        "ce-id": "1",
                        "ce-source": source.replace(":", "%3A"),
                        "ce-type": "t",
                    },
                )
            if status not in (400, 403):
                bad.append((source, shape, status, answer))
    wrong(bad)
    assert events() == before


def a_claimed_id_costs_the_genuine_delivery_nothing():
    """Whoever may send events, or owns another endpoint, cannot be there first."""
    body = b'{"genuine": true}'
    headers = github(body, None)
    identifier = headers["X-GitHub-Delivery"]
    sender = TARGET.with_token("events:send", identity="mallory")
    TARGET.client().data("POST", "/api/v1/webhook-endpoints", {"name": "own", "scheme": "token"})
    for source in (
        "webhook:github",
        "github",
        "WEBHOOK:github",
        " webhook:github",
        "webhook:github ",
        "webhook%3Agithub",
        "token:webhook:github",
    ):
        sender.request("POST", "/api/v1/events", json.dumps(cloud_event(source, identifier)), EVENT)
    sender.request("POST", "/api/v1/webhooks/own", body, {**JSON, **headers})
    sender.request(
        "POST",
        "/api/v1/executions",
        {"action": "core.inject_trigger", "parameters": {"trigger": "core.webhook", "payload": {}}},
    )
    status, answer = deliver("github", body, headers)
    assert status == 202 and not answer["data"]["duplicate"], answer


def a_rule_on_a_hook_runs_for_the_hook_only():
    admin = TARGET.client()
    status, _, answer = admin.request(
        "POST",
        "/api/v1/rules",
        rule("hook.only", "core.noop", {}, trigger="core.webhook", trigger_parameters={"name": "github"}),
    )
    assert status == 201, answer
    sender = TARGET.with_token("events:send", identity="mallory")
    for extra in (
        {"trigger": "core.webhook"},
        {"type": "core.webhook"},
        {"trigger": "core.webhook", "source": "x"},
    ):
        event = {**cloud_event("mallory", f"forged {extra}", data={"name": "github", "body": {}}), **extra}
        sender.request("POST", "/api/v1/events", json.dumps(event), EVENT)
    body = b'{"for": "the rule"}'
    assert deliver("github", body, github(body, None))[0] == 202
    found = until("the rule has run", lambda: everything(admin, "/api/v1/enforcements?rule=hook.only"))
    assert len(found) == 1, found


CASES = [
    endpoints,
    a_captured_delivery_is_no_new_event,
    a_standard_delivery_needs_an_id,
    nobody_speaks_as_the_server,
    a_claimed_id_costs_the_genuine_delivery_nothing,
    a_rule_on_a_hook_runs_for_the_hook_only,
]

sys.exit(main(TARGET, CASES))
