#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs that are found in indexes and installed by name; what they depend on, from the same source."""
import contextlib
import http.server
import json
import socket
import sys
import threading

from harness import Server, run_cases
from pack_git_test import Repository
from pack_install_test import FILES, cli_json, fails, write


def index_of(**urls):
    return json.dumps({"metadata": {}, "packs": {
        name: {"ref": name, "name": name, "version": "1.0.0", "description": f"What {name} does",
               "keywords": ["drinks"], "repo_url": url} for name, url in urls.items()}})


@contextlib.contextmanager
def served(body, status=200):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.json"
    server.shutdown()
    server.server_close()


def a_pack_is_found_and_installed_by_its_name():
    with Repository() as repository, Server(packs=()) as server:
        repository.commit(FILES)
        repository.git("tag", "v1.0.0")
        repository.commit({**FILES, "pack.yaml": FILES["pack.yaml"].replace("1.0.0", "2.0.0")})
        file = server.home / "index.json"
        file.write_text(index_of(tea=repository.url, milk="https://example.org/milk.git"))
        more = index_of(tea="https://example.org/not-this-one.git", juice=repository.url).encode()
        with served(more) as url:
            server.settings = {**server.settings, "packs.indexes": f"{file},{url}"}
            server.start()
            rows = cli_json(server, "pack", "search")
            assert [row["ref"] for row in rows] == ["juice", "milk", "tea"], rows
            said = server.cli("pack", "search", "TEA drinks")
            assert "What tea does" in said and "milk" not in said, said
            said = server.cli("pack", "install", "tea=v1.0.0")
            assert "installed pack 'tea' 1.0.0" in said, said
            assert cli_json(server, "pack", "search", "tea")[0]["installed"] == "1.0.0"
            said = server.cli("pack", "upgrade", "tea")
            assert "2.0.0" in said, said
            shown = cli_json(server, "pack", "show", "tea")
            assert shown["source"] == repository.url, shown
            said = fails(server, "pack", "install", "tee", expect=3)
            assert "did you mean 'tea'" in said, said


def indexes_that_cannot_be_read_are_told():
    with Server(packs=()) as server:
        server.start()
        said = fails(server, "pack", "search", "tea")
        assert "packs.indexes" in said, said
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    cases = [("/no/such/file", b""), (f"http://127.0.0.1:{port}/", b"")]
    for body, status in ((b"{}", 200), (b"not json", 200), (b"x", 404), (b" " * (17 << 20), 200),
                         (b"[" * 100_000, 200)):
        with served(body, status) as url, Server(packs=()) as server:
            server.settings = {**server.settings, "packs.indexes": url}
            server.start()
            status, _, answer = server.client().request("GET", "/api/v1/pack-index")
            assert answer["code"] == "PCK-0024", answer
    for place, _ in cases:
        with Server(packs=()) as server:
            server.settings = {**server.settings, "packs.indexes": place}
            server.start()
            status, _, answer = server.client().request("GET", "/api/v1/pack-index")
            assert status == 503 and answer["code"] == "PCK-0024", answer


def what_a_pack_depends_on_comes_from_the_same_source_when_asked():
    with Repository() as repository, Server(packs=()) as server:
        repository.commit(FILES)
        file = server.home / "index.json"
        file.write_text(index_of(tea=repository.url))
        server.settings = {**server.settings, "packs.indexes": str(file)}
        server.start()
        shop = write(server.home / "packs/shop",
                     {"pack.yaml": "ref: shop\nversion: 1.0.0\ndependencies: [milk, tea, core]\n"})
        write(server.home / "packs/milk",
              {"pack.yaml": "ref: milk\nversion: 1.0.0\ndependencies: [shop]\n"})
        said = server.cli("pack", "install", str(shop))
        assert "needs the pack: milk" in said and "needs the pack: tea" in said, said
        assert "core" not in said, said
        server.cli("pack", "show", "milk", expect=3)
        server.cli("pack", "install", str(shop), "--with-dependencies")
        assert cli_json(server, "pack", "show", "milk")["source"].endswith("packs/milk")
        assert cli_json(server, "pack", "show", "tea")["source"] == repository.url
        said = server.cli("pack", "install", str(shop))
        assert "needs" not in said, said


if __name__ == "__main__":
    sys.exit(run_cases([
        a_pack_is_found_and_installed_by_its_name,
        indexes_that_cannot_be_read_are_told,
        what_a_pack_depends_on_comes_from_the_same_source_when_asked,
    ]))
