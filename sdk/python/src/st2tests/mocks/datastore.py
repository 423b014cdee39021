# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from millrace.services import SYSTEM_SCOPE, DatastoreService
from st2client.models import KeyValuePair

__all__ = ["MockDatastoreService"]


class MockDatastoreService(DatastoreService):
    """Keys in memory. Nothing expires, and nothing is encrypted."""

    def __init__(
        self, logger: Any, pack_name: str, class_name: str, api_username: str = "admin"
    ) -> None:
        super().__init__(logger, pack_name, class_name)
        self._username = api_username
        self._datastore_items: dict[str, KeyValuePair] = {}

    def get_user_info(self) -> dict[str, Any]:
        return {
            "username": self._username,
            "authentication": {"method": "authentication token", "location": "header"},
            "rbac": {"enabled": True, "roles": ["admin"], "is_admin": True},
        }

    def list_values(
        self,
        local: bool = True,
        prefix: str | None = None,
        limit: int | None = None,
        offset: int | None = 0,
        scope: str = SYSTEM_SCOPE,
    ) -> list[KeyValuePair]:
        start = self._full_name(prefix or "", local)
        return [pair for name, pair in self._datastore_items.items() if name.startswith(start)]

    def get_value(
        self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE, decrypt: bool = False
    ) -> Any:
        pair = self._datastore_items.get(self._full_name(name, local))
        return None if pair is None else pair.value

    def set_value(
        self,
        name: str,
        value: object,
        ttl: int | None = None,
        local: bool = True,
        scope: str = SYSTEM_SCOPE,
        encrypt: bool = False,
    ) -> bool:
        name = self._full_name(name, local)
        pair = KeyValuePair(name=name, value=value)
        if ttl:
            pair.ttl = ttl
        self._datastore_items[name] = pair
        return True

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        return self._datastore_items.pop(self._full_name(name, local), None) is not None
