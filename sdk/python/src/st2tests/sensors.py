# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from st2tests.mocks.sensor import MockSensorService, MockSensorWrapper
from st2tests.pack_resource import BasePackResourceTestCase

__all__ = ["BaseSensorTestCase"]


class BaseSensorTestCase(BasePackResourceTestCase):
    sensor_cls: Any = None

    def setUp(self) -> None:
        super().setUp()
        wrapper = MockSensorWrapper(pack="tests", class_name=self.sensor_cls.__name__)
        self.sensor_service = MockSensorService(wrapper)

    def get_sensor_instance(
        self, config: dict[str, Any] | None = None, poll_interval: float | None = None
    ) -> Any:
        given: dict[str, Any] = {"sensor_service": self.sensor_service}
        if config:
            given["config"] = config
        if poll_interval is not None:
            given["poll_interval"] = poll_interval
        return self.sensor_cls(**given)

    def get_dispatched_triggers(self) -> list[dict[str, Any]]:
        return self.sensor_service.dispatched_triggers

    def get_last_dispatched_trigger(self) -> dict[str, Any]:
        return self.sensor_service.dispatched_triggers[-1]

    def assertTriggerDispatched(
        self, trigger: str, payload: Any = None, trace_context: Any = None
    ) -> bool:
        """That an event of it is there; with payload or context, one that has just these."""
        wanted = {"trigger": trigger}
        if payload:
            wanted["payload"] = payload
        if trace_context:
            wanted["trace_context"] = trace_context
        for item in self.get_dispatched_triggers():
            if all(item[name] == value for name, value in wanted.items()):
                return True
        raise AssertionError(
            f"no event of '{trigger}' like {wanted} among {self.get_dispatched_triggers()}"
        )
