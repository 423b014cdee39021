# SPDX-License-Identifier: Apache-2.0
"""What is asked for in StackStorm's packages and not there says why."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PACKAGES = ("st2actions.", "st2client.", "st2common.", "st2reactor.", "st2tests.")


class _Internal:
    """Stands last on sys.meta_path: whatever comes here was found nowhere."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith(PACKAGES):
            # No ModuleNotFoundError: `from st2common import x` would hide it.
            raise ImportError(
                f"'{name}' belongs to the inside of StackStorm's platform, which is not here: "
                "Millrace has the names that packs use (sdk/python/README.md lists them).",
                name=name,
            )


def announce() -> None:
    if _Internal not in sys.meta_path:
        sys.meta_path.append(_Internal)
