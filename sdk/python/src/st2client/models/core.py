# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

__all__ = ["Resource"]


class Resource:
    """An object of the API: its fields are attributes."""

    def __init__(self, *_: Any, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} has no field '{name}'")

    def to_dict(self, exclude_attributes: list[str] | None = None) -> dict[str, Any]:
        left_out = exclude_attributes or []
        fields = vars(self).items()
        return {n: v for n, v in fields if not n.startswith("__") and n not in left_out}

    def serialize(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @classmethod
    def deserialize(cls, doc: Any) -> Any:
        if not isinstance(doc, dict):
            import json

            doc = json.loads(doc)
        return cls(**doc)

    def __repr__(self) -> str:
        fields = ",".join(f"{name}={value}" for name, value in self.serialize().items())
        return f"<{type(self).__name__} {fields}>"
