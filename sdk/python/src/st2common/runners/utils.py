# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from logging import Logger
from typing import Any

from millrace.loading import make_action
from millrace.logs import action_logger
from st2common.runners.pack_config import PackConfigDict

__all__ = ["PackConfigDict", "get_action_class_instance", "get_logger_for_python_runner_action"]


def get_logger_for_python_runner_action(action_name: str, log_level: str = "debug") -> Logger:
    return action_logger(action_name, log_level)


def get_action_class_instance(
    action_cls: type, config: dict[str, Any] | None = None, action_service: Any = None
) -> Any:
    return make_action(action_cls, config or {}, action_service)
