#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the server finds in hand at its start (engine/machine/in_hand.h). A process that dies of a
message is tests/engine/poison_test.cpp; here the file is written as such processes would have left it."""
import contextlib
import sqlite3
import struct
import subprocess
import sys

from harness import Server, binary, cloud_event, everything, rule, run_cases, until

HEAD = struct.Struct("<Q32s40sII")
ENTRY = struct.Struct("<24sqii")
MOST = 1100  # of each list
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def leave(server, items=(), suspects=()):
    """Writes [(kind, id)] as in hand, [(kind, id, ends)] as suspects, into a stopped server's file."""
    path = server.data / "in_hand"
    page = bytearray(path.read_bytes())
    magic, version, boot, _, _ = HEAD.unpack_from(page)
    HEAD.pack_into(page, 0, magic, version, boot, len(items), len(suspects))
    for at, (kind, number) in enumerate(items):
        ENTRY.pack_into(page, HEAD.size + at * ENTRY.size, kind.encode(), number, 0, 1)
    for at, (kind, number, ends) in enumerate(suspects):
        place = HEAD.size + (MOST + at) * ENTRY.size
        ENTRY.pack_into(page, place, kind.encode(), number, ends, 1)
    path.write_bytes(page)


def health(server):
    return server.client().data("GET", "/health")


def a_server_that_stopped_or_idled_left_nothing():
    with Server(packs=()) as server:
        server.start()
        assert health(server) == {"status": "ok", "troubles": []}, health(server)
        assert (server.data / "in_hand").stat().st_mode & 0o777 == 0o600
        server.stop()
        opened = len(server.log_lines("worker.opened"))
        server.start()
        until("it idles", lambda: len(server.log_lines("worker.opened")) > opened)
        server.client().data("POST", "/api/v1/executions?wait=10s", {"action": "core.noop"})
        server.kill()
        server.start()
        assert not server.log_lines("server.ended_in_hand")
        assert health(server)["status"] == "ok"


def a_routine_that_ended_it_is_put_off_and_others_are_served():
    with Server(packs=()) as server:
        server.start()
        server.stop()
        leave(server, items=[("sweep", 0)], suspects=[("sweep", 0, 1)])
        server.start()
        told = server.log_lines("server.set_aside")
        assert [(t["kind"], t["ends"]) for t in told] == [("sweep", 2)], told
        assert len(server.log_lines("server.ended_in_hand")) == 1
        assert health(server)["status"] == "degraded", health(server)
        client = server.client()
        run = client.data("POST", "/api/v1/executions?wait=10s", {"action": "core.noop"})
        assert run["status"] == "succeeded", run
        assert client.data("GET", "/ready")["status"] == "ready"
        server.stop()
        found = subprocess.run([binary(), "doctor", "--data", str(server.data)],
                               capture_output=True, text=True, timeout=60)
        assert found.returncode == 0, found
        assert "store warning sweep 0: is set aside: 2 servers ended" in found.stdout, found.stdout


def a_rule_that_ended_it_waits_for_its_next_revision():
    with Server(packs=()) as server:
        server.start()
        client = server.client()
        mine = rule("default.mine", "core.echo", {"message": "{{ trigger.data.n }}"})
        number = int(client.data("POST", "/api/v1/rules", mine)["id"])
        server.stop()
        leave(server, suspects=[("render rule r1", number, 2)])
        server.start()
        client = server.client()

        def enforced(identifier):
            client.data("POST", "/api/v1/events", [cloud_event("poison", identifier, data={"n": 1})],
                        BATCH)
            rows = everything(client, "/api/v1/enforcements")
            return rows[0] if rows else None

        first = until("it is enforced", lambda: enforced("1"))
        assert first["status"] == "failed" and "ENG-0008" in first["error"], first
        etag = client.request("GET", "/api/v1/rules/default.mine")[1]
        mine["description"] = "mended"
        client.data("PUT", "/api/v1/rules/default.mine", mine,
                    {"If-Match": etag["ETag"]} if "ETag" in etag else {})
        second = enforced("2")
        assert second["status"] != "failed", second


def a_rule_that_does_not_compile_is_told_until_it_is_mended():
    with Server(packs=()) as server:
        if server.store:
            return  # the row is spoilt in SQLite's file
        server.start()
        mine = rule("default.mine", "core.echo", {"message": "SPOILT {{ 1 }}"})
        server.client().data("POST", "/api/v1/rules", mine)
        server.stop()
        with contextlib.closing(sqlite3.connect(server.data / "millrace.db")) as db, db:
            changed = db.execute("UPDATE rule SET spec = CAST(replace(CAST(spec AS TEXT), 'SPOILT', '{{ (') AS BLOB)")
            assert changed.rowcount == 1
        server.start()
        told = health(server)
        assert told["status"] == "degraded" and "1 rules do not compile" in told["troubles"][0], told
        server.client().data("PUT", "/api/v1/rules/default.mine", mine)
        assert health(server) == {"status": "ok", "troubles": []}, health(server)


def a_worker_without_its_spawner_is_told():
    with Server(packs=()) as server:
        server.start()
        until("it has a spawner", server.spawners)
        server.kill(spawner=True)
        hidden = server.data / "run.hidden"
        (server.data / "run").rename(hidden)
        (server.data / "run").write_text("in the way")
        server.start()
        until("it is told", lambda: any("spawner" in told for told in health(server)["troubles"]))
        (server.data / "run").unlink()
        hidden.rename(server.data / "run")
        until("it is well again", lambda: health(server) == {"status": "ok", "troubles": []})


def a_file_that_is_none_is_begun_anew():
    with Server(packs=()) as server:
        server.start()
        server.stop()
        (server.data / "in_hand").write_bytes(b"\xff" * 100_000)
        server.start()
        assert health(server)["status"] == "ok"


if __name__ == "__main__":
    sys.exit(run_cases([
        a_server_that_stopped_or_idled_left_nothing,
        a_routine_that_ended_it_is_put_off_and_others_are_served,
        a_rule_that_ended_it_waits_for_its_next_revision,
        a_rule_that_does_not_compile_is_told_until_it_is_mended,
        a_worker_without_its_spawner_is_told,
        a_file_that_is_none_is_begun_anew,
    ]))
