# SPDX-License-Identifier: Apache-2.0
"""Runs one call and says what came of it."""

from __future__ import annotations

import os
import sys

from millrace import call as calls
from millrace import decorators, loading, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from millrace.call import Call

# What StackStorm's runner exits with when the first of a returned pair is no bool.
NO_STATUS_EXIT_CODE = 220

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# A release never changes: a warm process loads each file once.
_loaded: dict[str, Any] = {}


class Outcome:
    """What goes to the result descriptor, and the code that the process ends with."""

    def __init__(
        self, succeeded: bool, result: bytes = b"null", error: Any = None, exit_code: int = 0
    ) -> None:
        self.succeeded = succeeded
        self.result = result
        self.error = error
        self.exit_code = exit_code

    def frame(self) -> bytes:
        frame = b'{"status":"%s","result":%s' % (
            b"succeeded" if self.succeeded else b"failed",
            self.result,
        )
        if self.error is not None:
            frame += b',"error":' + wire.dumps(self.error)
        return frame + b"}"


def as_json(result: Any) -> bytes:
    """A result that has no form in JSON becomes its text, as in StackStorm."""
    try:
        return wire.dumps(result)
    except (TypeError, ValueError, RecursionError):
        return wire.dumps(str(result))


def load(call: Call, base_path: list[str]) -> Any:
    """The function or the class that the call is for."""
    entry = os.path.join(call.pack_path, "actions", call.entry_point)
    loading.set_path(call.pack_path, "actions", entry, base_path)
    key = entry + "\0" + call.action
    found = _loaded.get(key)
    if found is None:
        module = loading.load_file(entry)
        found = decorators.find_marked(module, "action", call.action.partition(".")[2])
        if found is None:
            found = loading.find_action_class(module)
        if found is None:
            raise LookupError(f"'{entry}' has no subclass of Action and no function with @action")
        _loaded[key] = found
    return found


def _bound(call: Call, found: Any) -> Callable[..., Any]:
    if not isinstance(found, type):
        return found  # type: ignore[no-any-return]
    from millrace.services import ActionService

    instance = loading.make_action(found, call.config, ActionService(call, found.__name__))
    return instance.run  # type: ignore[no-any-return]


def run(call: Call, base_path: list[str]) -> Outcome:
    """Loads and runs. Whatever is raised becomes an outcome; a traceback goes to stderr."""
    calls.begin(call)
    try:
        found = load(call, base_path)
        value = _bound(call, found)(**call.parameters)
        if isinstance(found, type):
            return _of_class(value)
        return Outcome(True, as_json(value))
    except SystemExit as stop:
        code = exit_code_of(stop.code)
        error = None if code == 0 else {"type": "SystemExit", "message": f"exited with {code}"}
        return Outcome(code == 0, error=error, exit_code=code)
    except BaseException as error:
        tell(error)
        result = as_json(error.result) if isinstance(error, decorators.Failed) else b"null"
        described = {"type": type(error).__name__, "message": message_of(error)}
        return Outcome(False, result, described, 1)
    finally:
        calls.begin(None)


def _of_class(value: Any) -> Outcome:
    """StackStorm's convention: a pair is (status, result), anything else a result."""
    if not (isinstance(value, tuple) and len(value) == 2):
        return Outcome(True, as_json(value))
    status, result = value
    if status is None or isinstance(status, bool):
        return Outcome(status is not False, as_json(result))
    message = (
        f"run() returned a pair whose first is {type(status).__name__} {status!r}; expected True "
        "or False, the second is the result. Return (True, (a, b)) or a list for two values."
    )
    sys.stderr.write(message + "\n")
    error = {"type": "ValueError", "message": message}
    return Outcome(False, error=error, exit_code=NO_STATUS_EXIT_CODE)


def exit_code_of(code: Any) -> int:
    """What sys.exit(code) makes the process end with."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"{type(error).__name__} whose text cannot be made"


def tell(error: BaseException) -> None:
    """The traceback to stderr, from the pack's own first frame on."""
    trace = error.__traceback__
    while trace is not None and (
        trace.tb_frame.f_code.co_filename.startswith((_HERE, "<frozen importlib"))
    ):
        trace = trace.tb_next
    if trace is not None:
        error.__traceback__ = trace
    try:
        sys.__excepthook__(type(error), error, error.__traceback__)
    except Exception:
        sys.stderr.write(f"{type(error).__name__}: {message_of(error)}\n")
