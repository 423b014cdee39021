#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders of packs that a server watches: what changes there is loaded when it is quiet."""
import os
import pty
import subprocess
import sys
import time

from harness import Server, binary, run_cases, until


def write(folder, word="green"):
    files = {"pack.yaml": "ref: tea\nversion: 1.0.0\n",
             "config.schema.yaml": "cup: {type: string, default: small}\n",
             "actions/brew.yaml": "name: brew\nrunner_type: shell\nentry_point: brew.sh\n"
                                  "parameters: {cup: {type: string, position: 0, "
                                  "default: '{{ config_context.cup }}'}}\n",
             "actions/brew.sh": f"#!/bin/sh\necho {word} $1\n"}
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def brew(server):
    return server.cli("run", "tea.brew").strip()


def changes(server):
    return len(server.log_lines("packs.changed"))


def what_changes_in_a_folder_is_loaded_by_itself():
    with Server(packs=()) as server:
        packs = server.home / "packs"
        tea = write(packs / "tea")
        server.packs = (packs,)
        server.start()
        assert brew(server) == "green small"
        write(tea, "black")
        until("it is loaded", lambda: brew(server) == "black small")
        # A broken file leaves the release before, and is told; mended, it counts.
        seen = changes(server)
        (tea / "actions/brew.yaml").write_text("name: brew\nrunner_type: [\n")
        (tea / "actions/brew.sh").write_text("#!/bin/sh\necho never\n")
        until("it is told", lambda: changes(server) > seen)
        shown = server.client().data("GET", "/api/v1/packs/tea")
        assert shown["problems"][0].startswith("actions/brew.yaml:"), shown
        assert brew(server) == "black small"
        write(tea, "white")
        until("it is mended", lambda: brew(server) == "white small")
        assert server.client().data("GET", "/api/v1/packs/tea")["faults"] == 0
        # Another pack comes beside it, and goes.
        write(packs / "milk")
        (packs / "milk/pack.yaml").write_text("ref: milk\nversion: 1.0.0\n")
        until("it is there", lambda: server.client().request(
            "GET", "/api/v1/actions/milk.brew")[0] == 200)
        server.stop()
        server.doctor()


def many_files_and_those_of_editors_are_one_load_at_most():
    with Server(packs=()) as server:
        tea = write(server.home / "tea")
        server.packs = (tea,)
        server.start()
        for i in range(300):
            (tea / f"actions/{i}.txt").write_text("x")
        until("it is loaded", lambda: changes(server) >= 1)
        time.sleep(1.5)
        assert changes(server) <= 2, changes(server)
        before = changes(server)
        for name in (".brew.sh.swp", "brew.sh~", "4913", ".#brew.sh"):
            (tea / "actions" / name).write_text("x")
        time.sleep(2)
        assert changes(server) == before


def the_folder_of_configurations_is_watched_too():
    with Server(packs=()) as server:
        configs = server.home / "configs"
        configs.mkdir()
        server.packs = (write(server.home / "tea"),)
        server.settings = {**server.settings, "packs.configs": str(configs)}
        server.start()
        assert brew(server) == "green small"
        (configs / "tea.yaml").write_text("cup: large\n")
        until("it is read", lambda: brew(server) == "green large")
        (configs / "tea.yaml").unlink()
        until("it is gone", lambda: brew(server) == "green small")


def who_sits_at_the_terminal_sees_what_came_of_it():
    with Server(packs=()) as server:
        tea = write(server.home / "tea")
        server.packs = (tea,)
        screen, end = pty.openpty()
        server.process = subprocess.Popen(server.command(), stdout=end, stderr=subprocess.DEVNULL,
                                          stdin=subprocess.DEVNULL)
        server.prefixed = False
        os.close(end)
        os.set_blocking(screen, False)
        seen = b""

        def has_seen(text):
            nonlocal seen
            try:
                seen += os.read(screen, 65536)
            except BlockingIOError:
                pass
            return text in seen
        until("it is ready", lambda: has_seen(b"is ready at"), tell=lambda: seen)
        write(tea, "black")
        until("it is said", lambda: has_seen(b"packs are loaded: tea"), tell=lambda: seen)
        (tea / "actions/brew.yaml").write_text("name: [\n")
        until("the fault is said", lambda: has_seen(b"tea/actions/brew.yaml:"), tell=lambda: seen)
        server.stop()
        os.close(screen)


if __name__ == "__main__":
    sys.exit(run_cases([
        what_changes_in_a_folder_is_loaded_by_itself,
        many_files_and_those_of_editors_are_one_load_at_most,
        the_folder_of_configurations_is_watched_too,
        who_sits_at_the_terminal_sees_what_came_of_it,
    ]))
