# SPDX-License-Identifier: Apache-2.0
"""Loggers of the standard library, with StackStorm's level AUDIT."""

from __future__ import annotations

import logging
from typing import Any

from millrace.logs import AUDIT

__all__ = ["AUDIT", "getLogger", "setup"]

logging.addLevelName(AUDIT, "AUDIT")


def getLogger(name: str) -> logging.Logger:
    logger = logging.getLogger(name)
    if not hasattr(logger, "audit"):

        def audit(message: object, *args: Any, **kwargs: Any) -> None:
            logger.log(AUDIT, message, *args, **kwargs)

        logger.audit = audit  # type: ignore[attr-defined]
    return logger


def setup(*_: Any, **__: Any) -> None:
    """Where logs go is the runtime's affair: to stderr."""
