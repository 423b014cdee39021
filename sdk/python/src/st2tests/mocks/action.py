# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from logging import RootLogger
from typing import Any
from unittest.mock import Mock

from millrace.call import Call
from millrace.services import ActionService
from st2tests.mocks.datastore import MockDatastoreService

__all__ = ["MockActionService", "MockActionWrapper"]


class MockActionWrapper:
    def __init__(self, pack: str, class_name: str) -> None:
        self._pack = pack
        self._class_name = class_name


class MockActionService(ActionService):
    def __init__(self, action_wrapper: Any) -> None:
        super().__init__(Call({"pack": action_wrapper._pack}), action_wrapper._class_name)
        self._action_wrapper = action_wrapper
        self._logger = Mock(spec=RootLogger)
        self._datastore_service = self._datastore = MockDatastoreService(
            self._logger, action_wrapper._pack, action_wrapper._class_name
        )
