# SPDX-License-Identifier: Apache-2.0
"""A StackStorm, as far as `millrace import st2` asks it. Written after st2's openapi.yaml
(c2eaf56b): its routes, what they take, how they page, and that only administrators see secrets. No
StackStorm ran here.
"""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

FIELDS = ["exclude_attributes", "include_attributes"]
PAGE = ["limit", "offset"]
# What each route takes in its query. StackStorm ignores other words, which hides mistakes: here
# they are errors. Rules have no `offset` there.
ROUTES = {
    "packs": [*FIELDS, *PAGE, "sort", "id", "name", "ref"],
    "packs/index": [],
    "configs": [*PAGE, "sort", "id", "name", "show_secrets"],
    "keys": [*PAGE, "sort", "id", "name", "prefix", "scope", "decrypt", "user"],
    "rules": [*FIELDS, "limit", "id", "name", "pack", "action", "trigger", "enabled",
              "show_secrets"],
    "actionalias": [*FIELDS, *PAGE, "sort", "name", "pack"],
    "policies": [*FIELDS, *PAGE, "pack", "name"],
    "apikeys": [*PAGE, "show_secrets"],
}
LARGEST_PAGE = 100
MASK = "********"
API_KEY, TOKEN = "an-api-key", "a-token"


def rule(pack, name, on, action, parameters=None, **more):
    return {
        "id": "5f0000000000000000000001", "uid": f"rule:{pack}:{name}", "pack": pack, "name": name,
        "ref": f"{pack}.{name}", "description": "", "enabled": True, "tags": [], "context": {},
        "type": {"ref": "standard", "parameters": {}}, "criteria": {}, "metadata_file": "",
        "trigger": {"type": on, "ref": on, "parameters": {}},
        "action": {"ref": action, "parameters": parameters or {}}, **more,
    }


def key(name, value, user=None, secret=False, **more):
    scope = {"scope": "st2kv.user", "user": user} if user else {"scope": "st2kv.system"}
    return {"id": "5f0000000000000000000002", "uid": f"key_value_pair:{name}", "name": name,
            "value": value, "secret": secret, "encrypted": secret, **scope, **more}


class FakeStackstorm:
    """Who asks with API_KEY or TOKEN is `st2admin`."""

    def __init__(self):
        self.packs = []
        self.configs = []  # {pack, values}, with the names of secrets beside
        self.secret_names = set()
        self.keys = []
        self.rules = []
        self.aliases = []
        self.policies = []
        self.api_keys = []
        self.index = {}
        self.is_admin = True
        self.asked = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.fake = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def answer(self, name, query):
        if name == "packs/index":
            return {"status": [], "index": self.index}
        rows = {"packs": self.packs, "configs": self.shown_configs(query), "rules": self.rules,
                "keys": self.shown_keys(query), "actionalias": self.aliases,
                "policies": self.policies, "apikeys": self.api_keys}[name]
        start, limit = int(query.get("offset", 0)), int(query.get("limit", LARGEST_PAGE))
        return rows[start:] if limit == -1 else rows[start:start + limit]

    def shown_configs(self, query):
        def shown(values):
            return {name: MASK if name in self.secret_names else value
                    for name, value in values.items()}

        if query.get("show_secrets") == "true":
            return self.configs
        return [{**each, "values": shown(each["values"])} for each in self.configs]

    def shown_keys(self, query):
        """One scope at a time, and of users the one that is named."""
        is_user = query.get("scope") == "user" or "user" in query
        user = query.get("user", "st2admin")
        found = [each for each in self.keys
                 if (each.get("user") == user if is_user else "user" not in each)]
        if query.get("decrypt") == "true":
            return [{**each, "encrypted": False} for each in found]
        return [{**each, "value": "0A1B2C"} if each["secret"] else each for each in found]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        fake = self.server.fake
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        name = url.path.removeprefix("/api/v1/")
        fake.asked.append(self.path)
        is_known = self.headers.get("St2-Api-Key") == API_KEY or (
            self.headers.get("X-Auth-Token") == TOKEN)
        if not is_known:
            status, body = 401, {"faultstring": "Unauthorized - One of Token or API key required."}
        elif not url.path.startswith("/api/v1/") or name not in ROUTES:
            status, body = 404, {"faultstring": "The resource could not be found."}
        elif set(query) - set(ROUTES[name]):
            status, body = 400, {"faultstring": f"Unsupported query parameters: {url.query}"}
        elif query.get("limit") == "-1" and not fake.is_admin:
            status, body = 403, {"faultstring": "Administrator access required to be able to "
                                                "specify limit=-1 and retrieve all the records"}
        else:
            status, body = 200, fake.answer(name, query)
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass
