#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what docs/guides/keys.md shows; writes of one key at once; a key whose time is over."""
import sys
import threading
import time

from commands import Server, run_all, run_cases, shown

SAYS = {
    "millrace key set db_host db.local": "key 'db_host' of system: version 1",
    "millrace key list": "db_password",
    "millrace key get db_password": "********",
    "millrace key get db_password --decrypt": "s3cret-word",
    "millrace key list --scope user:alice": "region",
    "millrace key delete maintenance": "'maintenance' is gone",
}


def the_guide_works():
    with Server(packs=()).start() as server:
        run_all(server, shown("keys.md"), SAYS)


def writes_that_name_no_version_are_never_in_conflict():
    clients, each = 30, 10
    with Server(packs=()).start() as server:
        for encrypted in (False, True):
            statuses, path = [], f"/api/v1/keys/system/shared{int(encrypted)}"

            def write(number, path=path, encrypted=encrypted, statuses=statuses):
                client = server.client()
                for turn in range(each):
                    status, _, answer = client.request("PUT", path, {
                        "value": f"{number}-{turn}", "encrypted": encrypted})
                    statuses.append((status, "" if status == 200 else answer.get("code")))

            threads = [threading.Thread(target=write, args=(n,)) for n in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert set(statuses) == {(200, "")}, set(statuses)
            assert len(statuses) == clients * each, len(statuses)
            key = server.client().data("GET", path + "?decrypt=true")
            assert key["version"] == clients * each and "-" in key["value"], key


def what_names_a_version_is_held_to_it():
    with Server(packs=()).start() as server:
        client, path = server.client(), "/api/v1/keys/system/one"
        client.data("PUT", path, {"value": 1})
        client.data("PUT", path, {"value": 2}, headers={"If-Match": '"1"'})
        status, _, answer = client.request("PUT", path, {"value": 3}, {"If-Match": '"1"'})
        assert status == 412 and answer["code"] == "KEY-0002", (status, answer)


def a_key_whose_time_is_over_is_not_there():
    with Server(packs=()).start() as server:
        client, path = server.client(), "/api/v1/keys/system/brief"
        client.data("PUT", path, {"value": 1, "ttl_s": 1})
        assert client.data("GET", path)["value"] == 1
        server.kill()
        server.start()
        time.sleep(1.2)
        status, _, answer = server.client().request("GET", path)
        assert status == 404, (status, answer)
        again = server.client().data("PUT", path, {"value": 2})
        assert again["value"] == 2 and not again.get("expires"), again


if __name__ == "__main__":
    sys.exit(run_cases([the_guide_works, writes_that_name_no_version_are_never_in_conflict,
                        what_names_a_version_is_held_to_it,
                        a_key_whose_time_is_over_is_not_there]))
