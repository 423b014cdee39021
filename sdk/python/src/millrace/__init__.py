# SPDX-License-Identifier: Apache-2.0
"""Actions and sensors for Millrace.

Names are imported when they are first asked for: an action that needs no HTTP client does not
pay for one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from millrace.call import Call as Call
    from millrace.call import current as current
    from millrace.client import ApiError as ApiError
    from millrace.client import Client as Client
    from millrace.decorators import Failed as Failed
    from millrace.decorators import action as action
    from millrace.decorators import sensor as sensor

__all__ = ["ApiError", "Call", "Client", "Failed", "action", "current", "sensor"]

_HOMES = {
    "ApiError": "millrace.client",
    "Call": "millrace.call",
    "Client": "millrace.client",
    "Failed": "millrace.decorators",
    "action": "millrace.decorators",
    "current": "millrace.call",
    "sensor": "millrace.decorators",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'millrace' has no attribute '{name}'")
    return getattr(__import__(home, fromlist=[name]), name)
