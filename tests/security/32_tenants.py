# SPDX-License-Identifier: Apache-2.0
"""What is another tenant's is not there, by name neither (review, L4)."""

import sqlite3
import sys

from attack import Target, main, rule, wrong

TARGET = Target(most_mib=100)


def another_tenants_names_are_not_there():
    """A token of tenant 2, put into the store by hand: it neither changes nor finds what is tenant 1's."""
    admin = TARGET.client()
    admin.data("POST", "/api/v1/rules", rule("tenant.one", "core.noop", {}))
    admin.data("PUT", "/api/v1/keys/system/one", {"value": "of one"})
    secrets = ["a good secret of sixteen bytes and more"]
    admin.data(
        "POST", "/api/v1/webhook-endpoints", {"name": "good", "scheme": "github", "secrets": secrets}
    )
    made = admin.data("POST", "/api/v1/tokens", {"identity": "two", "permissions": ["*"]})
    assert TARGET.stop() == 0
    store = sqlite3.connect(TARGET.data / "millrace.db")
    store.execute("UPDATE token SET tenant = 2 WHERE id = ?", (int(made["id"]),))
    store.commit()
    store.close()
    TARGET.start()
    two = TARGET.anyone()
    two.token = made["token"]
    assert two.data("GET", "/api/v1/identity")["tenant"] == "2"
    noop, bad = rule("tenant.one", "core.noop", {}), []
    changed = {key: value for key, value in noop.items() if key != "ref"}
    hook = {"name": "good", "scheme": "token"}
    for method, path, body, expected in (
        ("GET", "rules/tenant.one", None, (404,)),
        ("PUT", "rules/tenant.one", {**changed, "enabled": False}, (404,)),
        ("DELETE", "rules/tenant.one", None, (404,)),
        ("POST", "rules/tenant.one/disable", None, (404,)),
        ("GET", "webhook-endpoints/good", None, (404,)),
        ("PUT", "webhook-endpoints/good", {"scheme": "token"}, (404,)),
        ("DELETE", "webhook-endpoints/good", None, (404,)),
        ("GET", "keys/system/one", None, (404,)),
        ("DELETE", "keys/system/one", None, (404,)),
        # The same names are free for two, and stay apart.
        ("POST", "rules", noop, (201,)),
        ("POST", "webhook-endpoints", hook, (201,)),
        ("PUT", "keys/system/one", {"value": "of two"}, (200, 201)),
        ("PUT", "rules/tenant.one", {**changed, "enabled": False}, (200,)),
        ("DELETE", "webhook-endpoints/good", None, (204,)),
        ("DELETE", "rules/tenant.one", None, (204,)),
    ):
        status, _, answer = two.request(method, f"/api/v1/{path}", body)
        if status not in expected:
            bad.append((method, path, status, answer))
    wrong(bad)
    admin = TARGET.client()
    assert admin.data("GET", "/api/v1/rules/tenant.one")["enabled"] is True
    assert admin.data("GET", "/api/v1/webhook-endpoints/good")["scheme"] == "github"
    assert admin.data("GET", "/api/v1/keys/system/one")["value"] == "of one"


CASES = [another_tenants_names_are_not_there]

sys.exit(main(TARGET, CASES))
