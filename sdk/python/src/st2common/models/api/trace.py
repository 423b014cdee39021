# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

__all__ = ["TraceContext"]


class TraceContext:
    """What an event is traced by."""

    def __init__(self, id_: str | None = None, trace_tag: str | None = None) -> None:
        self.id_ = id_
        self.trace_tag = trace_tag

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TraceContext) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TraceContext(id_={self.id_!r}, trace_tag={self.trace_tag!r})"
