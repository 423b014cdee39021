#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server whose rows are in PostgreSQL, through the real binary: what a user meets, and what
becomes of what was accepted when the database goes away."""
import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

from harness import (ROOT, Client, Postgres, Server, binary, cloud_event, everything, is_sanitized, rule, run_cases,
                     until)

EVENT = {"Content-Type": "application/cloudevents+json"}
POSTGRES = None


def server(**settings):
    return Server(settings={"log.level": "warn", "worker.slots": 4, **settings}, postgres=POSTGRES)


def refusal(*words):
    """What `up` says when it does not start."""
    run = subprocess.run([binary(), "up", "--data", "/nowhere/millrace", *words],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode != 0, run.stdout
    return run.stdout + run.stderr


def wrong_urls_are_refused_before_anything_is_made():
    secret = refusal("--store", "postgres://me:geheim@db/millrace")
    assert "APP-0033" in secret and "store.url_file" in secret and "geheim" not in secret, secret
    other = refusal("--store", "mysql://db/millrace")
    assert "STO-0012" in other and "the scheme 'mysql'" in other, other
    both = refusal("--store", "postgres://db/x", "--set", "store.url_file=/x")
    assert "APP-0033" in both and "one of them" in both, both


def a_url_may_stand_in_a_file():
    with server() as s:
        file = s.home / "store.url"
        file.write_text(POSTGRES.url + "\n")
        del s.settings["store.url"]
        s.settings["store.url_file"] = file
        s.start()
        assert s.client().data("POST", "/api/v1/executions?wait=30s",
                               {"action": "core.noop"})["status"] == "succeeded"


def what_was_done_is_there_after_a_restart():
    with server() as s:
        s.start()
        c = s.client()
        ledger = s.home / "ledger"
        c.data("POST", "/api/v1/rules",
               rule("ledger.on_event", "ledger.write_again", {"ledger": str(ledger)}))
        c.data("POST", "/api/v1/events", json.dumps(cloud_event("test", "1")), EVENT)
        until("the rule's run has ended", lambda: [
            e for e in everything(c, "/api/v1/executions") if e["status"] == "succeeded"])
        again = c.data("POST", "/api/v1/events", json.dumps(cloud_event("test", "1")), EVENT)
        assert len(everything(c, "/api/v1/events")) == 1, again
        s.stop()
        s.doctor()
        s.start()
        assert len(everything(s.client(), "/api/v1/executions")) == 1
        assert len(ledger.read_text().splitlines()) == 1
        assert not (s.data / "millrace.db").exists()


def copy(*words):
    run = subprocess.run([binary(), "store", "copy", *map(str, words)], capture_output=True,
                         text=True, timeout=120)
    return run.returncode, run.stdout + run.stderr


def rows_move_to_postgres_and_back():
    """As docs/guides/postgres.md says."""
    with Server(settings={"log.level": "warn"}) as s:
        s.start()
        first = s.client().data("POST", "/api/v1/executions?wait=30s", {"action": "core.noop"})["id"]
        url_file = s.home / "store.url"
        url_file.write_text(POSTGRES.url + "\n")
        schema = ("--schema", s.home.name)
        there = ("--from-data", s.data, "--to-url-file", url_file, *schema)
        back = ("--from-url-file", url_file, "--to-data", s.data, *schema)
        code, said = copy(*there)
        assert code != 0 and "BAS-0009" in said, said  # it runs
        s.stop()
        code, said = copy(*there)
        assert code == 0 and "execution: 1 rows" in said and "doctor: 0 findings" in said, said
        s.settings.update({"store.url": POSTGRES.url, "store.schema": s.home.name})
        s.start()
        c = s.client()
        assert [e["id"] for e in everything(c, "/api/v1/executions")] == [first]
        second = c.data("POST", "/api/v1/executions?wait=30s", {"action": "core.noop"})["id"]
        s.stop()
        code, said = copy(*back)
        assert code != 0 and "STO-0013" in said and "not empty" in said, said
        (s.data / "millrace.db").rename(s.home / "old.db")
        code, said = copy(*back)
        assert code == 0 and "execution: 2 rows" in said, said
        del s.settings["store.url"], s.settings["store.schema"]
        s.start()
        assert {e["id"] for e in everything(s.client(), "/api/v1/executions")} == {first, second}
        s.stop()
        s.doctor()
        code, said = copy("--from-data", s.data)
        assert code != 0 and "APP-0035" in said and "--to-data or --to-url-file" in said, said


def a_password_may_stand_in_pgpass():
    hba = POSTGRES.folder / "data/pg_hba.conf"
    before = hba.read_text()
    POSTGRES.query("CREATE ROLE keeper LOGIN PASSWORD 'geheim'")
    POSTGRES.query("GRANT CREATE ON DATABASE postgres TO keeper")
    hba.write_text("local all keeper scram-sha-256\n" + before)
    POSTGRES.query("SELECT pg_reload_conf()")
    try:
        with server() as s:
            s.settings["store.url"] = POSTGRES.url.replace("user=millrace", "user=keeper")
            with home_at(s.home):
                s.start(ready=False)
                until("it has ended", s.has_ended)
                said = s.log.read_text()
                assert "no password supplied" in said, said
                passwords = s.home / ".pgpass"
                passwords.write_text("*:*:postgres:keeper:geheim\n")
                passwords.chmod(0o600)
                s.start()
            assert s.client().data("POST", "/api/v1/executions?wait=30s",
                                   {"action": "core.noop"})["status"] == "succeeded"
            assert "geheim" not in s.log.read_text()
    finally:
        hba.write_text(before)
        POSTGRES.query("SELECT pg_reload_conf()")


@contextlib.contextmanager
def home_at(folder):
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def dev_db_makes_one_and_throws_its_rows_away():
    with tempfile.TemporaryDirectory(prefix="millrace-dev-db-") as folder:
        os.chmod(folder, 0o755)
        database = f"{folder}/db"
        made = subprocess.Popen([ROOT / "dev", "db", "create", database], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        try:
            hint, url = made.stdout.readline(), made.stdout.readline().strip()
            assert "millrace up" in hint and url.startswith("postgresql://"), (hint, url)
            with server(**{"store.url": url, "store.schema": "millrace"}) as s:
                s.settings.update({"store.url": url, "store.schema": "millrace"})
                s.start()
                s.client().data("POST", "/api/v1/executions?wait=30s", {"action": "core.noop"})
                s.stop()
            tables = ("psql", url, "-Atc", "SELECT count(*) FROM pg_tables WHERE schemaname = 'millrace'")
            assert int(subprocess.check_output(tables)) > 20
            subprocess.run([ROOT / "dev", "db", "reset", database], check=True, timeout=60)
            assert int(subprocess.check_output(tables)) == 0
        finally:
            made.stdin.close()
            made.wait(timeout=60)
            made.stdout.close()


def a_start_waits_for_a_database_that_is_away():
    with server() as s:
        POSTGRES.stop()
        s.start(ready=False)
        until("it says that it waits", lambda: s.log_lines("store.waiting"))
        assert s.log_lines("store.waiting")[0]["at_most_s"] > 50
        assert s.alive()
        POSTGRES.start()
        until("it is ready", s.is_ready)


def a_start_that_waits_in_vain_says_so():
    with server(**{"store.start_wait_ms": 1000}) as s:
        s.settings["store.url"] = "postgresql:///postgres?host=/nowhere&user=millrace"
        s.start(ready=False)
        until("it has ended", s.has_ended)
        assert s.process.returncode != 0
        said = s.log.read_text()
        assert "store.start_wait_ms" in said and "waited 1000 ms" in said and "/nowhere" in said, said


def a_database_that_refuses_us_is_not_waited_for():
    with server() as s:
        s.settings["store.url"] = POSTGRES.url.replace("user=millrace", "user=nobody")
        s.start(ready=False)
        until("it has ended", s.has_ended, 30)
        assert 'role "nobody" does not exist' in s.log.read_text(), s.log.read_text()
        assert not s.log_lines("store.waiting")


def statements_are_logged_without_their_values():
    with server(**{"log.statements": "all", "log.level": "info"}) as s:
        s.start()
        c = s.client()
        c.data("PUT", "/api/v1/keys/system/password", {"value": "geheim", "encrypted": False})
        c.data("POST", "/api/v1/executions?wait=30s",
               {"action": "core.echo", "parameters": {"message": "verborgen"}})
        texts = [line["text"] for line in s.log_lines("store.statement")]
        assert any(text.startswith("INSERT INTO key_value") for text in texts), texts[-20:]
        assert "COMMIT" in texts
        said = s.log.read_text()
        assert "geheim" not in said and "verborgen" not in said


def doctor_holds_no_large_table_in_memory():
    """600,000 keys, some 700 MB."""
    with server() as s:
        s.start()
        s.stop()
        POSTGRES.query(
            f'INSERT INTO "{s.home.name}".event SELECT 1, 1, \'t\', \'s\', \'1\', \'\', \'\', 0, 0, 0, '
            "''::bytea, ''::bytea")
        POSTGRES.query(
            f'INSERT INTO "{s.home.name}".dedupe SELECT 1, \'body:x\', '
            "n::text || repeat('x', 1000), '1', 9000000000000 FROM generate_series(1, 600000) AS n")
        doctor = subprocess.Popen(
            [binary(), "doctor", "--data", str(s.data), *s.store_words()],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = doctor.stdout.read()
        _, status, usage = os.wait4(doctor.pid, 0)
        doctor.returncode = os.waitstatus_to_exitcode(status)
        assert doctor.returncode in (0, 1), said
        # AddressSanitizer keeps 256 MB that were freed.
        most = 600_000 if is_sanitized() else 250_000
        assert usage.ru_maxrss < most, f"{usage.ru_maxrss} KB"


class Load(threading.Thread):
    """Asks for runs, and remembers what was accepted; a key is sent again until it is."""

    def __init__(self, s, ledger, number):
        super().__init__(daemon=True)
        self.client = s.client()
        self.ledger = ledger
        self.number = number
        self.accepted = {}
        self.answers = collections.Counter()
        self.stop = False

    def run(self):
        while not self.stop:
            key = f"{self.number}-{len(self.accepted)}"
            body = {"action": "ledger.write_once", "parameters": {"ledger": str(self.ledger)}}
            try:
                status, _, answer = self.client.request(
                    "POST", "/api/v1/executions", body, {"Idempotency-Key": key}, timeout=90)
            except OSError:
                self.answers["no answer"] += 1
                continue
            self.answers[status] += 1
            if status in (200, 201, 202):
                self.accepted[key] = answer["data"]["id"]
            else:
                time.sleep(0.05)


def check_ledger(s, ledger, loads):
    c = s.client()
    until("all has ended", lambda: not everything(c, "/api/v1/executions?open=true"), 120, 0.2)
    executions = {e["id"]: e for e in everything(c, "/api/v1/executions")}
    accepted = [e for load in loads for e in load.accepted.values()]
    assert len(accepted) > 20, [load.answers for load in loads]
    assert len(set(accepted)) == len(accepted), "two keys got one execution"
    assert not set(accepted) - executions.keys(), "what was accepted is lost"
    lines = collections.Counter(line.split()[0] for line in ledger.read_text().splitlines())
    assert set(lines.values()) <= {1}, "at most once ran twice"
    succeeded = {e for e, row in executions.items() if row["status"] == "succeeded"}
    assert succeeded == set(lines), "what ran and what is told to have run differ"
    assert not set(executions) - set(accepted), "an execution that nobody was told of"


def under_load(doing):
    with server() as s:
        ledger = s.home / "ledger"
        ledger.touch()
        s.start()
        loads = [Load(s, ledger, number) for number in range(4)]
        for load in loads:
            load.start()
        doing(lambda: sum(len(load.accepted) for load in loads))
        for load in loads:
            load.stop = True
        for load in loads:
            load.join(120)
            assert not load.is_alive(), "a request is not answered"
        assert s.alive(), "the server has ended"
        check_ledger(s, ledger, loads)
        s.stop()
        s.doctor()
        return loads


def go_on(count, more=25):
    target = count() + more
    until("it goes on", lambda: count() > target, 120)


def its_connections_killed_under_load_lose_nothing():
    def doing(count):
        for _ in range(20):
            go_on(count, 5)
            POSTGRES.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE application_name = 'millrace'")
        go_on(count)
    under_load(doing)


def a_database_that_is_killed_loses_nothing():
    def doing(count):
        for _ in range(3):
            go_on(count)
            POSTGRES.kill()
            POSTGRES.start()
        go_on(count)
    under_load(doing)


def a_database_that_is_away_for_a_while_is_waited_for():
    def doing(count):
        go_on(count)
        POSTGRES.stop()
        time.sleep(5)
        POSTGRES.start()
        go_on(count)
    under_load(doing)


def a_server_whose_shards_another_has_taken_ends():
    with server() as first, server() as second:
        first.start()
        second.settings.update(first.store)
        second.start()
        with contextlib.suppress(OSError):  # it ends before it can answer
            first.client().request("POST", "/api/v1/executions", {"action": "core.noop"})
        until("the first has ended", first.has_ended)
        assert any("another server has claimed" in line["error"]
                   for line in first.log_lines("store.failed"))
        client = Client(second.url(), first.token())  # the store's tokens hold on each
        assert client.data("POST", "/api/v1/executions?wait=30s",
                           {"action": "core.noop"})["status"] == "succeeded"


if __name__ == "__main__":
    with Postgres() as POSTGRES:
        sys.exit(run_cases([
            wrong_urls_are_refused_before_anything_is_made,
            a_url_may_stand_in_a_file,
            what_was_done_is_there_after_a_restart,
            rows_move_to_postgres_and_back,
            a_password_may_stand_in_pgpass,
            dev_db_makes_one_and_throws_its_rows_away,
            a_start_waits_for_a_database_that_is_away,
            a_start_that_waits_in_vain_says_so,
            a_database_that_refuses_us_is_not_waited_for,
            statements_are_logged_without_their_values,
            doctor_holds_no_large_table_in_memory,
            its_connections_killed_under_load_lose_nothing,
            a_database_that_is_killed_loses_nothing,
            a_database_that_is_away_for_a_while_is_waited_for,
            a_server_whose_shards_another_has_taken_ends,
        ]))
