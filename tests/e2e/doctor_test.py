#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`millrace doctor` on a real data folder: what depends on the clock and on the retention."""
import contextlib
import sqlite3
import subprocess
import sys
import time

from harness import Server, binary, cloud_event, run_cases

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ID_EPOCH_MS = 1_704_067_200_000  # 2024-01-01, as in src/base/ids.cpp


def now_ms():
    return int(time.time() * 1000)


def id_of_age(age_ms):
    return (now_ms() - age_ms - ID_EPOCH_MS) << 22


@contextlib.contextmanager
def stopped_store():
    """A server that has taken one event and stopped, and its store, open for planting."""
    with Server(packs=(), settings={"log.level": "warn"}) as server:
        server.start()
        server.client().data("POST", "/api/v1/events", [cloud_event("doctor", "1")],
                             {"Content-Type": "application/cloudevents-batch+json"})
        server.stop()
        store = sqlite3.connect(server.data / "millrace.db", isolation_level=None)
        try:
            yield server, store
        finally:
            store.close()


def doctor(server, *words, expect=0):
    run = subprocess.run([binary(), "doctor", "--data", str(server.data), *words],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == expect, f"exit {run.returncode}: {run.stdout}{run.stderr}"
    return run.stdout


def a_sound_store_has_no_findings():
    with stopped_store() as (server, _):
        assert doctor(server).strip() == "doctor: 0 findings"


def a_timer_that_is_long_overdue_is_a_warning():
    with stopped_store() as (server, store):
        plant = "INSERT INTO timer VALUES (?, 1, 0, ?, 1, 0, '', x'')"
        store.execute(plant, (7, now_ms() - 2 * HOUR_MS))
        store.execute(plant, (8, now_ms() + HOUR_MS))
        found = doctor(server)
        assert "K5 warning timer 7: it has been due for more than an hour" in found, found
        assert "timer 8" not in found, found


def an_event_that_went_before_its_retention_is_missed():
    with stopped_store() as (server, store):
        store.execute("INSERT INTO dedupe VALUES (1, 'event:doctor', 'gone', ?, ?)",
                      (str(id_of_age(10 * DAY_MS)), now_ms() + DAY_MS))
        found = doctor(server, expect=1)  # kept for 30 days by default
        assert "K4 broken key 'gone'" in found, found
        assert doctor(server, "--set", "retention.events_days=5").strip() == "doctor: 0 findings"


if __name__ == "__main__":
    sys.exit(run_cases([
        a_sound_store_has_no_findings,
        a_timer_that_is_long_overdue_is_a_warning,
        an_event_that_went_before_its_retention_is_missed,
    ]))
