# SPDX-License-Identifier: Apache-2.0
"""A question is answered by whom it was put to, once, and by nobody else."""

import json
import sys
import threading

from attack import EVENT, JSON, Target, cloud_event, main, rule, until, wrong

TARGET = Target(most_mib=100)


def ask(**parameters):
    """The id of a question that waits."""
    row = TARGET.client().data(
        "POST", "/api/v1/executions", {"action": "core.ask", "parameters": {"prompt": "?", **parameters}}
    )
    until(
        "it waits",
        lambda: TARGET.client().data("GET", f"/api/v1/executions/{row['id']}")["status"] == "pending",
    )
    return row["id"]


def answer(client, inquiry, response=True):
    status, _, said = client.request("POST", f"/api/v1/inquiries/{inquiry}/answer", {"response": response})
    return status, said


def who(identity, *roles, permissions=("inquiries:answer",)):
    return TARGET.with_token(*permissions, identity=identity, roles=roles)


def is_pending(inquiry):
    return TARGET.client().data("GET", f"/api/v1/inquiries/{inquiry}")["status"] == "pending"


# Who asks whom: users, roles, then (identity, roles) that may and that may not.
TABLE = [
    (
        ["alice"],
        [],
        [("alice", ())],
        [
            ("bob", ()),
            ("bob", ("alice",)),
            ("Alice", ()),
            ("alice ", ()),
            ("alic", ()),
            ("alice2", ()),
            ("alice,bob", ()),
            ("*", ()),
            ("user:alice", ()),
            ("role:alice", ()),
        ],
    ),
    (
        ["alice", "bob"],
        [],
        [("bob", ())],
        [("carol", ()), ("alice,bob", ()), ('["alice"]', ()), ("carol", ("admin",))],
    ),
    (
        [],
        ["ops"],
        [("bob", ("ops",)), ("bob", ("dev", "ops"))],
        [
            ("bob", ()),
            ("ops", ()),
            ("bob", ("dev",)),
            ("bob", ("Ops",)),
            ("bob", ("ops2",)),
            ("bob", ("op",)),
            ("role:ops", ()),
            ("bob", ("ops.x",)),
        ],
    ),
    (
        ["alice"],
        ["ops"],
        [("alice", ()), ("bob", ("ops",))],
        [("bob", ()), ("bob", ("alice",)), ("ops", ())],
    ),
    (["admin"], [], [("admin", ())], [("bob", ("admin",)), ("Admin", ())]),
    (["*"], [], [("*", ())], [("bob", ()), ("alice", ())]),
    ([""], [], [], [("bob", ()), ("alice", ())]),
    ([], ["*"], [], [("bob", ("ops",)), ("bob", ())]),
    ([], [], [("anybody", ()), ("bob", ("ops",))], []),
]


def only_who_is_named_may_answer():
    bad = []
    for users, roles, may, may_not in TABLE:
        inquiry = ask(users=users, roles=roles)
        for identity, given in may_not:
            status, said = answer(who(identity, *given), inquiry)
            if status != 403 or not is_pending(inquiry):
                bad.append((users, roles, identity, given, status, said))
        for identity, given in may:
            status, said = answer(who(identity, *given), ask(users=users, roles=roles))
            if status != 200 or said["data"]["responder"] != identity:
                bad.append((users, roles, identity, given, status, said))
    wrong(bad)


def the_permission_is_needed_beside_the_name():
    inquiry = ask(users=["alice"])
    for permissions in (("inquiries:read",), ("executions:*",), ("rules:write", "events:send")):
        assert answer(who("alice", permissions=permissions), inquiry)[0] == 403, permissions
    assert answer(TARGET.anyone(), inquiry)[0] == 401
    # An administrator may: it is said of him.
    status, said = answer(who("root", permissions=("inquiries:answer", "admin")), inquiry)
    assert status == 200 and said["data"]["responder"] == "root", said


