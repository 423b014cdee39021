# SPDX-License-Identifier: Apache-2.0
"""Where the server is, from what a pack or the environment gives."""

from __future__ import annotations

import os


def server_of(url: str) -> str:
    """The server's root: what StackStorm's names put behind it (/v1, /api, /api/v1) is cut off."""
    url = url.rstrip("/")
    for tail in ("/v1", "/api"):
        if url.endswith(tail):
            url = url[: -len(tail)]
    return url


def from_environment() -> tuple[str | None, str | None]:
    """URL and token of this run."""
    environ = os.environ
    url = environ.get("MILLRACE_API_URL") or environ.get("ST2_ACTION_API_URL")
    url = url or environ.get("MILLRACE_URL") or environ.get("ST2_API_URL")
    token = environ.get("MILLRACE_API_TOKEN") or environ.get("ST2_ACTION_AUTH_TOKEN")
    token = token or environ.get("MILLRACE_TOKEN") or environ.get("ST2_AUTH_TOKEN")
    return (server_of(url) if url else None), token
