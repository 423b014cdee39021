# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Base = dict[str, Any]
else:
    Base = dict


class PackConfigDict(Base):
    """A pack's configuration. A key that is missing is a ValueError, as in StackStorm."""

    def __init__(self, pack_name: str, *args: Any) -> None:
        super().__init__(*args)
        self._pack_name = pack_name

    def __missing__(self, key: str) -> Any:
        raise ValueError(
            f"the configuration of pack '{self._pack_name}' has no '{key}'; "
            f"set it: millrace pack config set {self._pack_name} {key}=..."
        )
