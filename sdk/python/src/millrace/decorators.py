# SPDX-License-Identifier: Apache-2.0
"""Functions as actions and sensors.

    from millrace import action

    @action
    def greet(name: str, loud: bool = False) -> dict:
        ...

The value that it returns is the result; an exception fails the run, `Failed` with a result.
Type checkers read `decorators.pyi`: overloads need `typing`, which is slow to import.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Failed(Exception):
    """The action has failed; `result` is kept beside the message."""

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class Mark:
    """What a decorator leaves on a function, for the runtimes to find."""

    def __init__(self, kind: str, name: str, poll_interval: float | None = None) -> None:
        self.kind = kind
        self.name = name
        self.poll_interval = poll_interval


def _marked(function: Any, mark: Mark) -> Any:
    function.__millrace__ = mark
    return function


def action(function: Any = None, *, name: str | None = None) -> Any:
    """Marks a function as the action of its file; with `name`, as that one of several."""
    if function is not None:
        return _marked(function, Mark("action", name or function.__name__))
    return lambda function: _marked(function, Mark("action", name or function.__name__))


def sensor(
    function: Any = None, *, name: str | None = None, poll_interval: float | None = None
) -> Any:
    """Marks a function as a sensor. It is called with the sensor service: once, or every
    `poll_interval` seconds when one is given."""

    def mark(function: Any) -> Any:
        return _marked(function, Mark("sensor", name or function.__name__, poll_interval))

    return mark if function is None else mark(function)


def find_marked(module: Any, kind: str, wanted: str) -> Any:
    """The marked function of `module`: the one named `wanted` if there are several."""
    found = {}
    for value in list(vars(module).values()):
        # By type(): proxies (flask's request) raise when they are asked for an attribute.
        mark = value.__dict__.get("__millrace__") if type(value) is type(find_marked) else None
        if mark is not None and mark.kind == kind and value.__module__ == module.__name__:
            found[mark.name] = value
    if len(found) > 1:
        if wanted not in found:
            names = ", ".join(sorted(found))
            raise LookupError(f"none of its {kind}s is named '{wanted}': {names}")
        return found[wanted]
    return next(iter(found.values()), None)
