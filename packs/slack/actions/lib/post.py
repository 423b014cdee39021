# SPDX-License-Identifier: Apache-2.0
"""One POST of JSON to Slack."""
import json
import time
import urllib.error
import urllib.request

from millrace import Failed, current

TIMEOUT_S = 30
TRIES = 3
LONGEST_WAIT_S = 60


def post(url, body, token=None):
    """The answer's text. Waits and tries again when Slack says that it is too much (429)."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace")
            if error.code != 429 or not left:
                raise Failed(f"Slack answered {error.code}: {said}") from None
            wait_s = min(int(error.headers.get("Retry-After", "1")), LONGEST_WAIT_S)
            current().logger.info("too many requests: again in %d s", wait_s)
            time.sleep(wait_s)
        except urllib.error.URLError as error:
            # Without the URL: an incoming webhook's is a secret.
            raise Failed(f"Slack cannot be reached: {error.reason}") from None
    raise AssertionError("unreachable")


def message(text, blocks=None, **more):
    """The body of a message; what is not given is not there."""
    body = {"text": text, "blocks": blocks, **more}
    return {key: value for key, value in body.items() if value is not None}
