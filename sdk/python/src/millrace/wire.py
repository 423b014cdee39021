# SPDX-License-Identifier: Apache-2.0
"""JSON of orders and results, without importing `json`.

`json` costs a third of an interpreter's start, most of it for regular expressions that its C parts
do not need. These C parts are used here as `json` itself uses them; where an interpreter has
others, `json` is taken.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

NAN = float("nan")
INFINITY = float("inf")


class _Reading:
    """What the C scanner asks its owner for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": NAN, "Infinity": INFINITY, "-Infinity": -INFINITY}.__getitem__
    memo: dict[str, str] = {}


def loads(data: bytes) -> Any:
    """The value of a JSON text. A text that is none is a ValueError."""
    text = data.decode("utf-8").strip(" \t\r\n")
    try:
        from _json import make_scanner

        value, end = make_scanner(_Reading)(text, 0)  # type: ignore[arg-type]
        if end == len(text):
            return value
    except (ImportError, StopIteration, TypeError, AttributeError):
        pass
    import json

    return json.loads(text)


def _encoder(default: Callable[[Any], Any]) -> Callable[[Any], str]:
    try:
        from _json import encode_basestring, make_encoder

        encode = make_encoder({}, default, encode_basestring, None, ":", ",", False, False, False)
        encode(0, 0)
    except (ImportError, TypeError):
        import json

        return json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
        ).encode
    return lambda value: "".join(encode(value, 0))


def dumps(value: Any) -> bytes:
    """JSON in UTF-8, on one line. NaN and the infinities become null.

    Dates, UUIDs, enums and dataclasses have a form; any other object is a TypeError.
    """
    encode = _encoder(_plain)
    try:
        text = encode(value)
    except ValueError as error:
        if "float" not in str(error):
            raise
        text = encode(_finite(value))
    return text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """The form of an object that JSON has none for. Imports nothing: who made a date, a UUID or
    an enum has imported its module."""
    dates = sys.modules.get("datetime")
    if dates and isinstance(value, (dates.datetime, dates.date, dates.time)):
        return value.isoformat()
    uuids = sys.modules.get("uuid")
    if uuids and isinstance(value, uuids.UUID):
        return str(value)
    enums = sys.modules.get("enum")
    if enums and isinstance(value, enums.Enum):
        return value.value
    if hasattr(type(value), "__dataclass_fields__"):
        names = type(value).__dataclass_fields__
        return {name: getattr(value, name) for name in names if not name.startswith("_")}
    raise TypeError(f"an object of {type(value).__name__} has no form in JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(element) for element in value]
    if isinstance(value, (str, int)) or value is None:
        return value
    return _finite(_plain(value))
