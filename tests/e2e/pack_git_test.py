#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs that a server fetches from git repositories: over HTTP of this machine, by branch, tag and
commit; repositories that hold what no pack may hold, that are none, and that never answer; what is
refused before git is started."""
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from harness import Client, Server, run_cases, until
from pack_install_test import FILES, NEXT, brew, cli_json, fails, write

JSON = {"Content-Type": "application/json"}
IDENTITY = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}


class GitHandler(http.server.BaseHTTPRequestHandler):
    """`git http-backend` of the folder `root`."""
    protocol_version = "HTTP/1.0"
    root = None

    def answer(self):
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root),
               "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": self.command, "PATH_INFO": path,
               "QUERY_STRING": query, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
               "CONTENT_LENGTH": str(length), "REMOTE_ADDR": "127.0.0.1",
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
        run = subprocess.run(["git", "-c", "uploadpack.allowAnySHA1InWant=true", "http-backend"],
                             env=env, input=self.rfile.read(length), capture_output=True)
        head, _, body = run.stdout.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        self.send_response(int(lines.pop("Status", "200").split()[0]))
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Repository:
    """tea.git, served over HTTP."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="millrace-git-"))
        self.folder = self.root / "tea.git"
        self.folder.mkdir()
        self.git("init", "-q", "-b", "main")
        handler = type("Handler", (GitHandler,), {"root": self.root})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/tea.git"

    def git(self, *words):
        return subprocess.run(["git", *words], cwd=self.folder, env={**os.environ, **IDENTITY},
                              capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, files):
        for name in self.git("ls-files").split():
            (self.folder / name).unlink(missing_ok=True)
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "c")
        return self.git("rev-parse", "HEAD")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.root)


