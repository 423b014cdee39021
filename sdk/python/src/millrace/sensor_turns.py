# SPDX-License-Identifier: Apache-2.0
"""Who has the turn in a sensor's process: a poll, or a change of its triggers."""

from __future__ import annotations

# The originals: packs may patch threading and time (eventlet does), and the threads of the
# protocol must not become green.
import time
from _thread import allocate_lock
from typing import Any

_real_sleep = time.sleep
_now = time.monotonic
# How long a patched sleep lasts at most: it cannot be woken.
_SLICE_S = 0.25


class Turns:
    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._wakes = allocate_lock()
        self._wakes.acquire()
        self.stopping = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: Any) -> None:
        self._lock.release()

    def stop(self) -> None:
        """No poll begins from now on; one that waits for its time returns."""
        self.stopping = True
        try:
            self._wakes.release()
        except RuntimeError:
            pass  # it was stopped before

    def wait(self, seconds: float) -> None:
        """Until the time is over or it is stopped."""
        if time.sleep is _real_sleep:
            if not self.stopping and self._wakes.acquire(timeout=max(seconds, 0)):
                self._wakes.release()
            return
        end = _now() + seconds
        while not self.stopping:
            left = end - _now()
            time.sleep(min(max(left, 0), _SLICE_S))
            if left <= _SLICE_S:
                return


TURNS = Turns()
