# SPDX-License-Identifier: Apache-2.0
"""`python3 -m millrace.runtime`: runs one action, or with --serve one after another.

The protocol stands in sdk/python/README.md.
"""

from __future__ import annotations

import os
import sys

# Kept as they are now: packs may patch them (eventlet does).
_read = os.read
_write = os.write
_close = os.close

if __name__ == "__main__":
    # The folder that stands first is the caller's (-m) or this file's own: no place for imports of
    # a pack.
    _home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    if _home not in sys.path:
        sys.path.insert(0, _home)

from millrace import running, wire  # noqa: E402
from millrace.call import Call  # noqa: E402


def read_all(descriptor: int) -> bytes:
    parts: list[bytes] = []
    while True:
        part = _read(descriptor, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_write(descriptor, view) :]


def take_descriptor(name: str) -> int | None:
    """The descriptor whose number the variable gives. Children of the action see neither."""
    number = os.environ.pop(name, None)
    if number is None:
        return None
    descriptor = int(number)
    os.set_inheritable(descriptor, False)
    return descriptor


def read_order(data: bytes) -> Call:
    order = wire.loads(data)
    if not isinstance(order, dict):
        raise ValueError("order: expected one JSON object on stdin")
    return Call(order)


def set_stackstorm_names(call: Call) -> None:
    """The variables that packs of StackStorm read, where the worker has not set them."""
    environ = os.environ
    url = environ.get("MILLRACE_API_URL")
    if url:
        from millrace.address import server_of

        environ.setdefault("ST2_ACTION_API_URL", server_of(url) + "/v1")
    for ours, theirs in (("API_TOKEN", "AUTH_TOKEN"), ("EXEC_ID", "EXECUTION_ID")):
        value = environ.get("MILLRACE_" + ours)
        if value:
            environ.setdefault("ST2_ACTION_" + theirs, value)
    environ.setdefault("ST2_ACTION_PACK_NAME", call.pack)


def run_once() -> int:
    descriptor = take_descriptor("MILLRACE_RESULT_FD")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        call = read_order(read_all(0))
        set_stackstorm_names(call)
    except ValueError as error:
        sys.stderr.write(f"millrace.runtime: {error}\n")
        outcome = running.Outcome(False, error={"type": "OrderError", "message": str(error)})
        outcome.exit_code = 2
    else:
        outcome = running.run(call, list(sys.path))
    if descriptor is None:
        sys.stdout.flush()
        write_all(1, outcome.frame() + b"\n")
    else:
        write_all(descriptor, outcome.frame())
        _close(descriptor)
    return outcome.exit_code


def main() -> int:
    if "--serve" in sys.argv[1:]:
        from millrace.serve import serve

        return serve()
    return run_once()


if __name__ == "__main__":
    sys.exit(main())
