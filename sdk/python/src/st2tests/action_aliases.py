# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import glob
import os
from typing import Any

from st2common.exceptions.content import ParseException
from st2common.models.utils.action_alias_utils import (
    extract_parameters,
    extract_parameters_for_action_alias_db,
)
from st2tests.pack_resource import BasePackResourceTestCase

__all__ = ["BaseActionAliasTestCase"]


class _Alias:
    """An alias as its file tells it. A key that is missing is None."""

    def __init__(self, fields: dict[str, Any]) -> None:
        vars(self).update(fields)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

    def get_format_strings(self) -> list[str]:
        found: list[str] = []
        for each in self.formats or []:
            found += each.get("representation", []) if isinstance(each, dict) else [each]
        return found


class BaseActionAliasTestCase(BasePackResourceTestCase):
    """Needs PyYAML in the pack's environment."""

    action_alias_name: str | None = None
    action_alias_db: Any = None

    def setUp(self) -> None:
        super().setUp()
        if not self.action_alias_name:
            raise ValueError(f"{type(self).__name__} has no action_alias_name")
        self.action_alias_db = self._get_action_alias_db_by_name(self.action_alias_name)

    def assertCommandMatchesExactlyOneFormatString(
        self, format_strings: list[str], command: str
    ) -> None:
        matched = []
        for each in format_strings:
            try:
                extract_parameters(each, command)
            except ParseException:
                continue
            matched.append(each)
        if len(matched) != 1:
            raise AssertionError(f"'{command}' is of {len(matched)} of the formats: {matched}")

    def assertExtractedParametersMatch(
        self, format_string: str, command: str, parameters: dict[str, Any]
    ) -> None:
        found = extract_parameters_for_action_alias_db(self.action_alias_db, format_string, command)
        self.assertEqual(found, parameters, f"'{command}' by the format '{format_string}'")

    def _get_action_alias_db_by_name(self, name: str) -> Any:
        import yaml

        folder = os.path.join(self._get_base_pack_path(), "aliases")
        for path in sorted(glob.glob(os.path.join(folder, "*.yaml"))):
            with open(path, encoding="utf-8") as file:
                fields = yaml.safe_load(file)
            if isinstance(fields, dict) and fields.get("name") == name:
                return _Alias(fields)
        raise ValueError(f"'{folder}' has no alias named '{name}'")
