# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import abc
from typing import Any

from millrace.sensor_turns import TURNS

__all__ = ["PollingSensor", "Sensor"]


class BaseSensor(metaclass=abc.ABCMeta):
    def __init__(self, sensor_service: Any, config: dict[str, Any] | None = None) -> None:
        self.sensor_service = self._sensor_service = sensor_service
        self.config = self._config = config or {}

    @abc.abstractmethod
    def setup(self) -> Any:
        """Called once, before anything else."""

    @abc.abstractmethod
    def run(self) -> Any:
        """Watches, and dispatches what it sees, until it is stopped."""

    @abc.abstractmethod
    def cleanup(self) -> Any:
        """Called once, at the end."""

    @abc.abstractmethod
    def add_trigger(self, trigger: dict[str, Any]) -> Any:
        """A rule uses this trigger now."""

    @abc.abstractmethod
    def update_trigger(self, trigger: dict[str, Any]) -> Any:
        """The trigger has other parameters."""

    @abc.abstractmethod
    def remove_trigger(self, trigger: dict[str, Any]) -> Any:
        """No rule uses it any more."""


class Sensor(BaseSensor):
    """Waits by itself for what happens."""


class PollingSensor(BaseSensor):
    """Is asked every `poll_interval` seconds."""

    def __init__(
        self,
        sensor_service: Any,
        config: dict[str, Any] | None = None,
        poll_interval: float | None = 5,
    ) -> None:
        super().__init__(sensor_service=sensor_service, config=config)
        self._poll_interval = poll_interval

    @abc.abstractmethod
    def poll(self) -> Any:
        """Looks once."""

    def run(self) -> None:
        """Polls until it is stopped. Triggers are added and removed between two polls."""
        while not TURNS.stopping:
            with TURNS:
                self.poll()
            TURNS.wait(self.get_poll_interval() or 0)

    def get_poll_interval(self) -> float | None:
        return self._poll_interval

    def set_poll_interval(self, poll_interval: float) -> None:
        self._poll_interval = poll_interval
