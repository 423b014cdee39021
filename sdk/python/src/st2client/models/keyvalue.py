# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from st2client.models.core import Resource

__all__ = ["KeyValuePair"]


class KeyValuePair(Resource):
    name: str
    value: Any
    scope: str
    secret: bool
    ttl: int

    @property
    def id(self) -> str:
        return self.name

    @id.setter
    def id(self, value: str) -> None:
        """StackStorm's own ids do not matter: a key is found by its name."""
