# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from fake_api import TOKEN, FakeApi

from millrace import ApiError, Client
from millrace.address import server_of


@pytest.fixture
def client(api: FakeApi) -> Client:
    return Client(api.url, TOKEN)


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/api", "/api/v1", "/api/v1/"])
def test_the_server_is_found_in_every_form_of_its_url(tail: str) -> None:
    assert server_of("https://h:8443" + tail) == "https://h:8443"


def test_keys(client: Client, api: FakeApi) -> None:
    assert client.keys.get("a.B c:d") is None
    client.keys.set("a.B c:d", {"x": 1})
    assert client.keys.get("a.B c:d") == {"x": 1}
    client.keys.set("mine", 2, scope="user", ttl_s=5)
    assert api.keys["user:ann", "mine"]["ttl_s"] == 5
    client.keys.set("s", "clear", encrypted=True)
    assert client.keys.get("s") == "********"
    assert client.keys.get("s", decrypt=True) == "clear"
    assert [key["name"] for key in client.keys.list()] == ["a.B c:d", "s", "mine"]
    assert [key["name"] for key in client.keys.list(scope="system", prefix="s")] == ["s"]
    assert client.keys.delete("s")
    assert not client.keys.delete("s")


def test_executions(client: Client) -> None:
    run = client.executions.run("core.echo", {"message": "hi"}, wait="30s", timeout_ms=5)
    assert (run["status"], run["timeout_ms"]) == ("succeeded", 5)
    assert client.executions.get(run["id"])["action"] == "core.echo"
    for _ in range(4):
        client.executions.run("core.noop")
    assert len(client.executions.list(most=None)) == 5
    assert len(client.executions.list(most=3)) == 3
    assert client.executions.cancel(run["id"])["status"] == "canceling"
    assert client.executions.rerun(run["id"], ["t"])["asked"]["tasks"] == ["t"]


def test_events_inquiries_rules_actions(client: Client, api: FakeApi) -> None:
    assert client.events.send("a.b", {"c": 1}, id="7", trace_tag="t") == {
        "event": "1", "duplicate": False,
    }  # fmt: skip
    assert api.events[0] == {
        "specversion": "1.0", "id": "7", "source": "millrace-sdk", "type": "a.b", "trigger": "a.b",
        "data": {"c": 1}, "tracetag": "t",
    }  # fmt: skip
    client.inquiries.answer("5", {"yes": True})
    assert api.answers == {"5": {"yes": True}}
    client.rules.update("p.r", {"trigger": {"ref": "a.b"}, "action": {"ref": "core.echo"}})
    assert client.rules.get("p.r")["trigger"] == {"ref": "a.b"}
    assert client.actions.list()[0]["ref"] == "core.echo"


def test_a_problem_is_an_error_with_its_code(client: Client) -> None:
    with pytest.raises(ApiError) as raised:
        client.executions.get("1")
    assert (raised.value.status, raised.value.code) == (404, "TST-0001")
    assert str(raised.value) == "GET /api/v1/executions/1: 404 not there"


def test_an_unknown_outcome_is_asked_for_again_with_the_same_key(
    client: Client, api: FakeApi
) -> None:
    api.unavailable = 2
    client.executions.run("core.noop")
    assert len(api.executions) == 1
    keys = {headers["Idempotency-Key"] for _, _, headers in api.requests}
    assert len(keys) == 1
    api.unavailable = 3
    with pytest.raises(ApiError) as raised:
        client.executions.run("core.noop")
    assert raised.value.status == 503


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MILLRACE_API_URL", "MILLRACE_URL", "ST2_ACTION_API_URL", "ST2_API_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ApiError, match="MILLRACE_API_URL is not set"):
        Client().keys.get("a")
    with pytest.raises(ApiError, match="cannot be reached") as raised:
        Client("http://127.0.0.1:1").keys.get("a")
    assert raised.value.status == 0


def test_a_proxy_does_not_see_the_token(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert Client(api.url, TOKEN).keys.get("a") is None
