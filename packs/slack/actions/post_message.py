# SPDX-License-Identifier: Apache-2.0
"""Posts to a channel as a bot."""
import json

from millrace import Failed, action, current
from post import message, post


@action
def post_message(channel, text, blocks=None, thread_ts=None):
    config = current().config
    if not config.get("token"):
        raise Failed("no 'token' is configured")
    url = config.get("api_url", "https://slack.com/api").rstrip("/") + "/chat.postMessage"
    body = message(text, blocks, channel=channel, thread_ts=thread_ts)
    answer = json.loads(post(url, body, config["token"]))
    if not answer.get("ok"):
        # Slack says 200 to what it has not done.
        raise Failed(f"Slack refused: {answer.get('error')}", {"error": answer.get("error")})
    return {"channel": answer["channel"], "ts": answer["ts"]}
