# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import abc

from st2common.runners.pack_config import PackConfigDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

    from millrace.services import ActionService

__all__ = ["Action"]


class _Logger:
    """Made when it is first asked for: `logging` costs as much as an interpreter's start. An
    action may set its own."""

    def __get__(self, action: Any, owner: type) -> Any:
        if action is None:
            return self
        from millrace.call import current
        from millrace.logs import action_logger

        logger = action_logger(type(action).__name__, current().log_level)
        action.__dict__["logger"] = logger
        return logger


class Action(metaclass=abc.ABCMeta):
    """What a python-script action derives from."""

    description: Any = None
    if TYPE_CHECKING:
        logger: Logger
    else:
        logger = _Logger()

    def __init__(
        self, config: dict[str, Any] | None = None, action_service: ActionService | None = None
    ) -> None:
        from millrace.call import current

        self.config: dict[str, Any] = PackConfigDict(current().pack or "unknown", config or {})
        self.action_service: Any = action_service

    @abc.abstractmethod
    def run(self, **kwargs: Any) -> Any:
        """Does the work; its parameters are the action's."""
