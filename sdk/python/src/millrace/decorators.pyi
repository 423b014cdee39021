# SPDX-License-Identifier: Apache-2.0
from types import ModuleType
from typing import Any, Callable, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

class Failed(Exception):
    result: Any
    def __init__(self, message: str, result: Any = None) -> None: ...

class Mark:
    kind: str
    name: str
    poll_interval: float | None
    def __init__(self, kind: str, name: str, poll_interval: float | None = None) -> None: ...

@overload
def action(function: F) -> F: ...
@overload
def action(*, name: str | None = None) -> Callable[[F], F]: ...
@overload
def sensor(function: F) -> F: ...
@overload
def sensor(*, name: str | None = None, poll_interval: float | None = None) -> Callable[[F], F]: ...
def find_marked(module: ModuleType, kind: str, wanted: str) -> Any: ...
