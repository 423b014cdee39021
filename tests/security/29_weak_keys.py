# SPDX-License-Identifier: Apache-2.0
"""Keys of webhooks that everybody has: short ones, of one byte, empty ones are refused (review, L1)."""

import base64
import hashlib
import hmac
import json
import sys

from attack import JSON, Target, main, wrong

TARGET = Target(most_mib=100)
GOOD = "a good secret of sixteen bytes and more"


def whsec(key):
    return "whsec_" + base64.b64encode(key).decode()


def a_weak_key_is_no_key():
    admin, bad = TARGET.client(), []
    weak = {
        "github": [
            "\x00" * 8,
            "\x00" * 64,
            " " * 8,
            " " * 64,
            "a" * 64,
            "short",
            "12345678",
            "123456789012345",
            "",
        ],
        "standard": [
            "whsec_AA==",
            whsec(b"\x00" * 32),
            whsec(b"a" * 32),
            whsec(b"123456789012345"),
            "whsec_",
            "whsec_====",
            "\x00" * 32,
        ],
    }
    for scheme, secrets in weak.items():
        for number, secret in enumerate(secrets):
            status, _, answer = admin.request(
                "POST",
                "/api/v1/webhook-endpoints",
                {"name": f"weak{scheme}{number}", "scheme": scheme, "secrets": [secret]},
            )
            if status != 400:
                bad.append((scheme, secret, status))
            if secret.strip("\x00 ") and secret in json.dumps(answer):
                bad.append((scheme, secret, "is quoted"))
    # Nor by the way of an update, or beside a good one.
    admin.data("POST", "/api/v1/webhook-endpoints", {"name": "good", "scheme": "github", "secrets": [GOOD]})
    for secrets in (["\x00" * 32], [GOOD, "\x00" * 32], ["a" * 32, GOOD]):
        status, _, _ = admin.request(
            "PUT", "/api/v1/webhook-endpoints/good", {"scheme": "github", "secrets": secrets}
        )
        if status != 400:
            bad.append(("update", secrets, status))
    wrong(bad)
    # What an empty key signs opens nothing.
    for key in (b"", b"\x00" * 8, b"\x00" * 64):
        digest = hmac.new(key, b"{}", hashlib.sha256).hexdigest()
        status, _, _ = TARGET.anyone().request(
            "POST", "/api/v1/webhooks/good", "{}", {**JSON, "X-Hub-Signature-256": f"sha256={digest}"}
        )
        assert status == 401, key


CASES = [a_weak_key_is_no_key]

sys.exit(main(TARGET, CASES))
