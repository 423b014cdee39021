# SPDX-License-Identifier: Apache-2.0
"""StackStorm's client, over Millrace's API."""

from __future__ import annotations

import os
import warnings
from typing import Any

from millrace.client import Client as Api
from st2client import managers

__all__ = ["Client"]


class Client:
    """`api_url` of StackStorm's form (.../v1) is taken for the server that it names. Without one,
    the server and the token are those of the run."""

    def __init__(
        self,
        base_url: str | None = None,
        auth_url: str | None = None,
        api_url: str | None = None,
        stream_url: str | None = None,
        api_version: str | None = None,
        cacert: Any = None,
        debug: bool = False,
        token: str | None = None,
        api_key: str | None = None,
        basic_auth: str | None = None,
    ) -> None:
        self.debug = debug
        self.token = token
        self.api_key = api_key
        self.cacert = cacert if cacert is not None else os.environ.get("ST2_CACERT")
        # The server of the run comes before a base_url: packs name http://localhost there, which
        # is where StackStorm's own API would be.
        in_run = bool(os.environ.get("MILLRACE_API_URL"))
        url = api_url or (None if in_run else base_url)
        verify = self.cacert is not False
        cafile = self.cacert if isinstance(self.cacert, str) else None
        self.api = Api(url, token or api_key, cacert=cafile, verify=verify)
        keys = managers.KeyManager(self.api)
        executions = managers.ExecutionManager(self.api)
        self.managers: dict[str, Any] = {
            "Action": managers.ActionManager(self.api),
            "Execution": executions,
            "Inquiry": managers.InquiryManager(self.api),
            "KeyValuePair": keys,
            "LiveAction": executions,
            "Pack": managers.PackManager(self.api),
            "Rule": managers.RuleManager(self.api),
            "Sensor": managers.SensorManager(self.api),
            "Trigger": managers.TriggerManager(self.api),
            "TriggerInstance": managers.EventManager(self.api),
            "TriggerType": managers.TriggerManager(self.api),
            "Webhook": managers.WebhookManager(self.api),
        }
        for name in ("ActionAlias", "ActionAliasExecution"):
            self.managers[name] = managers.NoManager(name)

    def get_user_info(self, **_: Any) -> dict[str, Any]:
        who = self.api.identity()
        roles = who.get("roles", [])
        return {
            "username": who.get("identity", ""),
            "authentication": {"method": "authentication token", "location": "header"},
            "rbac": {"enabled": True, "roles": roles, "is_admin": "admin" in roles},
        }

    @property
    def actions(self) -> managers.ActionManager:
        return self.managers["Action"]  # type: ignore[no-any-return]

    @property
    def executions(self) -> managers.ExecutionManager:
        return self.managers["Execution"]  # type: ignore[no-any-return]

    @property
    def liveactions(self) -> managers.ExecutionManager:
        warnings.warn("liveactions are executions", DeprecationWarning, stacklevel=2)
        return self.executions

    @property
    def inquiries(self) -> managers.InquiryManager:
        return self.managers["Inquiry"]  # type: ignore[no-any-return]

    @property
    def keys(self) -> managers.KeyManager:
        return self.managers["KeyValuePair"]  # type: ignore[no-any-return]

    @property
    def packs(self) -> managers.PackManager:
        return self.managers["Pack"]  # type: ignore[no-any-return]

    @property
    def rules(self) -> managers.RuleManager:
        return self.managers["Rule"]  # type: ignore[no-any-return]

    @property
    def sensors(self) -> managers.SensorManager:
        return self.managers["Sensor"]  # type: ignore[no-any-return]

    @property
    def triggers(self) -> managers.TriggerManager:
        return self.managers["Trigger"]  # type: ignore[no-any-return]

    @property
    def trigger_types(self) -> managers.TriggerManager:
        return self.managers["TriggerType"]  # type: ignore[no-any-return]

    @property
    def triggerinstances(self) -> managers.EventManager:
        return self.managers["TriggerInstance"]  # type: ignore[no-any-return]

    @property
    def webhooks(self) -> managers.WebhookManager:
        return self.managers["Webhook"]  # type: ignore[no-any-return]
