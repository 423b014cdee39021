# SPDX-License-Identifier: Apache-2.0
"""A stored rule that eats memory ends itself, not the server, and never its next start (review, C2)."""

import json
import os
import signal
import sys

from attack import EVENT, Target, cloud_event, everything, main, rule, until, wrong

TARGET = Target(most_mib=400)
SIZES = [
    "9000000000000000000",
    "9223372036854775807",
    "-9223372036854775808",
    "1000000000000",
    "2000000000",
    "65",
    "1e300",
]
EATERS = (
    [f"{{{{ [1] | {name}({size}) }}}}" for name in ("tojson", "to_json_string") for size in SIZES]
    + [f"<% json_dump([1], {size}) %>" for size in SIZES[:3]]
    + [
        "{{ [[[1]]] | tojson(indent=100000000000) }}",
        "{{ [1] | to_json_string(sort_keys=true, indent=1000000000000) }}",
        "{{ [1] | to_yaml_string(indent=1000000000000) }}",
        "{{ [1] | json_dump(1000000000000) }}",
        "<% to_json_string([1], indent => 1000000000000) %>",
        "<% [1].json_dump(1000000000000) %>",
    ]
)


def restarted():
    """Starts the server again over the same folder."""
    TARGET.start()
    TARGET.still_well()


def serves(number):
    """Others are served: an event reaches its rule."""
    client = TARGET.client()
    client.data(
        "POST", "/api/v1/events", json.dumps(cloud_event("honest", f"honest {number}", "honest")), EVENT
    )
    until(
        "an honest event has run",
        lambda: sum(
            row["status"] == "succeeded" and row["action"] == "core.noop"
            for row in everything(client, "/api/v1/executions")
        )
        >= number,
    )


def honest_work_before_it():
    TARGET.client().data(
        "POST",
        "/api/v1/rules",
        rule("good.rule", "core.noop", {}, {"trigger.type": {"type": "equals", "pattern": "honest"}}),
    )
    serves(1)


def a_rehearsal_eats_nothing():
    bad = []
    for text in EATERS:
        status, _, answer = TARGET.client().request(
            "POST",
            "/api/v1/rules/test",
            {"rule": rule("a.b", "core.echo", {"message": text}), "payload": {}},
            timeout=120,
        )
        if status not in (200, 400) or "bad_alloc" in json.dumps(answer):
            bad.append((text, status, answer))
    wrong(bad)
    TARGET.still_well()


def an_event_that_meets_it_ends_alone():
    """All at once, through the thread that decides; then twice over a restart, once killed."""
    client = TARGET.client()
    for number, text in enumerate(EATERS):
        body = rule(
            f"bad.r{number}",
            "core.echo",
            {"message": text},
            {"trigger.type": {"type": "equals", "pattern": "poison"}},
        )
        status, _, answer = client.request("POST", "/api/v1/rules", body)
        assert status in (201, 400), (text, answer)  # what is known to be wrong need not be stored
    client.request("POST", "/api/v1/events", json.dumps(cloud_event("evil", "1", "poison")), EVENT)
    serves(2)
    assert TARGET.stop() == 0
    restarted()
    TARGET.client().request("POST", "/api/v1/events", json.dumps(cloud_event("evil", "2", "poison")), EVENT)
    serves(3)
    os.kill(TARGET.pid(), signal.SIGKILL)
    TARGET.process.wait()
    restarted()
    serves(4)


def a_timer_that_fires_it_does_not_keep_the_server_down():
    client = TARGET.client()
    status, _, answer = client.request(
        "POST",
        "/api/v1/rules",
        rule(
            "bad.timer",
            "core.echo",
            {"message": EATERS[0]},
            trigger="core.intervaltimer",
            trigger_parameters={"unit": "seconds", "delta": 1},
        ),
    )
    assert status in (201, 400), answer
    if status == 201:
        until(
            "it has fired",
            lambda: client.request("GET", "/api/v1/enforcements?rule=bad.timer")[2]["data"]
            or client.data("GET", "/api/v1/quarantine"),
            30,
        )
    serves(5)
    assert TARGET.stop() == 0
    restarted()
    serves(6)


def who_wrote_it_is_told():
    """Each is an enforcement that failed, or a message in quarantine, with its reason."""
    client = TARGET.client()
    failed = [row for row in everything(client, "/api/v1/enforcements") if row["rule_ref"].startswith("bad.")]
    told = failed + everything(client, "/api/v1/quarantine")
    assert told, "nothing tells of them"


CASES = [
    honest_work_before_it,
    a_rehearsal_eats_nothing,
    an_event_that_meets_it_ends_alone,
    a_timer_that_fires_it_does_not_keep_the_server_down,
    who_wrote_it_is_told,
]

sys.exit(main(TARGET, CASES))
