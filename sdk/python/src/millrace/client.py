# SPDX-License-Identifier: Apache-2.0
"""A client of Millrace's API: JSON over HTTP, with the standard library alone.

client = Client()                       # URL and token from the environment of the run
client.keys.set("seen", 7)
execution = client.executions.run("core.echo", {"message": "hi"}, wait="30s")
"""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from millrace.address import from_environment, server_of

PREFIX = "/api/v1"
# An answer that says that the outcome is unknown (503) is asked for again, with the same key.
TRIES = 3
PAUSE_S = 0.2


# Methods are named `list`: inside their classes the type needs another name.
list_of = list
Entries = List[Dict[str, Any]]


class ApiError(Exception):
    """The server's answer to what it has not done. `status` 0: it could not be reached."""

    def __init__(
        self, status: int, message: str, code: str = "", errors: list[Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = errors or []


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the server that was named, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Client:
    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        cacert: str | None = None,
        verify: bool = True,
    ) -> None:
        known_url, known_token = from_environment()
        self.server = server_of(url) if url else known_url
        self.token = token if token is not None else known_token
        self.timeout_s = timeout_s
        self._cacert = cacert
        self._verify = verify
        self._made_opener: urllib.request.OpenerDirector | None = None
        self.keys = Keys(self)
        self.executions = Executions(self)
        self.rules = Rules(self)
        self.actions = Actions(self)
        self.inquiries = Inquiries(self)
        self.events = Events(self)
        self.webhooks = Webhooks(self)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer. `path` stands below /api/v1; None values of `query` are left out."""
        if not self.server:
            raise ApiError(0, "no server is known: MILLRACE_API_URL is not set")
        url = self.server + PREFIX + path
        given = {key: _as_text(value) for key, value in (query or {}).items() if value is not None}
        if given:
            url += "?" + urllib.parse.urlencode(given)
        all_headers = {"Accept": "application/json", **(headers or {})}
        if self.token:
            all_headers["Authorization"] = "Bearer " + self.token
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        if method != "GET":
            all_headers.setdefault("Idempotency-Key", os.urandom(16).hex())
        for left in reversed(range(TRIES)):
            request = urllib.request.Request(url, data, all_headers, method=method)
            try:
                with self._opener().open(request, timeout=self.timeout_s) as answer:
                    return _decoded(answer.read())
            except urllib.error.HTTPError as error:
                problem = _problem(error, method, path)
                if problem.status != 503 or not left:
                    raise problem from None
            except (urllib.error.URLError, OSError) as error:
                reason = getattr(error, "reason", error)
                if not left:
                    raise ApiError(0, f"{self.server} cannot be reached: {reason}") from error
            time.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def _opener(self) -> urllib.request.OpenerDirector:
        if self._made_opener is None:
            handlers: list[Any] = [urllib.request.ProxyHandler({}), _NoRedirect()]
            if self.server and self.server.startswith("https:"):
                context = ssl.create_default_context(cafile=self._cacert)
                if not self._verify:
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
                handlers.append(urllib.request.HTTPSHandler(context=context))
            self._made_opener = urllib.request.build_opener(*handlers)
        return self._made_opener

    def one(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The object of an answer {data: ...}."""
        answer = self.request(method, path, **more)
        found: dict[str, Any] = answer.get("data", answer)
        return found

    def pages(
        self, path: str, query: Mapping[str, Any] | None = None, most: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """All entries of a list, or the first `most`."""
        cursor = None
        while most is None or most > 0:
            limit = 500 if most is None else min(500, most)
            answer = self.request(
                "GET", path, query={**(query or {}), "limit": limit, "cursor": cursor}
            )
            yield from answer["data"]
            cursor = answer.get("next_cursor")
            if not cursor:
                return
            if most is not None:
                most -= len(answer["data"])

    def identity(self) -> dict[str, Any]:
        """Who the token stands for."""
        return self.one("GET", "/identity")


class _Part:
    def __init__(self, client: Client) -> None:
        self._client = client


class Keys(_Part):
    """Scopes: system, user:NAME, pack:REF, action:REF, sensor:REF; `user` is one's own."""

    def get(self, name: str, *, scope: str = "system", decrypt: bool = False) -> Any:
        """The value, or None if there is no such key."""
        found = self.find(name, scope=scope, decrypt=decrypt)
        return None if found is None else found["value"]

    def find(
        self, name: str, *, scope: str = "system", decrypt: bool = False
    ) -> dict[str, Any] | None:
        query = {"decrypt": True} if decrypt else None
        try:
            return self._client.one("GET", self._path(scope, name), query=query)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def set(
        self,
        name: str,
        value: Any,
        *,
        scope: str = "system",
        encrypted: bool = False,
        ttl_s: int | None = None,
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"value": value}
        if encrypted:
            body["encrypted"] = True
        if ttl_s:
            body["ttl_s"] = ttl_s
        return self._client.one("PUT", self._path(scope, name), body=body)

    def delete(self, name: str, *, scope: str = "system") -> bool:
        """Whether there was one."""
        try:
            self._client.request("DELETE", self._path(scope, name))
        except ApiError as error:
            if error.status != 404:
                raise
            return False
        return True

    def list(self, *, scope: str | None = None, prefix: str = "") -> Entries:
        query = {"scope": self.full_scope(scope) if scope else None}
        found = self._client.pages("/keys", query)
        return [key for key in found if key["name"].startswith(prefix)]

    def full_scope(self, scope: str) -> str:
        if scope != "user":
            return scope
        return "user:" + str(self._client.identity()["identity"])

    def _path(self, scope: str, name: str) -> str:
        return f"/keys/{quoted(self.full_scope(scope))}/{quoted(name)}"


class Executions(_Part):
    def run(
        self,
        action: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        wait: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_ms: int | None = None,
        priority: str | None = None,
    ) -> dict[str, Any]:
        """Asks for a run. With `wait` ("30s") the answer is final, or the time was over."""
        body: dict[str, Any] = {"action": action, "parameters": dict(parameters or {})}
        for key, value in (("env", env), ("timeout_ms", timeout_ms), ("priority", priority)):
            if value is not None:
                body[key] = value
        return self._client.one("POST", "/executions", query={"wait": wait}, body=body)

    def get(self, id: str, *, wait: str | None = None) -> dict[str, Any]:
        return self._client.one("GET", f"/executions/{quoted(id)}", query={"wait": wait})

    def list(self, *, most: int | None = 50, **filters: Any) -> Entries:
        """Filters: status, action, parent, open, sort."""
        return list_of(self._client.pages("/executions", filters, most))

    def children(self, id: str) -> Entries:
        return list_of(self._client.pages(f"/executions/{quoted(id)}/children"))

    def result(self, id: str) -> Any:
        return self._client.request("GET", f"/executions/{quoted(id)}/result")

    def output(self, id: str, stream: str = "stdout", start: int = 0) -> dict[str, Any]:
        query = {"stream": stream, "from": start}
        return self._client.one("GET", f"/executions/{quoted(id)}/output", query=query)

    def cancel(self, id: str) -> dict[str, Any]:
        return self._client.one("POST", f"/executions/{quoted(id)}/cancel")

    def pause(self, id: str) -> dict[str, Any]:
        return self._client.one("POST", f"/executions/{quoted(id)}/pause")

    def resume(self, id: str) -> dict[str, Any]:
        return self._client.one("POST", f"/executions/{quoted(id)}/resume")

    def rerun(
        self, id: str, tasks: Sequence[str] | None = None, reset_items: bool = False
    ) -> dict[str, Any]:
        body = {"tasks": list_of(tasks or []), "reset_items": reset_items}
        return self._client.one("POST", f"/executions/{quoted(id)}/rerun", body=body)


class Rules(_Part):
    def list(self, **filters: Any) -> Entries:
        return list_of(self._client.pages("/rules", filters))

    def get(self, ref: str) -> dict[str, Any]:
        return self._client.one("GET", f"/rules/{quoted(ref)}")

    def create(self, rule: Mapping[str, Any]) -> dict[str, Any]:
        return self._client.one("POST", "/rules", body=dict(rule))

    def update(self, ref: str, rule: Mapping[str, Any]) -> dict[str, Any]:
        return self._client.one("PUT", f"/rules/{quoted(ref)}", body=dict(rule))

    def delete(self, ref: str) -> None:
        self._client.request("DELETE", f"/rules/{quoted(ref)}")


class Actions(_Part):
    def list(self, pack: str | None = None) -> Entries:
        return list_of(self._client.pages("/actions", {"pack": pack}))

    def get(self, ref: str) -> dict[str, Any]:
        return self._client.one("GET", f"/actions/{quoted(ref)}")


class Inquiries(_Part):
    def list(self, status: str | None = None) -> Entries:
        return list_of(self._client.pages("/inquiries", {"status": status}))

    def get(self, id: str) -> dict[str, Any]:
        return self._client.one("GET", f"/inquiries/{quoted(id)}")

    def answer(self, id: str, response: Any) -> dict[str, Any]:
        body = {"response": response}
        return self._client.one("POST", f"/inquiries/{quoted(id)}/answer", body=body)


class Events(_Part):
    def send(
        self,
        trigger: str,
        payload: Any = None,
        *,
        id: str | None = None,
        source: str = "millrace-sdk",
        trace_tag: str | None = None,
    ) -> dict[str, Any]:
        """One event of a trigger. `id` is its dedupe key: the same one again does nothing more."""
        event = {
            "specversion": "1.0",
            "id": id or os.urandom(16).hex(),
            "source": source,
            "type": trigger,
            "trigger": trigger,
            "data": payload,
        }
        if trace_tag:
            event["tracetag"] = trace_tag
        headers = {"Content-Type": "application/cloudevents+json"}
        return self._client.one("POST", "/events", body=event, headers=headers)


class Webhooks(_Part):
    def deliver(
        self, name: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return self._client.one("POST", f"/webhooks/{quoted(name)}", body=body, headers=headers)


def quoted(part: str) -> str:
    """One segment of a path."""
    return urllib.parse.quote(str(part), safe="")


def _as_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _decoded(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def _problem(error: urllib.error.HTTPError, method: str, path: str) -> ApiError:
    found = _decoded(error.read())
    if not isinstance(found, dict):
        found = {"detail": str(found) if found else str(error.reason)}
    message = found.get("detail") or found.get("title") or str(error.reason)
    text = f"{method} {PREFIX}{path}: {error.code} {message}"
    return ApiError(error.code, text, found.get("code", ""), found.get("errors"))
