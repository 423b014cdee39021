# SPDX-License-Identifier: Apache-2.0
import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import post_message
import post_webhook
from millrace import Failed
from millrace.call import Call, begin


class FakeSlack(ThreadingHTTPServer):
    """Gives the answers that it was told to give, one after the other: (status, headers, body)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers = []
        self.asked = []  # (path, token, body)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization"), body))
        status, headers, text = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Posts(unittest.TestCase):
    def setUp(self):
        self.slack = FakeSlack()
        self.addCleanup(self.slack.server_close)
        self.addCleanup(self.slack.shutdown)
        self.configure(webhook_url=self.slack.url + "/services/T/B/secret", token="xoxb-1",
                       api_url=self.slack.url + "/api/")

    def configure(self, **config):
        begin(Call({"action": "slack.post", "config": config}))
        self.addCleanup(begin, None)

    def answer(self, text, status=200, **headers):
        self.slack.answers.append((status, headers, text))

    def test_a_webhook_gets_the_text(self):
        self.answer("ok")
        self.assertIsNone(post_webhook.post_webhook("hello"))
        self.assertEqual(self.slack.asked, [("/services/T/B/secret", None, {"text": "hello"})])

    def test_a_bot_posts_into_a_thread(self):
        self.answer('{"ok": true, "channel": "C1", "ts": "1.5", "message": {}}')
        posted = post_message.post_message("#ops", "hello", [{"type": "divider"}], "1.4")
        self.assertEqual(posted, {"channel": "C1", "ts": "1.5"})
        self.assertEqual(self.slack.asked, [("/api/chat.postMessage", "Bearer xoxb-1", {
            "channel": "#ops", "text": "hello", "blocks": [{"type": "divider"}],
            "thread_ts": "1.4"})])

    def test_what_slack_refuses_fails(self):
        self.answer('{"ok": false, "error": "channel_not_found"}')
        with self.assertRaisesRegex(Failed, "channel_not_found") as caught:
            post_message.post_message("#none", "hello")
        self.assertEqual(caught.exception.result, {"error": "channel_not_found"})
        self.answer("no_service", 404)
        with self.assertRaisesRegex(Failed, "404: no_service"):
            post_webhook.post_webhook("hello")

    def test_too_many_requests_wait(self):
        self.answer("", 429, **{"Retry-After": "0"})
        self.answer("ok")
        post_webhook.post_webhook("hello")
        self.assertEqual(len(self.slack.asked), 2)

    def test_it_gives_up_when_it_stays_too_much(self):
        for _ in range(3):
            self.answer("slow down", 429, **{"Retry-After": "0"})
        with self.assertRaisesRegex(Failed, "429: slow down"):
            post_webhook.post_webhook("hello")

    def test_an_error_does_not_tell_the_webhook(self):
        self.configure(webhook_url="http://127.0.0.1:1/services/T/B/secret")
        with self.assertRaises(Failed) as caught:
            post_webhook.post_webhook("hello")
        self.assertNotIn("secret", str(caught.exception))

    def test_it_says_what_is_not_configured(self):
        self.configure()
        with self.assertRaisesRegex(Failed, "webhook_url"):
            post_webhook.post_webhook("hello")
        with self.assertRaisesRegex(Failed, "token"):
            post_message.post_message("#ops", "hello")


if __name__ == "__main__":
    unittest.main()
