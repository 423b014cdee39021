# SPDX-License-Identifier: Apache-2.0
"""Formats of aliases: `deploy {{ what }} to {{ where=staging }}`; else a regular expression."""

from __future__ import annotations

import re
from typing import Any

from st2common.exceptions.content import ParseException

__all__ = ["extract_parameters", "extract_parameters_for_action_alias_db"]

_QUOTED = r'"[^"]*"|\'[^\']*\'|\{.*?\}'
_PLACE = re.compile(
    r"(?P<space>\s*)\{\{\s*(?P<name>[^\s=}]+)\s*(?P<given>=\s*(?P<default>"
    + _QUOTED
    + r"|.*?)\s*)?\}\}",
    re.DOTALL,
)
# NAME=VALUE at the end of a command: a parameter that its format does not name.
_PAIR = re.compile(r"(?:^|\s+)([^\s=]+)\s*=\s*(" + _QUOTED + r"|\S+)\s*$", re.DOTALL)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


class _Format:
    """A format, as one regular expression and the defaults of its places."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.defaults: dict[str, str | None] = {}
        pattern = _PLACE.sub(self._place, text)
        start = "" if text.startswith(("^", "\\A")) else r"^\s*"
        end = "" if text.endswith(("$", "\\Z")) else r"\s*$"
        self.pattern = re.compile(start + pattern + end, re.DOTALL)

    def _place(self, found: re.Match[str]) -> str:
        name = found["name"]
        optional = found["given"] is not None
        self.defaults[name] = _unquoted(found["default"]) if optional else None
        whole = rf"{found['space']}(?P<{name}>{_QUOTED}|\S.*?)"
        return f"(?:{whole})?" if optional else whole

    def match(self, command: str) -> dict[str, Any]:
        pairs = {}
        found = _PAIR.search(command)
        while found:
            pairs[found[1]] = _unquoted(found[2])
            command = command[: found.start()]
            found = _PAIR.search(command)
        match = self.pattern.search(f" {command} ")
        if match is None:
            raise ParseException(f"'{command}' does not match the format '{self.text}'")
        values: dict[str, Any] = {}
        for name, value in match.groupdict().items():
            values[name] = _unquoted(value) if value is not None else None
        for name, default in self.defaults.items():
            if default is not None and not values.get(name):
                values[name] = default
        values.update(pairs)
        if self.text and not command.strip() and not any(values.values()):
            raise ParseException(f"the format '{self.text}' needs a value")
        return values


def extract_parameters(format_str: str, param_stream: str, match_multiple: bool = False) -> Any:
    """The parameters that a command gives; ParseException if it is of another form."""
    values = _Format(format_str or "").match(param_stream or "")
    return [values] if match_multiple else values


def extract_parameters_for_action_alias_db(
    action_alias_db: Any, format_str: str, param_stream: str, match_multiple: bool = False
) -> Any:
    if format_str not in action_alias_db.get_format_strings():
        raise ValueError(f"the alias '{action_alias_db.name}' has no format '{format_str}'")
    return extract_parameters(format_str, param_stream, match_multiple)
