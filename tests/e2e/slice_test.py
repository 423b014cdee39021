#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first slice through the real binary: what a user meets, and what bad input gets."""
import hashlib
import hmac
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time

from harness import ROOT, Client, Server, binary, cloud_event, rule, run_cases, until

EVENT = {"Content-Type": "application/cloudevents+json"}
JSON = {"Content-Type": "application/json"}
SERVER = None


def client():
    return SERVER.client()


def run(action, parameters, wait="30s", headers=None, **more):
    return client().data("POST", f"/api/v1/executions?wait={wait}",
                         {"action": action, "parameters": parameters, **more}, headers)


def peak_kib(pid):
    """The most memory that a process ever held."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(next(line for line in file if line.startswith("VmHWM")).split()[1])


def ended(c, execution):
    row = c.data("GET", f"/api/v1/executions/{execution}")
    return row if row["status"] not in ("requested", "running") else None


def without_a_token_only_health_answers():
    bare = Client(SERVER.url(), None)
    assert bare.request("GET", "/health")[0] == 200
    for path in ("/api/v1/rules", "/api/v1/executions", "/metrics", "/info"):
        assert bare.request("GET", path)[0] == 401, path


def bad_json_names_its_position():
    status, _, problem = client().request("POST", "/api/v1/rules", '{"ref": "a.b",\n "x": tru}', JSON)
    assert status == 400 and "line 2" in problem["detail"], problem
    assert problem["code"] and problem["request_id"], problem


def a_wrong_type_is_415_and_a_large_body_413():
    assert client().request("POST", "/api/v1/rules", "a=b", {"Content-Type": "text/plain"})[0] == 415
    status, _, problem = client().request("POST", "/api/v1/rules", "x" * (2 << 20), JSON)
    assert status == 413, problem


def a_large_body_that_does_not_tell_its_length_is_413():
    """Read only as far as its limit; the answer comes before the end."""
    piece = b"x" * 65536
    with socket.create_connection(SERVER.url().removeprefix("http://").split(":"), 10) as s:
        s.sendall((f"POST /api/v1/rules HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   f"Authorization: Bearer {SERVER.token()}\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n").encode())
        try:
            for _ in range(256):  # 16 MiB
                s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        except OSError:
            pass  # it has stopped listening
        assert s.recv(65536).startswith(b"HTTP/1.1 413 ")


def an_unknown_field_is_named_with_its_path():
    body = rule("a.b", "core.noop", {})
    body["actoin"] = body.pop("action")
    status, _, problem = client().request("POST", "/api/v1/rules", body)
    assert status == 400, problem
    assert any("actoin" in e["path"] for e in problem["errors"]), problem
    assert "action" in json.dumps(problem["errors"]), problem


def an_unknown_action_is_refused_with_the_nearest_name():
    status, _, problem = client().request("POST", "/api/v1/rules", rule("a.b", "core.nop", {}))
    assert status == 400 and "core.noop" in json.dumps(problem), problem


def a_wrong_signature_stores_nothing():
    c = client()
    c.data("POST", "/api/v1/webhook-endpoints",
           {"name": "hub", "scheme": "github", "secrets": ["s3cret-s3cret-s3cret"]})
    before = len(c.data("GET", "/api/v1/events?limit=200"))
    body = json.dumps({"ref": "refs/heads/main"})
    bare = Client(SERVER.url(), None)

    def deliver(secret, delivery):
        mac = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
        return bare.request("POST", "/api/v1/webhooks/hub", body, {
            **JSON, "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": f"sha256={mac}"})

    assert deliver("wrong", "d1")[0] == 401
    assert len(c.data("GET", "/api/v1/events?limit=200")) == before
    status, _, first = deliver("s3cret-s3cret-s3cret", "d1")
    assert status == 202 and not first["data"]["duplicate"], first
    status, _, again = deliver("s3cret-s3cret-s3cret", "d1")
    assert again["data"] == {**first["data"], "duplicate": True}, again
    status, _, same_body = deliver("s3cret-s3cret-s3cret", "d2")
    assert same_body["data"]["duplicate"], same_body


def an_idempotency_key_runs_once_and_refuses_another_body():
    c = client()
    body = {"action": "core.noop", "parameters": {}}
    key = {"Idempotency-Key": "k-1"}
    first = c.data("POST", "/api/v1/executions", body, key)
    assert c.data("POST", "/api/v1/executions", body, key)["id"] == first["id"]
    status, _, problem = c.request("POST", "/api/v1/executions", {**body, "priority": "low"}, key)
    assert status == 422, problem


def if_match_guards_a_rule():
    c = client()
    never = {"trigger.type": {"type": "equals", "pattern": "never"}}
    c.data("POST", "/api/v1/rules", rule("slice.guarded", "core.noop", {}, never))
    _, headers, _ = c.request("GET", "/api/v1/rules/slice.guarded")
    tag = headers["ETag"]
    body = rule("slice.guarded", "core.echo", {"message": "x"}, never)
    body.pop("ref")
    status, _, answer = c.request("PUT", "/api/v1/rules/slice.guarded", body, {"If-Match": tag})
    assert status == 200, answer
    status, _, answer = c.request("PUT", "/api/v1/rules/slice.guarded", body, {"If-Match": tag})
    assert status == 412, answer


def output_is_capped_and_says_so():
    row = run("ledger.shout", {"mebibytes": "40"}, wait="60s", )
    assert row["status"] == "succeeded", row
    output = client().data("GET", f"/api/v1/executions/{row['id']}/output?stream=stdout&from=0")
    assert output["size"] <= (10 << 20) + 4096, output["size"]
    assert "result" not in row and row["result_error"], row
    result = client().data("GET", f"/api/v1/executions/{row['id']}/result")
    assert result["stdout_dropped"] >= 29 << 20, result["stdout_dropped"]
    tail = client().data("GET", f"/api/v1/executions/{row['id']}/output?stream=stdout"
                                f"&from={output['size'] - 100}")
    assert "output capped at" in json.dumps(tail), tail
    rss = peak_kib(SERVER.pid())
    assert rss < 600_000, f"server: at most {rss} KiB"  # a sanitizer build


def ten_gibibytes_of_output_are_capped_in_flat_memory():
    with Server(packs=[ROOT / "tests/e2e/packs"], settings={"log.level": "warn"}) as server:
        server.start()
        c = server.client()

        def shout(mebibytes):
            row = c.data("POST", "/api/v1/executions", {
                "action": "ledger.shout", "parameters": {"mebibytes": str(mebibytes)}})
            done = until(f"{mebibytes} MiB are out", lambda: ended(c, row["id"]), 600, 0.5)
            spawner = server.spawners()[0][0]
            return done, peak_kib(server.pid()), peak_kib(spawner)

        def result_of(row):
            return c.data("GET", f"/api/v1/executions/{row['id']}/result")

        small, *before = shout(20)
        huge, *after = shout(10 << 10)
        print(f"  peak KiB of server and spawner: {before} after 20 MiB, {after} after 10 GiB",
              flush=True)
        assert small["status"] == huge["status"] == "succeeded", huge
        assert result_of(huge)["stdout_size"] == result_of(small)["stdout_size"]
        assert result_of(huge)["stdout_dropped"] > 9 << 30
        assert all(b < a + 64_000 for a, b in zip(before, after)), (before, after)


def cancel_ends_the_whole_tree():
    c = client()
    row = c.data("POST", "/api/v1/executions",
                 {"action": "core.local", "parameters": {"cmd": "setsid sleep 77123 & sleep 77123"}})
    count = lambda: subprocess.run(["pgrep", "-fc", "^sleep 77123"], capture_output=True,
                                   text=True).stdout.strip()
    until("both sleeps run", lambda: count() == "2")
    c.data("POST", f"/api/v1/executions/{row['id']}/cancel")
    done = c.data("GET", f"/api/v1/executions/{row['id']}?wait=20s")
    assert done["status"] == "canceled", done
    assert count() == "0"


def the_place_of_a_killed_run_serves_the_next_one():
    for _ in range(8):  # more than there are slots
        assert run("core.local", {"cmd": "true"})["status"] == "succeeded"


def a_timeout_is_a_timeout():
    row = run("core.local", {"cmd": "sleep 30"}, timeout_ms=300)
    assert row["status"] == "timeout", row


def sleep_takes_no_slot():
    c = client()
    ids = [c.data("POST", "/api/v1/executions",
                  {"action": "core.sleep", "parameters": {"seconds": 1}})["id"] for _ in range(50)]
    assert run("core.local", {"cmd": "true"}, wait="10s")["status"] == "succeeded"
    for one in ids:
        assert c.data("GET", f"/api/v1/executions/{one}?wait=10s")["status"] == "succeeded"


def an_interval_timer_fires_its_rule():
    c = client()
    c.data("POST", "/api/v1/rules", rule(
        "slice.tick", "core.noop", {}, trigger="core.intervaltimer",
        trigger_parameters={"unit": "seconds", "interval": 1}))
    fired = until("the timer has fired twice", lambda: [
        n for n in c.data("GET", "/api/v1/enforcements?rule=slice.tick")][1:], 15, 0.2)
    assert fired
    c.data("DELETE", "/api/v1/rules/slice.tick", expect=(200, 204))


def the_trace_goes_from_event_to_result():
    c = client()
    c.data("POST", "/api/v1/rules", rule("slice.traced", "core.echo",
                                         {"message": "{{ event.payload.data.n }}"},
                                         {"trigger.type": {"type": "equals", "pattern": "traced"}}))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    status, headers, answer = c.request(
        "POST", "/api/v1/events", json.dumps(cloud_event("slice", "t1", "traced", {"n": 41})),
        {**EVENT, "traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "X-Request-Id": "req-7"})
    assert status == 202 and headers["X-Request-Id"] == "req-7", headers
    event = answer["data"]["event"]
    found = until("the trace is whole", lambda: "succeeded" in json.dumps(
        c.data("GET", f"/api/v1/traces/{event}")))
    assert found
    rows = c.data("GET", f"/api/v1/enforcements?event={event}")
    row = c.data("GET", f"/api/v1/executions/{rows[0]['execution']}")
    assert row["result"]["output"] == 41, row  # one expression keeps its type
    assert trace_id in row["trace"], row
    why = c.data("GET", f"/api/v1/rules/slice.traced/why?event={event}")
    assert why["matched"], why


def changes_stream_and_resume():
    c = client()
    run("core.noop", {})
    lines = []

    def read(last):
        with socket.create_connection(SERVER.url().removeprefix("http://").split(":"), 10) as s:
            s.sendall((f"GET /api/v1/stream?topics=execution HTTP/1.1\r\nHost: x\r\n"
                       f"Authorization: Bearer {SERVER.token()}\r\nLast-Event-ID: {last}\r\n\r\n"
                       ).encode())
            text = b""
            s.settimeout(10)
            while text.count(b"\nid:") + text.count(b"\r\nid:") < 2:
                piece = s.recv(65536)
                if not piece:
                    break
                text += piece
            lines.append(text)

    reader = threading.Thread(target=read, args=(0,))
    reader.start()
    time.sleep(0.2)
    run("core.noop", {})
    reader.join(15)
    assert b"id:" in lines[0], lines


def a_second_server_is_refused():
    second = subprocess.run([*SERVER.command()], capture_output=True, text=True, timeout=30)
    assert second.returncode == 1, second
    assert "in use by process" in second.stderr, second.stderr


def a_backup_of_a_running_server_is_whole():
    target = SERVER.home / "copy"
    SERVER.cli("backup", str(target))
    assert "whole" in SERVER.cli("backup", "verify", str(target))


def overload_is_answered_and_nothing_breaks():
    with Server(settings={"intake.max_waiting": 4, "log.level": "error"}) as small:
        small.start()
        seen = []

        def flood(number):
            c = small.client()
            for i in range(60):
                status, headers, _ = c.request(
                    "POST", "/api/v1/events", json.dumps(cloud_event("f", f"{number}-{i}")), EVENT)
                seen.append((status, headers.get("Retry-After")))

        threads = [threading.Thread(target=flood, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {s for s, _ in seen} <= {202, 429}, {s for s, _ in seen}
        refused = [r for s, r in seen if s == 429]
        assert refused and all(refused), "nothing was refused, or without Retry-After"


def sigterm_drains_and_leaves_long_runs_with_the_spawner():
    with Server(settings={"server.drain_timeout_ms": 300, "log.level": "warn"}) as server:
        server.start()
        c = server.client()
        ledger = server.home / "ledger"
        row = c.data("POST", "/api/v1/executions", {
            "action": "ledger.write_once", "parameters": {"ledger": str(ledger), "linger": "3"}})
        until("it runs", ledger.exists)
        assert server.stop() == 0
        server.start()
        done = server.client().data("GET", f"/api/v1/executions/{row['id']}?wait=20s")
        assert (done["status"], done["attempt"]) == ("succeeded", 1), done
        assert len(ledger.read_text().splitlines()) == 1


def ten_mistakes_in_a_pack_are_all_reported():
    folder = SERVER.home / "bad"
    (folder / "actions").mkdir(parents=True)
    (folder / "pack.yaml").write_text("ref: bad\nversion: 1.0.0\nnmae: bad\n")
    for n in range(9):
        (folder / "actions" / f"a{n}.yaml").write_text(
            f"name: a{n}\nrunner_type: pyhton\nentry_point: a{n}.py\n")
    out = subprocess.run([binary(), "pack", "check", str(folder)], capture_output=True, text=True)
    assert out.returncode == 1
    assert out.stdout.count("pyhton") == 9 and "nmae" in out.stdout, out.stdout
    assert "actions/a0.yaml:2" in out.stdout and "python" in out.stdout, out.stdout


def sighup_reloads_packs():
    folder = SERVER.home / "packs" / "fresh"
    (folder / "actions").mkdir(parents=True)
    (folder / "pack.yaml").write_text("ref: fresh\nname: fresh\nversion: 1.0.0\n")
    with Server(packs=[folder.parent], settings={"log.level": "warn"}) as server:
        server.start()
        assert server.client().request("GET", "/api/v1/actions/fresh.hi")[0] == 404
        (folder / "actions" / "hi.yaml").write_text(
            "name: hi\nrunner_type: shell\nentry_point: hi.sh\n")
        (folder / "actions" / "hi.sh").write_text("echo hi\n")
        os.kill(server.pid(), signal.SIGHUP)
        until("the new action is there",
              lambda: server.client().request("GET", "/api/v1/actions/fresh.hi")[0] == 200)


def open_files_are_raised_for_the_server_and_not_for_runs():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    try:
        with Server(packs=(), settings={"log.level": "warn"}) as server:
            server.start()
            limits = open(f"/proc/{server.pid()}/limits", encoding="ascii").read()
            line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
            assert line.split()[3] == line.split()[4], line
            told = server.client().data("GET", "/info")["max_connections"]
            assert told == min(4096, hard - 256), told
            assert server.cli("run", "core.local", "cmd=ulimit -Sn").strip() == "600"
            server.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main():
    global SERVER
    skipped = []
    if "MILLRACE_E2E_HUGE" not in os.environ:
        skipped = ["ten_gibibytes_of_output_are_capped_in_flat_memory"]
    cases = [value for name, value in list(globals().items())
             if callable(value) and getattr(value, "__module__", "") == "__main__"
             and name not in ("main", "client", "run", "peak_kib", "ended", *skipped)]
    with Server(packs=[ROOT / "tests/e2e/packs"], settings={"log.level": "warn"}) as server:
        SERVER = server
        server.start()
        return run_cases(cases)


if __name__ == "__main__":
    raise SystemExit(main())
