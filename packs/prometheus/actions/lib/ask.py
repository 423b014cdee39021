# SPDX-License-Identifier: Apache-2.0
"""One request to Prometheus or Alertmanager."""
import json
import urllib.error
import urllib.parse
import urllib.request

from millrace import Failed, current

DEFAULTS = {"url": "http://localhost:9090", "alertmanager_url": "http://localhost:9093"}


def ask(server, path, form=None, body=None):
    """The decoded answer. `server` is the key of the configuration that holds the URL."""
    config = current().config
    base = config.get(server) or DEFAULTS[server]
    headers = {"Accept": "application/json"}
    if config.get("token"):
        headers["Authorization"] = f"Bearer {config['token']}"
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    else:
        # As a form, and not in the URL: a query may be long.
        data = urllib.parse.urlencode({k: v for k, v in form.items() if v is not None}).encode()
    request = urllib.request.Request(base.rstrip("/") + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=config.get("timeout", 30)) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failed(f"{base} answered {error.code}: {_reason(error.read())}") from None
    except urllib.error.URLError as error:
        raise Failed(f"{base} cannot be reached: {error.reason}") from None


def _reason(text):
    """Prometheus explains in JSON, what stands before it may not."""
    try:
        return json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text[:500].decode("utf-8", "replace")
