# SPDX-License-Identifier: Apache-2.0
"""Deliveries that nobody signed are refused before anything is stored; one that comes twice is one."""

import base64
import hashlib
import hmac
import json
import sys
import time

from attack import JSON, Target, everything, main, wrong

TARGET = Target(most_mib=100)
SECRET = "a secret of this endpoint"
KEY = b"thirty-two bytes of a key, 32 ok"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
BODY = json.dumps({"ref": "refs/heads/main", "n": 1}).encode()
NUMBER = iter(range(1, 1 << 30))


def mac(key, *parts, algorithm=hashlib.sha256):
    return hmac.new(key, b"".join(parts), algorithm)


def now(offset=0):
    return str(int(time.time()) + offset)


# How each scheme signs: (body, key or secret, time, id) -> headers.


def github(body, secret=SECRET, at=None, delivery="d"):
    return {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + mac(secret.encode(), body).hexdigest(),
    }


def gitea(body, secret=SECRET, at=None, delivery="d"):
    return {
        "X-Gitea-Event": "push",
        "X-Gitea-Delivery": delivery,
        "X-Gitea-Signature": mac(secret.encode(), body).hexdigest(),
    }


def forgejo(body, secret=SECRET, at=None, delivery="d"):
    return {
        "X-Forgejo-Event": "push",
        "X-Forgejo-Delivery": delivery,
        "X-Forgejo-Signature": mac(secret.encode(), body).hexdigest(),
    }


def gitlab(body, secret=SECRET, at=None, delivery="d"):
    return {"X-Gitlab-Event": "push", "Idempotency-Key": delivery, "X-Gitlab-Token": secret}


def standard(body, secret=WHSEC, at=None, delivery="d"):
    at = at or now()
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = mac(key, f"{delivery}.{at}.".encode(), body).digest()
    return {
        "webhook-id": delivery,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }


def slack(body, secret=SECRET, at=None, delivery=""):
    at = at or now()
    return {
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": "v0=" + mac(secret.encode(), f"v0:{at}:".encode(), body).hexdigest(),
    }


def stripe(body, secret=SECRET, at=None, delivery=""):
    at = at or now()
    return {"Stripe-Signature": f"t={at},v1=" + mac(secret.encode(), f"{at}.".encode(), body).hexdigest()}


SCHEMES = {
    "github": github,
    "gitea": gitea,
    "forgejo": forgejo,
    "gitlab": gitlab,
    "gitlab-signed": standard,
    "standard": standard,
    "slack": slack,
    "stripe": stripe,
}
HEADER = {
    "github": "X-Hub-Signature-256",
    "gitea": "X-Gitea-Signature",
    "forgejo": "X-Forgejo-Signature",
    "gitlab": "X-Gitlab-Token",
    "gitlab-signed": "webhook-signature",
    "standard": "webhook-signature",
    "slack": "X-Slack-Signature",
    "stripe": "Stripe-Signature",
}
TIMED = ("gitlab-signed", "standard", "slack", "stripe")


def deliver(scheme, headers, body=BODY, content_type="application/json"):
    client = TARGET.anyone()
    sent = {k: v for k, v in headers.items() if v is not None}
    status, _, answer = client.request(
        "POST", f"/api/v1/webhooks/{scheme}", body, {"Content-Type": content_type, **sent}
    )
    client.close()
    return status, answer


def events():
    return len(everything(TARGET.client(), "/api/v1/events"))


def an_endpoint_of_each_scheme_takes_what_is_signed():
    for scheme, sign in SCHEMES.items():
        secret = WHSEC if sign is standard else SECRET
        TARGET.client().data(
            "POST", "/api/v1/webhook-endpoints", {"name": scheme, "scheme": scheme, "secrets": [secret]}
        )
        status, answer = deliver(scheme, sign(BODY, delivery="first"))
        assert status == 202 and not answer["data"]["duplicate"], (scheme, answer)