def an_identity_in_the_request_counts_for_nothing():
    inquiry = ask(users=["alice"])
    bob = TARGET.with_token("inquiries:answer", identity="bob")
    path = f"/api/v1/inquiries/{inquiry}/answer"
    for body in (
        {"response": True, "responder": "alice"},
        {"response": True, "identity": "alice"},
        {"response": True, "user": "alice"},
        {"response": True, "roles": ["ops"]},
    ):
        assert bob.request("POST", path, body)[0] in (400, 403), body
    for headers in (
        {"X-User": "alice"},
        {"X-Forwarded-User": "alice"},
        {"Act-As": "alice"},
        {"X-Remote-User": "alice"},
        {"From": "alice"},
    ):
        assert bob.request("POST", path, {"response": True}, headers)[0] == 403, headers
    assert bob.request("POST", f"{path}?identity=alice", {"response": True})[0] in (400, 403)
    assert is_pending(inquiry)


def an_answer_counts_once():
    inquiry = ask(users=["alice", "bob"])
    said = []

    def both(identity):
        client = who(identity)
        said.append((identity, answer(client, inquiry, identity)))

    threads = [threading.Thread(target=both, args=(name,)) for name in ("alice", "bob") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [identity for identity, (status, _) in said if status == 200]
    assert len(won) == 1 and all(status in (200, 409) for _, (status, _) in said), said
    shown = TARGET.client().data("GET", f"/api/v1/inquiries/{inquiry}")
    assert shown["response"] == shown["responder"] == won[0], shown
    done = TARGET.client().data("GET", f"/api/v1/executions/{inquiry}?wait=10s")
    assert done["status"] == "succeeded", done


def an_answer_that_does_not_fit_is_none():
    schema = {
        "type": "object",
        "properties": {"go": {"type": "boolean"}},
        "required": ["go"],
        "additionalProperties": False,
    }
    inquiry = ask(users=["alice"], schema=schema)
    alice = who("alice")
    for response in (
        None,
        True,
        "x",
        {},
        {"go": "yes"},
        {"go": 1},
        {"go": True, "more": 1},
        [],
        {"go": None},
    ):
        assert answer(alice, inquiry, response)[0] in (400, 422), response
    assert alice.request("POST", f"/api/v1/inquiries/{inquiry}/answer", {})[0] == 400
    assert is_pending(inquiry)
    assert answer(alice, inquiry, {"go": True})[0] == 200


def a_question_that_is_over_takes_no_answer():
    inquiry = ask(users=["alice"])
    TARGET.client().data("POST", f"/api/v1/executions/{inquiry}/cancel")
    TARGET.client().data("GET", f"/api/v1/executions/{inquiry}?wait=10s")
    assert answer(who("alice"), inquiry)[0] == 409
    for other in ("1", "999999999999", "0", "-1", "x"):
        assert answer(who("alice"), other)[0] in (400, 404), other
    noop = TARGET.client().data(
        "POST", "/api/v1/executions?wait=10s", {"action": "core.noop", "parameters": {}}
    )
    assert answer(who("alice"), noop["id"])[0] == 404


def data_of_an_event_names_nobody_by_itself():
    """A rule hands on whom it asks; what the event says beside that changes nothing."""
    admin = TARGET.client()
    admin.data(
        "POST",
        "/api/v1/rules",
        rule("ask.some", "core.ask", {"users": ["alice"], "prompt": "{{ trigger.data.prompt }}"}),
    )
    event = cloud_event("s", "1", data={"prompt": "{{ 1 }}", "users": ["mallory"], "roles": ["all"]})
    admin.data("POST", "/api/v1/events", json.dumps(event), EVENT)
    found = until(
        "it is asked",
        lambda: [
            row
            for row in admin.data("GET", "/api/v1/inquiries?status=pending")
            if row["prompt"] == "{{ 1 }}"
        ],
    )
    assert found[0]["users"] == ["alice"] and found[0]["roles"] == [], found
    assert answer(who("mallory"), found[0]["id"])[0] == 403
    assert answer(who("mallory", "all"), found[0]["id"])[0] == 403


CASES = [
    only_who_is_named_may_answer,
    the_permission_is_needed_beside_the_name,
    an_identity_in_the_request_counts_for_nothing,
    an_answer_counts_once,
    an_answer_that_does_not_fit_is_none,
    a_question_that_is_over_takes_no_answer,
    data_of_an_event_names_nobody_by_itself,
]

sys.exit(main(TARGET, CASES))
