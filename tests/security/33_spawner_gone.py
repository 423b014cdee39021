# SPDX-License-Identifier: Apache-2.0
"""A spawner whose data folder was removed ends (review, L7)."""

import shutil
import sys

from attack import Target, main, start_time, until

TARGET = Target(most_mib=100)


def a_spawner_whose_folder_is_gone_leaves():
    with Target(most_mib=100) as target:
        target.start()
        target.client().data(
            "POST", "/api/v1/executions?wait=30s", {"action": "core.local", "parameters": {"cmd": "true"}}
        )
        target.client().data(
            "POST",
            "/api/v1/executions",
            {"action": "core.local", "parameters": {"cmd": "sleep 1; echo done"}},
        )
        until(
            "it runs",
            lambda: [
                row
                for row in target.client().data("GET", "/api/v1/executions")
                if row["status"] == "running"
            ],
        )
        spawners = target.spawners()
        assert len(spawners) == 1
        target.kill()
        # The run may be making files there.
        until(
            "the folder is gone",
            lambda: shutil.rmtree(target.data, ignore_errors=True) or not target.data.exists(),
        )
        until(
            "the spawner has left", lambda: all(start_time(pid) != started for pid, started in spawners), 40
        )


CASES = [a_spawner_whose_folder_is_gone_leaves]

sys.exit(main(TARGET, CASES))