def signatures(scheme):
    """(what is wrong with it, headers) of a delivery that is right but for that."""
    sign, name = SCHEMES[scheme], HEADER[scheme]
    secret = WHSEC if sign is standard else SECRET
    good = sign(BODY, delivery="x")
    value = good[name]
    head, _, digest = (
        value.rpartition("," if sign is standard else "=")
        if scheme not in ("gitea", "forgejo", "gitlab")
        else ("", "", value)
    )
    joint = value[: len(value) - len(digest)]
    other = "b" if digest[0] != "b" else "c"
    last = "b" if digest[-1] != "b" else "c"

    def with_value(text):
        return {**good, name: text}

    yield "another secret", sign(
        BODY, "whsec_" + base64.b64encode(b"x" * 32).decode() if sign is standard else "another secret"
    )
    yield "another body", sign(BODY + b" ", delivery="x") if scheme != "gitlab" else with_value("x")
    yield "an empty body", sign(b"", delivery="x") if scheme != "gitlab" else with_value(" x")
    yield "no signature", {k: v for k, v in good.items() if k != name}
    yield "an empty one", with_value("")
    yield "only its prefix", with_value(joint or "=")
    yield "cut by one", with_value(value[:-1])
    yield "cut in the middle", with_value(joint + digest[: len(digest) // 2])
    yield "longer by one", with_value(value + "0")
    yield "first digit wrong", with_value(joint + other + digest[1:])
    yield "last digit wrong", with_value(value[:-1] + last)
    yield "twice", with_value(joint + digest + digest)
    yield "of zeros", with_value(joint + "0" * len(digest))
    yield "in quotes", with_value(f'"{value}"')
    if digest.upper() != digest:
        yield "upper-case", with_value(joint + digest.upper())
    if scheme != "gitlab":
        # An empty key would make everybody a sender.
        for empty in ("", "whsec_"):
            yield f"the empty key {empty!r}", sign(BODY, empty, delivery="x")
        yield "the key in the place of the signature", with_value(joint + secret)
    if joint:
        yield "no prefix", with_value(digest)
        yield "prefix in capitals", with_value(joint.upper() + digest) if joint.upper() != joint else {}
        yield "a space behind the prefix", with_value(f"{joint} {digest}")
    if scheme == "github":
        for algorithm in ("sha1", "md5", "sha512"):
            right = mac(SECRET.encode(), BODY, algorithm=algorithm).hexdigest()
            yield algorithm, with_value(f"{algorithm}={right}")
            yield f"{algorithm} that says sha256", with_value(f"sha256={right}")
        sha1 = mac(SECRET.encode(), BODY, algorithm="sha1").hexdigest()
        yield "sha1 in its old header", {"X-GitHub-Event": "push", "X-Hub-Signature": f"sha1={sha1}"}
    if sign is standard:
        yield "v1a", with_value(value.replace("v1,", "v1a,"))
        yield "v2", with_value(value.replace("v1,", "v2,"))
        yield "v1=", with_value(value.replace("v1,", "v1="))
        yield "another id", {**good, "webhook-id": "y"}
        yield "no id", {k: v for k, v in good.items() if k != "webhook-id"}
        yield "the dot moved", sign(BODY[1:], delivery="x")
        yield "the key as a text", {
            **good,
            name: "v1,"
            + base64.b64encode(
                mac(WHSEC.encode(), f"x.{good['webhook-timestamp']}.".encode(), BODY).digest()
            ).decode(),
        }
    if scheme == "slack":
        yield "v1=", with_value(value.replace("v0=", "v1="))
        yield "signed as v1:", {
            **good,
            name: "v0="
            + mac(SECRET.encode(), f"v1:{good['X-Slack-Request-Timestamp']}:".encode(), BODY).hexdigest(),
        }
        yield "without the time", {**good, name: "v0=" + mac(SECRET.encode(), BODY).hexdigest()}
    if scheme == "stripe":
        at = value[2:].split(",")[0]
        yield "v0", with_value(value.replace("v1=", "v0="))
        yield "a second time", with_value(f"{value},t={int(at) - 1}")
        yield "a second time before", with_value(f"t={at},v1={digest},t={int(at) + 1}")
        yield "no time", with_value(f"v1={digest}")
        yield "no signature behind the time", with_value(f"t={at}")
        yield "a stale one with a fresh time", with_value(
            SCHEMES[scheme](BODY, at=now(-1000))["Stripe-Signature"] + f",t={at}"
        )
    if sign in (standard, stripe):
        gap = " " if sign is standard else ","
        bad = f"{'v1,' if sign is standard else 'v1='}{'A' * len(digest)}"
        start = "" if sign is standard else f"t={value[2:].split(',')[0]},"
        right = ("v1," if sign is standard else "v1=") + digest
        yield "the ninth of nine", with_value(start + gap.join([bad] * 8 + [right]))
    if scheme in TIMED:
        for what, at in {
            "stale": now(-301),
            "of long ago": "0",
            "of the future": now(302),
            "negative": "-1",
            "in milliseconds": now() + "000",
            "beyond int64": "9" * 19,
            "beyond all": "9" * 40,
            "a float": now() + ".0",
            "hex": hex(int(now())),
            "with a sign": "+" + now(),
            "with a blank": " " + now() + "x",
            "empty": "",
            "a word": "now",
            "NUL-like": now() + "%00",
        }.items():
            yield f"a time {what}", sign(BODY, at=at or " ", delivery="x")


def what_nobody_signed_is_401_and_stores_nothing():
    before, bad, count = events(), [], 0
    for scheme in SCHEMES:
        for what, headers in signatures(scheme):
            count += 1
            status, answer = deliver(scheme, headers)
            if status != 401:
                bad.append((scheme, what, status, answer))
    wrong(bad)
    assert count > 150, count
    assert events() == before


def an_eighth_signature_still_counts():
    """The bound is a bound, not a fault: the right one as the eighth is taken."""
    good = standard(BODY, delivery="eighth")
    many = " ".join(["v1," + "A" * 44] * 7 + [good["webhook-signature"]])
    assert deliver("standard", {**good, "webhook-signature": many})[0] == 202


def a_time_within_the_window_is_taken():
    for scheme in TIMED:
        for at in (now(-270), now(270)):
            body = json.dumps([scheme, at]).encode()
            headers = SCHEMES[scheme](body, at=at, delivery=f"{scheme} {at}")
            assert deliver(scheme, headers, body)[0] == 202, (scheme, at)


def a_body_that_was_seen_is_a_duplicate_whatever_stands_around_it():
    """GitHub signs neither id, event nor content type: a captured body is worth nothing."""
    for scheme in ("github", "gitea", "forgejo"):
        body = json.dumps({"seen": scheme}).encode()
        status, first = deliver(scheme, SCHEMES[scheme](body, delivery="one"), body)
        assert status == 202 and not first["data"]["duplicate"]
        again = SCHEMES[scheme](body, delivery="two")
        changes = [
            ({}, "application/json"),
            ({k: "release" for k in again if k.endswith("Event")}, "application/json"),
            ({}, "text/plain"),
        ]
        for change, content_type in changes:
            status, answer = deliver(scheme, {**again, **change}, body, content_type)
            assert status == 202 and answer["data"] == {**first["data"], "duplicate": True}, (
                scheme,
                answer,
            )
        # The same id with another body is the same delivery for its sender, too.
        other = json.dumps({"other": scheme}).encode()
        assert deliver(scheme, SCHEMES[scheme](other, delivery="one"), other)[1]["data"]["duplicate"]


def an_id_that_was_seen_is_a_duplicate():
    for scheme in ("standard", "gitlab-signed"):
        first = deliver(scheme, standard(BODY, delivery="twice"))[1]["data"]
        assert deliver(scheme, standard(BODY, at=now(-2), delivery="twice"))[1]["data"] == {
            **first,
            "duplicate": True,
        }


def one_endpoints_ids_are_not_anothers():
    body = json.dumps({"for": "both"}).encode()
    assert not deliver("github", github(body, delivery="same"), body)[1]["data"]["duplicate"]
    assert not deliver("gitea", gitea(body, delivery="same"), body)[1]["data"]["duplicate"]


BROKEN = {
    "depth 61": b"[" * 61 + b"]" * 61,
    "depth 100,000": b"[" * 100_000,
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "nan": b"nan",
    "a comment": b'{"a": 1} // x',
    "a comment within": b'{/* x */"a": 1}',
    "#": b'{"a": 1} # x',
    "trailing data": b'{"a": 1}{"b": 2}',
    "trailing comma": b'[1,]',
    "a comma alone": b"[,]",
    "single quotes": b"{'a': 1}",
    "no quotes": b"{a: 1}",
    "a lone surrogate": b'"\\ud800"',
    "a lone low surrogate": b'"\\udc00"',
    "surrogates the wrong way round": b'"\\udc00\\ud800"',
    "bad UTF-8": b'"\xff"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "cut UTF-8": b'"\xe4"',
    "a bare line feed": b'"a\nb"',
    "a bare NUL": b'"a\x00b"',
    "NUL behind": b'{"a": 1}\x00',
    "hex": b"0x10",
    "a leading zero": b"01",
    "a plus": b"+1",
    "a dot": b"1.",
    "no digit before": b".5",
    "an open text": b'"abc',
    "an open map": b'{"a"',
    "a bad escape": b'"\\x41"',
    "a short escape": b'"\\u12"',
    "True": b"True",
    "undefined": b"undefined",
    "nothing but a sign": b"-",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "two BOMs": b'\xef\xbb\xbf\xef\xbb\xbf{}',
    "a BOM within": b'{"a": \xef\xbb\xbf1}',
    "1e99999": b"[1e99999]",
    "-1e400": b"[-1e400]",
}


def a_body_that_is_no_json_is_400_and_stores_nothing():
    """Although it is signed: nothing is replaced in silence."""
    before, bad = events(), []
    for what, body in BROKEN.items():
        status, answer = deliver("github", github(body, delivery=f"b{next(NUMBER)}"), body)
        if status != 400:
            bad.append((what, status, answer))
    wrong(bad)
    assert events() == before


def what_is_json_comes_out_as_it_went_in():
    for body in (
        b"[" * 60 + b"]" * 60,
        b'\xef\xbb\xbf{"mark": 1}',
        '"ä€😀"'.encode(),
        b'"\\ud83d\\ude00"',
        b"[0, -0.5, 1e3, 123456789012345678]",
        b'{"a": {"": [null, true, "\\u0000"]}}',
        b"null",
    ):
        status, answer = deliver("github", github(body, delivery=f"g{next(NUMBER)}"), body)
        assert status == 202, (body[:60], answer)
        stored = TARGET.client().data("GET", f"/api/v1/events/{answer['data']['event']}")
        assert stored["payload"]["body"] == json.loads(body.decode("utf-8-sig")), body[:60]


def only_the_schemes_headers_enter_the_event():
    body = json.dumps({"headers": 1}).encode()
    odd = {"X-Evil": "1", "Authorization": "Bearer x", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4"}
    event = deliver("github", {**github(body, delivery="h"), **odd}, body)[1]["data"]["event"]
    headers = TARGET.client().data("GET", f"/api/v1/events/{event}")["payload"]["headers"]
    assert set(headers) <= {"x-github-event", "x-github-delivery", "content-type", "user-agent"}, headers


CASES = [
    an_endpoint_of_each_scheme_takes_what_is_signed,
    what_nobody_signed_is_401_and_stores_nothing,
    an_eighth_signature_still_counts,
    a_time_within_the_window_is_taken,
    a_body_that_was_seen_is_a_duplicate_whatever_stands_around_it,
    an_id_that_was_seen_is_a_duplicate,
    one_endpoints_ids_are_not_anothers,
    a_body_that_is_no_json_is_400_and_stores_nothing,
    what_is_json_comes_out_as_it_went_in,
    only_the_schemes_headers_enter_the_event,
]

sys.exit(main(TARGET, CASES))
