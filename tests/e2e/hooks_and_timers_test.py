#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A pack in StackStorm's form with a rule on a webhook and one on a timer: its endpoint and its
timer come with it, stay over a reload and a restart, and go with it."""
import signal
import sys

from harness import Client, Server, run_cases, until

FILES = {
    "pack.yaml": "ref: shop\nname: shop\nversion: 1.0.0\nauthor: a\nemail: a@b.c\n",
    "rules/on_order.yaml": "name: on_order\npack: shop\nenabled: true\n"
                           "trigger: {type: core.st2.webhook, parameters: {url: /orders/new}}\n"
                           "criteria: {}\n"
                           "action: {ref: core.echo, parameters: {message: '{{ trigger.body.a[0] }}'}}\n",
    "rules/nightly.yaml": "name: nightly\npack: shop\nenabled: true\n"
                          "trigger: {type: core.st2.CronTimer, parameters: {hour: 3, minute: 0}}\n"
                          "criteria: {}\n"
                          "action: {ref: core.noop, parameters: {}}\n",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def write(server, files):
    folder = server.home / "shop"
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def deliver(server, path, headers):
    stranger = Client(server.url(), None)
    status, _, body = stranger.request("POST", path, "a=tea", {**FORM, **headers})
    stranger.close()
    return status, body


def an_endpoint_and_a_timer_come_with_a_pack():
    with Server(packs=()) as server:
        folder = write(server, FILES)
        server.packs = (folder,)
        server.start()
        client = server.client()
        token = client.data("POST", "/api/v1/tokens",
                            {"identity": "shop", "permissions": ["events:send"]})["token"]
        [endpoint] = client.data("GET", "/api/v1/webhook-endpoints")
        assert endpoint["name"] == "orders/new" and endpoint["rules"] == ["shop.on_order"], endpoint
        for path in ("/v1/webhooks/orders/new", "/api/v1/webhooks/orders/new"):
            for header in ("St2-Api-Key", "X-Auth-Token"):
                status, body = deliver(server, path, {header: token})
                assert status == 202, body
        [enforced] = client.data("GET", f"/api/v1/enforcements?event={body['data']['event']}")
        done = client.data("GET", f"/api/v1/executions/{enforced['execution']}?wait=30s")
        assert done["result"]["output"] == "tea", done
        assert deliver(server, "/v1/webhooks/orders/new", {})[0] == 401
        status, body = deliver(server, f"/v1/webhooks/orders/new?st2-api-key={token}", {})
        assert status == 401 and body["code"] == "WHK-0105", body
        assert token not in server.log.read_text(errors="replace")

        timer = client.data("POST", "/api/v1/timers/shop.nightly/pause")
        assert timer["state"] == "paused" and timer["schedule"] == "hour=3 minute=0", timer
        # A new release, by a reload: the rule has other words, and the same times.
        write(server, {"rules/nightly.yaml": FILES["rules/nightly.yaml"] + "description: other\n"})
        server.process.send_signal(signal.SIGHUP)
        until("the new release is there", lambda: client.data(
            "GET", "/api/v1/rules/shop.nightly")["description"] == "other")
        assert client.data("GET", "/api/v1/timers/shop.nightly")["state"] == "paused"
        server.stop()
        server.start()
        client = server.client()
        assert client.data("GET", "/api/v1/timers/shop.nightly")["state"] == "paused"
        assert deliver(server, "/v1/webhooks/orders/new", {"St2-Api-Key": token})[0] == 202
        resumed = client.data("POST", "/api/v1/timers/shop.nightly/resume")
        assert resumed["state"] == "running" and resumed["next"].endswith("T03:00:00.000Z"), resumed
        assert len(resumed["next_fires"]) == 5, resumed

        (folder / "rules/on_order.yaml").unlink()
        server.process.send_signal(signal.SIGHUP)
        until("the endpoint has gone", lambda: client.data("GET", "/api/v1/webhook-endpoints") == [])
        assert deliver(server, "/v1/webhooks/orders/new", {"St2-Api-Key": token})[0] == 404


if __name__ == "__main__":
    sys.exit(run_cases([an_endpoint_and_a_timer_come_with_a_pack]))
