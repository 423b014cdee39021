# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

__all__ = ["monkey_patch", "use_select_poll_workaround"]


def monkey_patch(patch_thread: bool | None = None) -> None:
    """By eventlet, where the pack's environment has it; StackStorm runs everything that way."""
    try:
        import eventlet
    except ImportError:
        return
    thread = True if patch_thread is None else patch_thread
    eventlet.monkey_patch(os=True, select=True, socket=True, thread=thread, time=True)


def use_select_poll_workaround(nose_only: bool = True) -> None:
    """Nothing to work around here."""
