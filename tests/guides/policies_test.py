#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what docs/guides/policies.md shows, and holds what it says of refusals against a server."""
import sys

from commands import Server, run_all, run_cases, shown

SAYS = {
    "millrace pack check packs/ops": "",
    "millrace policy list": "ops.one_per_host",
    "millrace execution list --status delayed -o jsonl":
        "waits for policy 'ops.one_per_host': 1 of 1 are at work",
    "millrace policy show ops.one_per_host": "waiting",
    "millrace policy create --file calm.yaml": "policy 'ops.calm': enabled",
    "millrace policy list --action ops.deploy": "ops.calm",
    "millrace policy disable ops.one_per_host": "policy 'ops.one_per_host': disabled",
}


def the_guide_works():
    with Server(packs=()).start() as server:
        run_all(server, shown("policies.md"), SAYS)


def what_is_refused_says_when_there_is_more():
    with Server(packs=()).start() as server:
        client = server.client()
        client.data("POST", "/api/v1/policies", expect=(201,), body={
            "ref": "ops.few", "action": "core.noop", "quota": {"limit": 2, "per": "day"}})
        for _ in range(2):
            client.data("POST", "/api/v1/executions", {"action": "core.noop"}, expect=(201,))
        status, headers, answer = client.request("POST", "/api/v1/executions",
                                                 {"action": "core.noop"})
        assert status == 429 and answer["code"] == "POL-0101", (status, answer)
        assert int({k.lower(): v for k, v in dict(headers).items()}["retry-after"]) > 0, headers
        server.kill()
        server.start()
        client = server.client()
        status, _, answer = client.request("POST", "/api/v1/executions", {"action": "core.noop"})
        assert status == 429, (status, answer)
        counts = client.data("GET", "/api/v1/policies/ops.few")["counts"]
        assert counts[0]["used"] == 2, counts


def what_is_wrong_is_told():
    with Server(packs=()).start() as server:
        client = server.client()
        for body, message in (
                ({"ref": "ops.a", "action": "core.nop", "quota": {"limit": 1, "per": "day"}},
                 "unknown action 'core.nop' (did you mean 'core.noop'?)"),
                ({"ref": "ops.a", "action": "core.noop", "quota": {"limit": 1, "pre": "day"}},
                 "unknown key 'pre' (did you mean 'per'?)"),
                ({"ref": "ops.a", "action": "core.noop", "concurrency": {"limit": 0}},
                 "expected a whole number from 1"),
                ({"ref": "a", "action": "core.noop", "concurrency": {"limit": 1}},
                 "expected pack.name")):
            status, _, answer = client.request("POST", "/api/v1/policies", body)
            assert status == 400 and message in str(answer), (status, answer)
        first = {"ref": "ops.a", "action": "core.fail", "retry": {"count": 1}}
        client.data("POST", "/api/v1/policies", first, expect=(201,))
        second = client.data("POST", "/api/v1/policies", expect=(201,), body={
            "ref": "ops.b", "of_pack": "core", "retry": {"count": 9}})
        assert "that of 'ops.a' holds" in str(second["warnings"]), second


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_works, what_is_refused_says_when_there_is_more,
                        what_is_wrong_is_told]))
