# SPDX-License-Identifier: Apache-2.0
"""Times and numbers that overflow are refused, or mean what they say (review, L3)."""

import sys

from attack import Target, connect, main, wrong

TARGET = Target(most_mib=100)


def numbers_that_overflow_are_refused():
    admin, bad = TARGET.client(), []
    for ttl in (9223372036854775807, 9223372036854775, 9223372036854776, 10**17, 2**62, -1, 0, -(2**63)):
        status, _, answer = admin.request(
            "POST", "/api/v1/tokens", {"identity": "x", "permissions": ["rules:read"], "ttl_s": ttl}
        )
        if status == 201:
            token, expires = answer["data"]["token"], answer["data"]["expires"]
            client = TARGET.anyone()
            client.token = token
            if (
                client.request("GET", "/api/v1/rules")[0] != 200
                or not expires
                or expires[:4] < "2026"
                or len(expires) > 30
            ):
                bad.append(("a token that is dead or of no year", ttl, expires))
        elif status != 400:
            bad.append(("ttl_s", ttl, status))
    for ttl in (1e300, 9.3e18, 9223372036854775807, 1.5e14, 1e17, -1, -1e300):
        status, _, answer = admin.request(
            "POST",
            "/api/v1/executions?wait=1s",
            {"action": "core.ask", "parameters": {"prompt": "?", "ttl": ttl}},
        )
        if status == 201:
            row = answer["data"]
            found = admin.request("GET", f"/api/v1/inquiries/{row['id']}")
            if row["status"] != "failed" and (
                found[0] != 200 or (found[2]["data"].get("expires") or "2027")[:4] < "2026"
            ):
                bad.append(("ttl", ttl, row["status"], found[2]))
        elif status != 400:
            bad.append(("ttl", ttl, status, answer))
    for seconds in (1e300, 9.3e18, 9223372036854775807, 1e17, -1):
        status, _, answer = admin.request(
            "POST",
            "/api/v1/executions?wait=1s",
            {"action": "core.sleep", "parameters": {"seconds": seconds}},
        )
        if status not in (201, 400) or status == 201 and answer["data"]["status"] == "succeeded":
            bad.append(("seconds", seconds, status, answer))
    for ttl in (9223372036854775807, 9223372036854775, 9223372036854776, 10**17, 2**62, -(2**63)):
        status, _, answer = admin.request(
            "PUT", "/api/v1/keys/system/brief", {"value": "kept", "ttl_s": ttl}
        )
        if status in (200, 201):
            found = admin.request("GET", "/api/v1/keys/system/brief")
            if found[0] != 200 or (found[2]["data"].get("expires") or "2027")[:4] < "2026":
                bad.append(("ttl_s of a key", ttl, answer, found))
        elif status != 400:
            bad.append(("ttl_s of a key", ttl, status, answer))
    for start in ("9223372036854775807", "9223372036854775806", "-1", "-9223372036854775808"):
        got = send_raw_head(
            f"GET /api/v1/stream?from={start} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TARGET.token()}\r\n\r\n"
        )
        if got not in (200, 400):
            bad.append(("from", start, got))
        got = send_raw_head(
            f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {start}\r\nAuthorization: Bearer {TARGET.token()}\r\n\r\n"
        )
        if got not in (200, 400):
            bad.append(("Last-Event-ID", start, got))
    wrong(bad)
    TARGET.still_well()


def pack_of_waits(folder):
    """Workflows whose waits come from their caller."""
    (folder / "actions/workflows").mkdir(parents=True)
    (folder / "pack.yaml").write_text("name: waits\nversion: 1.0.0\ndescription: Waits.\n")
    tasks = {
        "delay": "{action: core.noop, delay: <% ctx().n %>}",
        "timeout": "{action: core.sleep, input: {seconds: 2}, timeout: <% ctx().n %>}",
        "retry": "{action: core.fail, retry: {count: 1, delay: <% ctx().n %>}}",
    }
    for name, task in tasks.items():
        (folder / f"actions/{name}.yaml").write_text(
            f"name: {name}\ndescription: x\nrunner_type: workflow\nentry_point: workflows/{name}.yaml\n"
            "parameters: {n: {type: number, required: true}}\n"
        )
        (folder / f"actions/workflows/{name}.yaml").write_text(
            f"version: 1.0\ninput: [n]\ntasks:\n  a: {task}\n"
        )
    return folder


def a_wait_without_end_is_no_wait_of_nothing():
    """A number that does not fit is an error or a long wait: never one that is over at once."""
    admin, bad = TARGET.client(), []
    for number in (1e300, 9.3e18, 1e16, 9223372036854775807, 9223372036854775):
        for name in ("delay", "retry", "timeout"):
            row = admin.data(
                "POST",
                "/api/v1/executions?wait=1s",
                {"action": f"waits.{name}", "parameters": {"n": number}},
            )
            children = admin.data("GET", f"/api/v1/executions/{row['id']}/children")
            over = row["status"] == "succeeded" if name == "delay" else False
            over = over or name == "retry" and sum(c["action"] == "core.fail" for c in children) > 1
            over = over or name == "timeout" and any(c["status"] == "timeout" for c in children)
            if over:
                bad.append((name, number, row["status"], [c["status"] for c in children]))
    wrong(bad)
    TARGET.still_well()


def send_raw_head(text):
    """The status of a request whose answer may go on."""
    with connect(TARGET) as sock:
        sock.sendall(text.encode())
        return int(sock.recv(4096).split()[1])


TARGET.packs = [pack_of_waits(TARGET.home / "waits")]
CASES = [numbers_that_overflow_are_refused, a_wait_without_end_is_no_wait_of_nothing]

sys.exit(main(TARGET, CASES))
