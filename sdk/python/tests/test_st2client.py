# SPDX-License-Identifier: Apache-2.0
"""The calls of st2client that packs make."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import TOKEN, FakeApi

from millrace.client import ApiError
from st2client.client import Client
from st2client.models import KeyValuePair
from st2client.models.action import Execution


@pytest.fixture
def client(api: FakeApi) -> Client:
    return Client(api_url=api.url + "/v1", token=TOKEN)


def test_keys(client: Client, api: FakeApi) -> None:
    made = client.keys.update(KeyValuePair(name="k", value="v"))
    assert (made.name, made.value) == ("k", "v")
    found = client.keys.get_by_name("k", decrypt=False)
    assert (found.id, found.name, found.value, found.scope) == ("k", "k", "v", "st2kv.system")
    assert client.keys.get_by_name("z") is None
    assert client.keys.get_by_id("k", params={"decrypt": "false", "scope": "system"}).value == "v"
    client.keys.update(KeyValuePair(name="u", value="w", scope="st2kv.user"))
    assert ("user:ann", "u") in api.keys
    api.keys["system", "n"] = {"scope": "system", "name": "n", "value": [1], "encrypted": False}
    assert [(key.name, key.value) for key in client.keys.get_all()] == [("k", "v"), ("n", "[1]")]
    assert [key.name for key in client.keys.get_all(prefix="n")] == ["n"]
    assert [key.name for key in client.keys.get_all(limit=1, offset=1)] == ["n"]
    assert client.keys.delete(found)
    assert client.keys.get_by_name("k") is None


def test_a_secret_key(client: Client, api: FakeApi) -> None:
    pair = KeyValuePair(name="s", value="clear")
    pair.secret = True
    pair.ttl = 9
    client.keys.update(pair)
    assert (api.keys["system", "s"]["encrypted"], api.keys["system", "s"]["ttl_s"]) == (True, 9)
    found = client.keys.get_by_name("s", decrypt=True)
    assert (found.value, found.encrypted, found.secret) == ("clear", True, True)


def test_executions(client: Client) -> None:
    made = client.executions.create(instance=Execution(action="core.echo", parameters={"m": 1}))
    found = client.executions.get_by_id(made.id)
    assert found.action == {"ref": "core.echo", "pack": "core", "name": "echo"}
    assert found.to_dict(exclude_attributes=["result"])["parameters"] == {"m": 1}
    assert found.start_timestamp == "2026-01-01T00:00:00Z"
    assert found.context["user"] == "ann"
    with pytest.warns(DeprecationWarning):
        assert len(client.liveactions.get_all(limit=10)) == 1
    assert len(client.executions.query(status="succeeded")) == 1
    assert client.executions.query(status="failed") == []
    assert client.executions.get_by_id("1") is None
    assert client.executions.pause(execution_id=made.id).status == "pausing"
    assert client.executions.resume(made.id).status == "resuming"
    assert client.executions.delete_by_id(instance_id=made.id)["status"] == "canceling"
    assert client.executions.re_run(execution_id=made.id, tasks=["t"]).original == made.id
    again = client.executions.re_run(made.id, parameters={"n": 2})
    assert again.parameters == {"m": 1, "n": 2}


RULE: dict[str, Any] = {
    "ref": "p.r", "description": "d", "enabled": False, "type": "standard",
    "trigger": {"ref": "core.st2.webhook", "parameters": {"url": "x"}},
    "criteria": {"trigger.a": {"type": "equals", "pattern": 1}},
    "action": {"ref": "core.echo", "parameters": {"message": "m"}},
}  # fmt: skip


def test_rules(client: Client, api: FakeApi) -> None:
    api.rules["p.r"] = dict(RULE)
    api.rules["q.r"] = {**RULE, "ref": "q.r"}
    api.rules["p.s"] = {**RULE, "ref": "p.s"}
    assert [rule.ref for rule in client.rules.get_all(pack="p")] == ["p.r", "p.s"]
    rule = client.rules.get_by_name(name="r", pack="p")
    assert (rule.pack, rule.name, rule.trigger["type"]) == ("p", "r", "core.st2.webhook")
    rule.enabled = True
    client.rules.update(rule)
    assert api.rules["p.r"] == {**RULE, "enabled": True}
    assert client.rules.get_by_ref_or_id("p.r").enabled
    assert client.rules.get_by_name("gone") is None
    with pytest.raises(Exception, match="2 are named 'r'"):
        client.rules.get_by_name("r")


def test_actions(client: Client) -> None:
    action = client.managers["Action"].get_by_ref_or_id("core.echo")
    assert (action.ref, action.pack, action.name) == ("core.echo", "core", "echo")
    assert list(action.parameters) == ["message"]
    assert client.actions.get_by_ref_or_id("core.gone") is None
    assert [each.ref for each in client.actions.get_all(limit=5)] == ["core.echo"]


def test_inquiries_webhooks_user(client: Client, api: FakeApi) -> None:
    client.inquiries.respond(inquiry_id="5", inquiry_response={"continue": True})
    assert api.answers == {"5": {"continue": True}}
    client.webhooks.post_generic_webhook(trigger="a.b", payload={"c": 1}, trace_tag="t")
    assert (api.events[0]["type"], api.events[0]["data"]) == ("a.b", {"c": 1})
    assert client.get_user_info()["rbac"]["is_admin"]


def test_what_is_not_there_says_so(client: Client) -> None:
    with pytest.raises(NotImplementedError, match="pack install"):
        client.packs.register(packs=["p"], types=["all"])
    with pytest.raises(NotImplementedError, match="ActionAlias"):
        client.managers["ActionAlias"].match(None)
    with pytest.raises(NotImplementedError, match="ActionManager.create"):
        client.actions.create(None)
    with pytest.raises(ApiError):
        client.sensors.get_all()


def test_the_server_of_the_run_comes_before_a_base_url(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in api.env.items():
        monkeypatch.setenv(name, value)
    assert Client(base_url="http://localhost").api.server == api.url
    assert Client().get_user_info()["username"] == "ann"
