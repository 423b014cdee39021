# SPDX-License-Identifier: Apache-2.0
"""Waits, and returns how long."""
import random as dice
import time

from millrace import action


@action
def pause(max_pause: int, random: bool = False) -> int:
    seconds = dice.randint(1, max(1, max_pause)) if random else max_pause
    time.sleep(seconds)
    return seconds
