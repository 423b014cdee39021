# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime
import re

__all__ = [
    "add_utc_tz",
    "append_milliseconds_to_time",
    "convert_to_utc",
    "get_datetime_utc_now",
    "parse",
]

_TIME = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T\s](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_UTC = datetime.timezone.utc


def get_datetime_utc_now() -> datetime.datetime:
    return datetime.datetime.now(_UTC)


def append_milliseconds_to_time(date: datetime.datetime, millis: float) -> datetime.datetime:
    return convert_to_utc(date) + datetime.timedelta(milliseconds=millis)


def add_utc_tz(dt: datetime.datetime) -> datetime.datetime:
    if dt.utcoffset():
        raise ValueError("the time has a zone already, and it is not UTC")
    return dt.replace(tzinfo=_UTC)


def convert_to_utc(dt: datetime.datetime) -> datetime.datetime:
    return dt.astimezone(_UTC) if dt.tzinfo else add_utc_tz(dt)


def parse(value: object, preserve_original_tz: bool = False) -> datetime.datetime:
    """A time in ISO 8601; one without a zone is UTC. Other spellings need python-dateutil."""
    dt = _iso(str(value).strip())
    if dt is None:
        import dateutil.parser  # type: ignore[import-untyped,unused-ignore]

        dt = dateutil.parser.parse(str(value))
    if not dt.tzinfo:
        dt = add_utc_tz(dt)
    return dt if preserve_original_tz else convert_to_utc(dt)


def _iso(text: str) -> datetime.datetime | None:
    found = _TIME.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micros = int((fraction or "0").ljust(6, "0")[:6])
    return datetime.datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        micros,
        _zone(zone),
    )


def _zone(text: str | None) -> datetime.tzinfo | None:
    if text is None:
        return None
    if text in "Zz":
        return _UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    away = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return datetime.timezone(-away if text[0] == "-" else away) if away else _UTC
