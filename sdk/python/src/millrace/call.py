# SPDX-License-Identifier: Apache-2.0
"""What an action or a sensor is told about the call that it serves."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

    from millrace.client import Client

_current: Call | None = None


class Call:
    """One call of an action, or the life of one sensor. Made from the order on stdin."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.action: str = text(order, "action", "")
        self.pack: str = text(order, "pack", self.action.partition(".")[0])
        self.pack_path: str = text(order, "pack_path", "")
        self.entry_point: str = text(order, "entry_point", "")
        self.parameters: dict[str, Any] = a_map(order, "parameters")
        self.config: dict[str, Any] = a_map(order, "config")
        self.user: str = text(order, "user", "")
        self.log_level: str = text(order, "log_level", "DEBUG")
        self._client: Client | None = None

    @property
    def execution_id(self) -> str:
        return os.environ.get("MILLRACE_EXEC_ID", "")

    @property
    def logger(self) -> Logger:
        from millrace.logs import action_logger

        return action_logger(self.action or "action", self.log_level)

    @property
    def client(self) -> Client:
        if self._client is None:
            from millrace.client import Client

            self._client = Client()
        return self._client


def text(order: dict[str, Any], key: str, default: str) -> str:
    value = order.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"order: '{key}' is no text")
    return value


def a_map(order: dict[str, Any], key: str) -> dict[str, Any]:
    value = order.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"order: '{key}' is no map")
    return value


def current() -> Call:
    """The call that is being served. Outside of one, for example in a test, an empty one."""
    return _current if _current is not None else Call({})


def begin(call: Call | None) -> None:
    global _current
    _current = call