@contextlib.contextmanager
def silent():
    """The URL of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/tea.git"


def no_folder_is_left(server):
    folder = server.data / "fetch/git"
    return not folder.exists()


def a_pack_is_fetched_from_git_by_branch_tag_and_commit():
    with Repository() as repository, Server(packs=(), settings={"log.level": "info"}) as server:
        first = repository.commit(FILES)
        repository.git("tag", "v1")
        second = repository.commit(NEXT)
        server.start()
        said = server.cli("pack", "install", repository.url, "--ref", "v1")
        assert "installed pack 'tea' 1.0.0" in said, said
        shown = cli_json(server, "pack", "show", "tea")
        assert shown["state"] == "installed" and shown["source"] == repository.url, shown
        assert shown["commit"] == first and shown["source_ref"] == "v1", shown
        assert "brewed green" in brew(server)
        would = server.cli("pack", "upgrade", repository.url, "--dry-run")
        assert "would be: upgraded" in would and "+ action tea.drink" in would, would
        assert cli_json(server, "pack", "show", "tea") == shown
        server.cli("pack", "upgrade", repository.url)
        assert cli_json(server, "pack", "show", "tea")["commit"] == second
        assert "brewed well" in brew(server)
        server.stop()
        server.start()
        assert cli_json(server, "pack", "show", "tea")["commit"] == second
        assert cli_json(server, "pack", "install", repository.url, "--ref", first)["ref"] == "tea"
        assert cli_json(server, "pack", "show", "tea")["version"] == "1.0.0"
        operations = cli_json(server, "operation", "list")
        assert len(operations) == 5 and operations[0]["status"] == "succeeded", operations
        assert no_folder_is_left(server)
        server.stop()
        server.doctor()


def an_operation_tells_how_far_it_is():
    with Repository() as repository, Server(packs=()) as server:
        repository.commit({**FILES, "pack.yaml": "name: My Tea\nversion: 2.0.0\n"})  # named as the repository
        server.start()
        client = server.client()
        status, _, answer = client.request("POST", "/api/v1/packs", {"git": repository.url})
        begun = answer["data"]
        assert status == 202 and begun["status"] == "running", answer
        assert begun["kind"] == "pack.install" and begun["subject"] == repository.url, begun
        path = f"/api/v1/operations/{begun['id']}"
        done = client.data("GET", f"{path}?wait=30s")
        assert done["status"] == "succeeded" and done["result"]["ref"] == "tea", done
        assert done["result"]["version"] == "2.0.0" and done["result"]["outcome"] == "installed"
        # Who has not asked for it, and may not see the system, does not see it.
        made = client.data("POST", "/api/v1/tokens", {"identity": "r", "permissions": ["packs:*"]})
        other = Client(server.url(), made["token"])
        assert other.request("GET", path)[0] == 404
        assert other.request("GET", "/api/v1/operations")[0] == 403
        own = other.data("POST", "/api/v1/packs?dry_run=true", {"git": repository.url})
        assert other.data("GET", f"/api/v1/operations/{own['id']}?wait=30s")["status"] == "succeeded"
        changes = [row for row in events_of(server) if row["entity_id"] == begun["id"]]
        assert [row["payload"]["detail"] for row in changes][-1] == "succeeded", changes


def events_of(server):
    """What the feed has told of operations since the beginning."""
    client = server.client()
    connection = client.connect(10)
    connection.request("GET", "/api/v1/stream?topics=operation&from=0",
                       headers={"Authorization": f"Bearer {client.token}"})
    answer, rows = connection.getresponse(), []
    end = time.monotonic() + 10
    while time.monotonic() < end:
        line = answer.readline().decode()
        if line.startswith("data: ") and "entity_id" in line:
            rows.append(json.loads(line[6:]))
            if rows[-1]["payload"]["detail"] == "succeeded":
                break
    connection.close()
    return rows


def what_no_pack_may_hold_is_refused_and_the_one_before_stays():
    with Repository() as repository, Server(packs=()) as server:
        repository.commit(FILES)
        server.start()
        server.cli("pack", "install", repository.url)
        before = cli_json(server, "pack", "show", "tea")
        os.symlink("../../../etc/passwd", repository.folder / "out")
        repository.commit({**FILES, "x": "1"})
        assert "leads out of the pack" in fails(server, "pack", "install", repository.url)
        (repository.folder / "out").unlink()
        repository.commit({"README": "no pack"})
        assert "no pack.yaml" in fails(server, "pack", "install", repository.url)
        assert "PCK-0015" in fails(server, "pack", "install", repository.url, "--ref", "nowhere")
        assert "PCK-0015" in fails(server, "pack", "install", repository.url + "x")
        # What the repository says of its files and programs does nothing.
        repository.commit({**FILES, ".gitattributes": "actions/* export-ignore filter=evil\n"})
        server.cli("pack", "install", repository.url)
        after = cli_json(server, "pack", "show", "tea")
        assert after["actions"] == before["actions"] and after["faults"] == 0, after
        assert no_folder_is_left(server)


def a_repository_that_never_answers_fails_at_its_time_and_holds_nobody_up():
    settings = {"packs.fetch_timeout_ms": 3000}
    with silent() as url, Server(packs=(), settings=settings) as server:
        server.start()
        began = time.monotonic()
        operation = server.client().data("POST", "/api/v1/packs", {"git": url})
        folder = write(server.home / "tea", FILES)
        server.cli("pack", "install", str(folder))
        assert time.monotonic() - began < 3, "it was held up"
        done = server.client().data("GET", f"/api/v1/operations/{operation['id']}?wait=30s")
        assert done["status"] == "failed" and done["error_code"] == "PCK-0015", done
        assert "not done in 3 s" in done["error"], done
        assert no_folder_is_left(server)


def a_server_that_stops_or_dies_ends_what_it_fetches():
    with silent() as url, Server(packs=()) as server:
        for end, code in ((server.stop, ("PCK-0015", "PCK-0016")), (server.kill, ("PCK-0016",))):
            server.start()
            operation = server.client().data("POST", "/api/v1/packs", {"git": url})
            path = f"/api/v1/operations/{operation['id']}"
            until("it fetches", lambda p=path: server.client().data(
                "GET", p)["progress"] == "fetches")
            began = time.monotonic()
            end()
            assert time.monotonic() - began < 15
            server.start()
            done = until("it has failed", lambda p=path: (lambda row: row if row["status"] ==
                         "failed" else None)(server.client().data("GET", p)))
            assert done["error_code"] in code, done
            server.stop()


REFUSED = ["file:///etc", "ext::sh -c touch% /tmp/x", "ext::x", "-u./x", "--upload-pack=x", "/etc",
           "../x", "http://example.org/x.git", "https://u:p@example.org/x.git",
           "https://u@example.org/x.git", "ssh://u:p@example.org/x", "ssh://-oProxyCommand=x/y",
           "git@-oProxyCommand=x:y", "git@host:-x", "https://", "https://host", "git://host/x",
           "https://ho st/x", "http://127.0.0.1.example.org/x", "http://localhost.example.org/x",
           "http://127.0.0.1@example.org/x", "git@host::x", "https://host/x\n", ""]
REFS = ["-x", "--upload-pack=x", "a b", "a:b", "..", "a..b", "x^{tree}", "a\n"]


def what_git_could_take_for_something_else_is_refused():
    with Server(packs=()) as server:
        server.start()
        client = server.client()
        for url in REFUSED:
            status, _, problem = client.request("POST", "/api/v1/packs", {"git": url})
            assert (status, problem["code"]) == (400, "PCK-0014"), (url, problem)
            assert "u:p" not in json.dumps(problem), problem
        for ref in REFS:
            body = {"git": "https://127.0.0.1:1/x.git", "ref": ref}
            status, _, problem = client.request("POST", "/api/v1/packs", body)
            assert (status, problem["code"]) == (400, "PCK-0014"), (ref, problem)
        assert client.data("GET", "/api/v1/operations") == []
        for url in ("https://127.0.0.1:1/x.git", "ssh://git@127.0.0.1:1/x.git", "git@localhost:x"):
            operation = client.data("POST", "/api/v1/packs", {"git": url})
            done = client.data("GET", f"/api/v1/operations/{operation['id']}?wait=30s")
            assert done["error_code"] == "PCK-0015", done


if __name__ == "__main__":
    raise SystemExit(run_cases([
        a_pack_is_fetched_from_git_by_branch_tag_and_commit,
        an_operation_tells_how_far_it_is,
        what_no_pack_may_hold_is_refused_and_the_one_before_stays,
        a_repository_that_never_answers_fails_at_its_time_and_holds_nobody_up,
        a_server_that_stops_or_dies_ends_what_it_fetches,
        what_git_could_take_for_something_else_is_refused,
    ]))
