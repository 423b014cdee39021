# SPDX-License-Identifier: Apache-2.0
"""Posts to the channel of an incoming webhook."""
from millrace import Failed, action, current
from post import message, post


@action
def post_webhook(text, blocks=None):
    url = current().config.get("webhook_url")
    if not url:
        raise Failed("no 'webhook_url' is configured")
    answer = post(url, message(text, blocks))
    if answer != "ok":
        raise Failed(f"Slack answered: {answer[:200]}")
