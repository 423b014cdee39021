# SPDX-License-Identifier: Apache-2.0
"""A server with the routes that the SDK uses. It behaves; nothing is recorded but what it did."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

TOKEN = "a-token"


class FakeApi:
    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], dict[str, Any]] = {}
        self.executions: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.unavailable = 0
        self.page_size = 2
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                data = self.rfile.read(length) if length else b""
                body = json.loads(data) if data else None
                url = urlsplit(self.path)
                path = [unquote(part) for part in url.path.split("/")[3:]]
                query = dict(parse_qsl(url.query))
                fake.requests.append((self.command, self.path, dict(self.headers)))
                if self.headers.get("Authorization") != "Bearer " + TOKEN:
                    status, answer = 401, problem("no such token")
                elif not url.path.startswith("/api/v1/"):
                    status, answer = 404, problem("no such path: " + url.path)
                elif fake.unavailable:
                    fake.unavailable -= 1
                    status, answer = 503, problem("the store went away")
                else:
                    status, answer = fake.handle(self.command, path, query, body)
                out = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.env = {"MILLRACE_API_URL": self.url, "MILLRACE_API_TOKEN": TOKEN}
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def handle(self, method: str, path: list[str], query: dict[str, str], body: Any) -> Any:
        kind = path[0]
        if kind == "keys" and len(path) == 3:
            return self._key(method, (path[1], path[2]), query, body)
        if kind == "keys":
            scope = query.get("scope")
            found = [key for (of, _), key in sorted(self.keys.items()) if scope in (None, of)]
            return self._page([shown(key) for key in found], query)
        if kind == "executions":
            return self._execution(method, path[1:], query, body)
        if kind == "rules":
            if method == "PUT":
                self.rules[path[1]] = {**body, "ref": path[1]}
            if len(path) == 1:
                return self._page(list(self.rules.values()), query)
            return one(self.rules.get(path[1]))
        if kind == "events" and method == "POST":
            self.events.append(body)
            return 202, {"data": {"event": str(len(self.events)), "duplicate": False}}
        if kind == "inquiries" and path[-1] == "answer":
            self.answers[path[1]] = body["response"]
            return one({"id": path[1], "status": "answered", "response": body["response"]})
        if kind == "identity":
            return one({"identity": "ann", "roles": ["admin"], "permissions": []})
        if kind == "actions":
            entry = {"ref": "core.echo", "description": "", "parameters": [{"name": "message"}]}
            return (
                self._page([entry], query)
                if len(path) == 1
                else one(entry if path[1] == entry["ref"] else None)
            )
        return 404, problem("no such path: " + "/".join(path))

    def _key(self, method: str, at: tuple[str, str], query: dict[str, str], body: Any) -> Any:
        if method == "PUT":
            self.keys[at] = {"scope": at[0], "name": at[1], "encrypted": False, **body}
        if at not in self.keys:
            return 404, problem("no such key")
        if method == "DELETE":
            del self.keys[at]
            return 204, None
        key = self.keys[at]
        return one(key if query.get("decrypt") == "true" else shown(key))

    def _execution(self, method: str, path: list[str], query: dict[str, str], body: Any) -> Any:
        if not path and method == "POST":
            id = str(len(self.executions) + 100)
            self.executions[id] = {
                "id": id, "status": "succeeded", "identity": "ann",
                "started": "2026-01-01T00:00:00Z", "result": {"output": body["parameters"]}, **body,
            }  # fmt: skip
            return 201, {"data": self.executions[id]}
        if not path:
            status = query.get("status")
            found = [e for e in self.executions.values() if status in (None, e["status"])]
            return self._page(found, query)
        execution = self.executions.get(path[0])
        if execution is None or len(path) == 1:
            return one(execution)
        if path[1] == "rerun":
            return 201, {"data": {**execution, "id": "900", "original": path[0], "asked": body}}
        execution["status"] = {"cancel": "canceling", "pause": "pausing", "resume": "resuming"}[
            path[1]
        ]
        return 202, {"data": execution}

    def _page(self, entries: list[Any], query: dict[str, str]) -> Any:
        start = int(query.get("cursor") or 0)
        end = start + min(self.page_size, int(query.get("limit") or 50))
        cursor = str(end) if end < len(entries) else None
        return 200, {"data": entries[start:end], "next_cursor": cursor}


def one(entry: Any) -> Any:
    return (404, problem("not there")) if entry is None else (200, {"data": entry})


def shown(key: dict[str, Any]) -> dict[str, Any]:
    return {**key, "value": "********"} if key["encrypted"] else key


def problem(detail: str) -> dict[str, Any]:
    return {"title": "problem", "detail": detail, "code": "TST-0001"}
