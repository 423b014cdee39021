# SPDX-License-Identifier: Apache-2.0
"""Counts the lines and words of a text."""
from millrace import Failed, action, current


@action
def measure(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"cannot read '{path}': {error}") from None
    current().logger.info("read %s", path)
    return {"lines": len(text.splitlines()), "words": len(text.split())}
