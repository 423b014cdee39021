# SPDX-License-Identifier: Apache-2.0
"""Loggers of actions: to stderr, in the format that StackStorm has."""

from __future__ import annotations

import logging
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    StreamHandler = logging.StreamHandler[TextIO]
else:
    StreamHandler = logging.StreamHandler

FORMAT = "%(name)-12s: %(levelname)-8s %(message)s"
AUDIT = logging.CRITICAL + 10

_made: dict[str, logging.Logger] = {}


class _Stderr(StreamHandler):
    """Writes to what sys.stderr is at that time: a warm process has another one for each call."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def level_of(name: str) -> int:
    level = logging.getLevelName(name.upper())
    return level if isinstance(level, int) else logging.DEBUG


def action_logger(name: str, log_level: str = "DEBUG") -> logging.Logger:
    """The logger of an action class, made once; its level is that of the newest call."""
    full_name = "actions.python." + name
    logger = _made.get(full_name)
    if logger is None:
        logger = logging.getLogger(full_name)
        handler = _Stderr()
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
        _made[full_name] = logger
    level = level_of(log_level)
    if logger.level != level:
        logger.setLevel(level)
    return logger


def sensor_logging(log_level: str) -> None:
    """Everything that is logged in a sensor's process goes to stderr."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Stderr) for handler in root.handlers):
        handler = _Stderr()
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    root.setLevel(level_of(log_level))
