# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time

__all__ = ["sleep"]


def sleep(seconds: float) -> None:
    """By the name in `time`: eventlet puts its own there."""
    time.sleep(seconds)
