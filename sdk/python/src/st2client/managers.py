# SPDX-License-Identifier: Apache-2.0
"""One manager for each kind of object: StackStorm's calls and shapes over Millrace's API."""

from __future__ import annotations

import json
from typing import Any

from millrace.client import ApiError, Client
from st2client import models

MOST = 100
# StackStorm's names of fields that are filters of our list of executions.
_EXECUTION_FILTERS = ("status", "action", "parent")


def _merged(params: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a call: those of `params` too, without what tells who asks."""
    given = {**(params or {}), **more}
    for name in ("token", "api_key", "user", "headers"):
        given.pop(name, None)
    return given


def _none_if_absent(ask: Any, *args: Any) -> Any:
    try:
        return ask(*args)
    except ApiError as error:
        if error.status != 404:
            raise
        return None


class Manager:
    """The shape that all have. What a kind cannot do says so."""

    resource: type[models.Resource] = models.Resource

    def __init__(self, api: Client) -> None:
        self._api = api

    def get_all(self, **kwargs: Any) -> list[Any]:
        limit = kwargs.pop("limit", None) or MOST
        offset = kwargs.pop("offset", 0) or 0
        filters = _merged(kwargs.pop("params", None), kwargs)
        most = None if limit == -1 else offset + limit
        return [self._made(each) for each in self._list(filters, most)][offset:]

    def query(self, **kwargs: Any) -> list[Any]:
        if not kwargs:
            raise Exception("a query needs a parameter")
        return self.get_all(**kwargs)

    def query_with_count(self, **kwargs: Any) -> tuple[list[Any], int]:
        found = self.query(**kwargs)
        return found, len(found)

    def get_by_id(self, id: str, **kwargs: Any) -> Any:
        found = _none_if_absent(self._get, str(id))
        return None if found is None else self._made(found)

    def get_by_ref_or_id(self, ref_or_id: str, **kwargs: Any) -> Any:
        return self.get_by_id(ref_or_id, **kwargs)

    def get_by_name(self, name: str, **kwargs: Any) -> Any:
        found = [each for each in self.get_all(limit=-1, **kwargs) if each.name == name]
        if len(found) > 1:
            raise Exception(f"{len(found)} are named '{name}'")
        return found[0] if found else None

    def create(self, instance: Any, **kwargs: Any) -> Any:
        raise self._cannot("create")

    def update(self, instance: Any, **kwargs: Any) -> Any:
        raise self._cannot("update")

    def delete(self, instance: Any, **kwargs: Any) -> bool:
        raise self._cannot("delete")

    def delete_by_id(self, instance_id: str, **kwargs: Any) -> Any:
        raise self._cannot("delete_by_id")

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        raise self._cannot("get_all")

    def _get(self, id: str) -> Any:
        raise self._cannot("get_by_id")

    def _made(self, entry: dict[str, Any]) -> Any:
        return self.resource(**entry)

    def _cannot(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"st2client: Millrace has no {type(self).__name__}.{what}")


class NoManager:
    """Of a kind that Millrace has no API for yet."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(f"st2client: Millrace has no API for {self._kind} ({name})")


def _with_names(entry: dict[str, Any]) -> dict[str, Any]:
    """`pack` and `name` beside `ref`."""
    pack, _, name = str(entry.get("ref", "")).partition(".")
    return {**entry, "pack": entry.get("pack") or pack, "name": name}


class ActionManager(Manager):
    resource = models.Action

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        return self._api.pages("/actions", {"pack": filters.get("pack")}, most)

    def _get(self, id: str) -> Any:
        return self._api.actions.get(id)

    def _made(self, entry: dict[str, Any]) -> Any:
        made = _with_names(entry)
        made["id"] = made["ref"]
        made.setdefault("enabled", True)
        parameters = made.get("parameters")
        if isinstance(parameters, list):
            made["parameters"] = {each.get("name"): each for each in parameters}
        return models.Action(**made)


class ExecutionManager(Manager):
    resource = models.Execution

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        query = {name: filters[name] for name in _EXECUTION_FILTERS if filters.get(name)}
        return self._api.pages("/executions", query, most)

    def _get(self, id: str) -> Any:
        return self._api.executions.get(id)

    def _made(self, entry: dict[str, Any]) -> Any:
        pack, _, name = str(entry.get("action", "")).partition(".")
        made = {**entry, "action": {"ref": entry.get("action"), "pack": pack, "name": name}}
        made["start_timestamp"] = entry.get("started") or entry.get("created")
        made["end_timestamp"] = entry.get("ended")
        made["context"] = {"user": entry.get("identity", ""), "pack": pack}
        for name, default in (("parameters", {}), ("result", {}), ("parent", None)):
            if made.get(name) is None:
                made[name] = default
        made["liveaction"] = {"id": entry.get("id"), "action": entry.get("action")}
        return models.Execution(**made)

    def create(self, instance: Any, **kwargs: Any) -> Any:
        action = instance.action
        action = action.get("ref") if isinstance(action, dict) else action
        parameters = getattr(instance, "parameters", None)
        return self._made(self._api.executions.run(str(action), parameters))

    def delete_by_id(self, instance_id: str, **kwargs: Any) -> Any:
        """Cancels it."""
        return self._made(self._api.executions.cancel(str(instance_id))).to_dict()

    def delete(self, instance: Any, **kwargs: Any) -> bool:
        self._api.executions.cancel(str(instance.id))
        return True

    def pause(self, execution_id: str, **kwargs: Any) -> Any:
        return self._made(self._api.executions.pause(str(execution_id)))

    def resume(self, execution_id: str, **kwargs: Any) -> Any:
        return self._made(self._api.executions.resume(str(execution_id)))

    def re_run(
        self,
        execution_id: str,
        parameters: dict[str, Any] | None = None,
        tasks: list[str] | None = None,
        no_reset: list[str] | None = None,
        delay: int = 0,
        **kwargs: Any,
    ) -> Any:
        """With other parameters it is a new run of the action, with these in place."""
        if set(no_reset or []) - set(tasks or []):
            raise ValueError("a task that is not run again cannot keep its items")
        if parameters:
            before = self._api.executions.get(str(execution_id))
            given = {**(before.get("parameters") or {}), **parameters}
            return self._made(self._api.executions.run(before["action"], given))
        reset = bool(tasks) and not no_reset
        return self._made(self._api.executions.rerun(str(execution_id), tasks, reset))

    def get_output(self, execution_id: str, output_type: str | None = None, **_: Any) -> str:
        return str(self._api.executions.output(str(execution_id), output_type or "stdout")["data"])

    def get_result(self, execution_id: str, **_: Any) -> str:
        return json.dumps(self._api.executions.result(str(execution_id)))

    def get_children(self, execution_id: str, **_: Any) -> list[Any]:
        return [self._made(each) for each in self._api.executions.children(str(execution_id))]


class InquiryManager(Manager):
    resource = models.Inquiry

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        return self._api.pages("/inquiries", {"status": filters.get("status")}, most)

    def _get(self, id: str) -> Any:
        return self._api.inquiries.get(id)

    def respond(self, inquiry_id: str, inquiry_response: Any, **_: Any) -> Any:
        return self._made(self._api.inquiries.answer(str(inquiry_id), inquiry_response))


class KeyManager(Manager):
    """Values are texts, as in StackStorm: one that is not is given as JSON."""

    resource = models.KeyValuePair

    def get_all(self, **kwargs: Any) -> list[Any]:
        given = _merged(kwargs.pop("params", None), kwargs)
        limit, offset = given.get("limit") or MOST, given.get("offset") or 0
        scope = _scope(given.get("scope"), self._api)
        found = self._api.keys.list(scope=scope, prefix=given.get("prefix") or "")
        end = None if limit == -1 else offset + limit
        return [self._made(each) for each in found[offset:end]]

    def get_by_name(self, name: str, **kwargs: Any) -> Any:
        given = _merged(kwargs.pop("params", None), kwargs)
        decrypt = str(given.get("decrypt", False)).lower() == "true"
        scope = _scope(given.get("scope"), self._api) or "system"
        found = self._api.keys.find(name, scope=scope, decrypt=decrypt)
        return None if found is None else self._made(found)

    def get_by_id(self, id: str, **kwargs: Any) -> Any:
        return self.get_by_name(id, **kwargs)

    def create(self, instance: Any, **kwargs: Any) -> Any:
        return self.update(instance, **kwargs)

    def update(self, instance: Any, **kwargs: Any) -> Any:
        fields = vars(instance)
        written = self._api.keys.set(
            instance.name,
            instance.value,
            scope=_scope(fields.get("scope"), self._api) or "system",
            encrypted=bool(fields.get("secret")),
            ttl_s=fields.get("ttl"),
        )
        return self._made({"name": instance.name, "value": instance.value, **written})

    def delete(self, instance: Any, **kwargs: Any) -> bool:
        given = _merged(kwargs.pop("params", None), kwargs)
        scope = _scope(given.get("scope") or vars(instance).get("scope"), self._api)
        self._api.keys.delete(instance.name, scope=scope or "system")
        return True

    def delete_by_id(self, instance_id: str, **kwargs: Any) -> Any:
        return self.delete(models.KeyValuePair(name=instance_id), **kwargs)

    def _made(self, entry: dict[str, Any]) -> Any:
        value = entry.get("value")
        if value is not None and not isinstance(value, str):
            value = json.dumps(value)
        return models.KeyValuePair(
            name=entry["name"],
            value=value,
            scope="st2kv." + str(entry.get("scope", "system")).partition(":")[0],
            secret=bool(entry.get("encrypted")),
            encrypted=bool(entry.get("encrypted")),
            expire_timestamp=entry.get("expires"),
        )


def _scope(given: str | None, api: Client) -> str | None:
    """StackStorm's scopes: system and user, with or without `st2kv.` before them."""
    if given is None or given == "all":
        return None if given == "all" else "system"
    if given.startswith("st2kv."):
        given = given[len("st2kv.") :]
    return api.keys.full_scope(given)


class PackManager(Manager):
    resource = models.Pack

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        return self._api.pages("/packs", None, most)

    def _get(self, id: str) -> Any:
        return self._api.one("GET", f"/packs/{id}")

    def _made(self, entry: dict[str, Any]) -> Any:
        return models.Pack(**{"name": entry.get("ref"), **entry})

    def register(self, packs: Any = None, types: Any = None, **_: Any) -> Any:
        raise NotImplementedError(
            "st2client: packs are loaded by `millrace pack install` and `pack reload`, not by "
            "packs.register"
        )


class RuleManager(Manager):
    resource = models.Rule

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        pack = filters.get("pack")
        rules = self._api.pages("/rules")
        found = (rule for rule in rules if pack is None or _with_names(rule)["pack"] == pack)
        return (rule for rule, _ in zip(found, range(most if most is not None else 1 << 30)))

    def _get(self, id: str) -> Any:
        return self._api.rules.get(id)

    def _made(self, entry: dict[str, Any]) -> Any:
        made = _with_names(entry)
        made["id"] = made["ref"]
        trigger = entry.get("trigger") or {}
        made["trigger"] = {**trigger, "type": trigger.get("ref")}
        made["type"] = {"ref": entry.get("type", "standard"), "parameters": {}}
        made["tags"] = []
        return models.Rule(**made)

    def create(self, instance: Any, **kwargs: Any) -> Any:
        return self._made(self._api.rules.create(_rule_input(instance)))

    def update(self, instance: Any, **kwargs: Any) -> Any:
        rule = _rule_input(instance)
        return self._made(self._api.rules.update(rule["ref"], rule))

    def delete(self, instance: Any, **kwargs: Any) -> bool:
        self._api.rules.delete(_rule_input(instance)["ref"])
        return True


def _rule_input(rule: Any) -> dict[str, Any]:
    fields = vars(rule)
    trigger = fields.get("trigger") or {}
    kind = fields.get("type") or "standard"
    wanted: dict[str, Any] = {
        "ref": fields.get("ref") or f"{fields.get('pack', 'default')}.{fields.get('name')}",
        "description": fields.get("description") or "",
        "enabled": bool(fields.get("enabled", True)),
        "type": kind.get("ref", "standard") if isinstance(kind, dict) else kind,
        "trigger": {
            "ref": trigger.get("type") or trigger.get("ref"),
            "parameters": trigger.get("parameters") or {},
        },
        "action": {
            "ref": fields["action"]["ref"],
            "parameters": fields["action"].get("parameters") or {},
        },
    }
    if fields.get("criteria"):
        wanted["criteria"] = fields["criteria"]
    if fields.get("trace_tag"):
        wanted["trace_tag"] = fields["trace_tag"]
    return wanted


class SensorManager(Manager):
    resource = models.Sensor

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        return self._api.pages("/sensors", {"pack": filters.get("pack")}, most)

    def _get(self, id: str) -> Any:
        return self._api.one("GET", f"/sensors/{id}")

    def _made(self, entry: dict[str, Any]) -> Any:
        return models.Sensor(**{"enabled": True, **_with_names(entry), "id": entry.get("ref")})


class TriggerManager(Manager):
    resource = models.TriggerType

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        return self._api.pages("/triggers", {"pack": filters.get("pack")}, most)

    def _get(self, id: str) -> Any:
        return self._api.one("GET", f"/triggers/{id}")

    def _made(self, entry: dict[str, Any]) -> Any:
        return models.TriggerType(**{**_with_names(entry), "id": entry.get("ref")})


class EventManager(Manager):
    resource = models.TriggerInstance

    def _list(self, filters: dict[str, Any], most: int | None) -> Any:
        return self._api.pages("/events", {"trigger": filters.get("trigger")}, most)

    def _get(self, id: str) -> Any:
        return self._api.one("GET", f"/events/{id}")

    def re_emit(self, trigger_instance_id: str, **_: Any) -> Any:
        return self._api.one("POST", f"/events/{trigger_instance_id}/replay")


class WebhookManager(Manager):
    resource = models.Webhook

    def post_generic_webhook(
        self, trigger: str, payload: Any = None, trace_tag: str | None = None, **_: Any
    ) -> Any:
        self._api.events.send(trigger, payload or {}, source="st2client", trace_tag=trace_tag)
        return {"trigger": trigger, "payload": payload or {}}
