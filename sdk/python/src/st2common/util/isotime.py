# SPDX-License-Identifier: Apache-2.0
"""Times in ISO 8601."""

from __future__ import annotations

import datetime
import re

from st2common.util import date

__all__ = ["format", "parse", "validate"]

_UTC = re.compile(
    r"\d{4}-\d\d-\d\d[T\s]\d\d:\d\d:\d\d(?:\.\d{3,6})?(?:Z|\+00|\+0000|\+00:00)", re.ASCII
)


def format(dt: datetime.datetime | str | int, usec: bool = True, offset: bool = True) -> str:
    """A time, a text or the seconds since 1970 as text. Without `offset`, UTC is written Z."""
    if isinstance(dt, str):
        dt = parse(dt)
    elif isinstance(dt, int):
        dt = datetime.datetime.fromtimestamp(dt, datetime.timezone.utc)
    text = dt.strftime("%Y-%m-%dT%H:%M:%S")
    if usec:
        text += f".{dt.microsecond:06d}"
    if offset:
        away = dt.strftime("%z") or "+0000"
        return f"{text}{away[:3]}:{away[3:]}"
    zone = dt.tzname() or "UTC"
    return text + ("Z" if zone == "UTC" else zone)


def validate(value: object, raise_exception: bool = True) -> bool:
    """Whether it is a time, or the text of one in UTC."""
    good = isinstance(value, datetime.datetime)
    good = good or (isinstance(value, str) and _UTC.fullmatch(value) is not None)
    if not good and raise_exception:
        raise ValueError(f"expected a time in UTC like 2026-01-31T12:00:00Z, found {value!r}")
    return good


def parse(
    value: str, preserve_original_tz: bool = False, validate_value: bool = True
) -> datetime.datetime:
    if validate_value:
        validate(value)
    return date.parse(value, preserve_original_tz=preserve_original_tz)
