# SPDX-License-Identifier: Apache-2.0
"""Templates. Needs Jinja2 in the pack's environment."""

from __future__ import annotations

import json
import re
from typing import Any

import jinja2

__all__ = ["get_filters", "get_jinja_environment", "is_jinja_expression", "render_values"]

_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def _human_time(seconds: float) -> str:
    """12s, 56m0s, 2y36d10h56m12s; below one second as it is, in microseconds."""
    if 0 < seconds < 1:
        return f"{seconds}\u03bcs"
    left = round(seconds)
    if left == 0:
        return "0s"
    text = ""
    for unit, length in (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        text += f"{count}{unit}" if count or text else ""
    return text


def _from_yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _to_yaml(value: object, indent: int | None = None) -> str:
    import yaml

    return str(yaml.safe_dump(value, indent=indent, default_flow_style=False))


def get_filters() -> dict[str, Any]:
    """The filters that need nothing but Python, and PyYAML for those of YAML."""
    return {
        "from_json_string": json.loads,
        "from_yaml_string": _from_yaml,
        "json_dump": lambda value, indent=None: json.dumps(value, indent=indent),
        "json_escape": lambda value: json.dumps(value)[1:-1],
        "json_parse": json.loads,
        "regex_match": lambda value, pattern: re.match(pattern, value) is not None,
        "regex_replace": lambda value, pattern, new: re.sub(pattern, new, value),
        "regex_search": lambda value, pattern: re.search(pattern, value) is not None,
        "to_human_time_from_seconds": _human_time,
        "to_yaml_string": _to_yaml,
        "yaml_dump": _to_yaml,
        "yaml_parse": _from_yaml,
        "to_json_string": lambda value, indent=None: json.dumps(value, indent=indent),
        "use_none": lambda value: "%*****__%NONE%__*****%" if value is None else value,
    }


def get_jinja_environment(
    allow_undefined: bool = False, trim_blocks: bool = True, lstrip_blocks: bool = True
) -> Any:
    undefined = jinja2.Undefined if allow_undefined else jinja2.StrictUndefined
    environment = jinja2.Environment(
        undefined=undefined, trim_blocks=trim_blocks, lstrip_blocks=lstrip_blocks
    )
    environment.filters.update(get_filters())
    environment.tests["in"] = lambda item, items: item in items
    return environment


def is_jinja_expression(value: object) -> bool:
    return isinstance(value, str) and _EXPRESSION.search(value) is not None


def render_values(
    mapping: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    allow_undefined: bool = False,
) -> dict[str, Any]:
    """Renders the texts of a map; a map or a list is rendered as JSON and read back."""
    environment = get_jinja_environment(allow_undefined=allow_undefined)
    rendered = {}
    for key, value in (mapping or {}).items():
        if isinstance(value, str):
            rendered[key] = environment.from_string(value).render(**(context or {}))
        elif isinstance(value, (dict, list)):
            text = environment.from_string(json.dumps(value)).render(**(context or {}))
            rendered[key] = json.loads(text)
        else:
            rendered[key] = value
    return rendered
