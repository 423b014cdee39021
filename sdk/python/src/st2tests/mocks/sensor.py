# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from logging import RootLogger
from typing import Any
from unittest.mock import Mock

from millrace.call import Call
from millrace.services import SensorService
from st2common.models.api.trace import TraceContext
from st2tests.mocks.datastore import MockDatastoreService

__all__ = ["MockSensorService", "MockSensorWrapper"]


class MockSensorWrapper:
    def __init__(self, pack: str, class_name: str) -> None:
        self._pack = pack
        self._class_name = class_name


class MockSensorService(SensorService):
    """Keeps what is dispatched. Its logger is a mock: tests ask what was logged."""

    def __init__(self, sensor_wrapper: Any) -> None:
        pack, class_name = sensor_wrapper._pack, sensor_wrapper._class_name
        super().__init__(Call({"pack": pack}), class_name, None)
        self._sensor_wrapper = sensor_wrapper
        self._logger = Mock(spec=RootLogger)
        self.dispatched_triggers: list[dict[str, Any]] = []
        self.datastore_service = MockDatastoreService(self._logger, pack, class_name)

    def get_logger(self, name: str) -> Any:
        return self._logger

    def dispatch(self, trigger: str, payload: Any = None, trace_tag: str | None = None) -> Any:
        context = TraceContext(trace_tag=trace_tag) if trace_tag else None
        return self.dispatch_with_context(trigger, payload, context)

    def dispatch_with_context(
        self, trigger: str, payload: Any = None, trace_context: Any = None
    ) -> Any:
        item = {"trigger": trigger, "payload": payload, "trace_context": trace_context}
        self.dispatched_triggers.append(item)
        return item
