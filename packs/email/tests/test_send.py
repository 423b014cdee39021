# SPDX-License-Identifier: Apache-2.0
import socketserver
import threading
import unittest
from email import message_from_bytes, policy

import send as under_test
from millrace import Failed
from millrace.call import Call, begin


class FakeSmtp(socketserver.ThreadingTCPServer):
    """Takes mails, but none for addresses that begin with `nobody`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.mails = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Conversation(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 fake")
        recipients = []
        for line in self.rfile:
            word = line.decode().strip()
            if word.upper().startswith("RCPT TO:<NOBODY"):
                self.say("550 no such user")
            elif word.upper().startswith("RCPT"):
                recipients.append(word[len("RCPT TO:<"):-1])
                self.say("250 ok")
            elif word.upper() == "DATA":
                self.say("354 go on")
                self.server.mails.append((recipients, self.read_mail()))
                self.say("250 taken")
            elif word.upper() == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def read_mail(self):
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line)
        return message_from_bytes(b"".join(lines), policy=policy.default)


class Send(unittest.TestCase):
    def setUp(self):
        self.server = FakeSmtp()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.configure()

    def configure(self, **more):
        config = {"host": "127.0.0.1", "port": self.server.server_address[1], "security": "none",
                  "from": "robot@example.com", **more}
        begin(Call({"action": "email.send", "config": config}))
        self.addCleanup(begin, None)

    def test_a_mail_arrives_as_it_was_written(self):
        sent = under_test.send(to=["ann@example.com"], cc=["bob@example.com"], subject="Grüße",
                               text="Hällo", html="<b>Hällo</b>", reply_to="desk@example.com")
        (recipients, mail), = self.server.mails
        self.assertEqual(recipients, ["ann@example.com", "bob@example.com"])
        self.assertEqual(mail["Subject"], "Grüße")
        self.assertEqual(mail["From"], "robot@example.com")
        self.assertEqual(mail["Reply-To"], "desk@example.com")
        self.assertEqual(mail["Message-ID"], sent["message_id"])
        text, html = mail.iter_parts()
        self.assertEqual(text.get_content().strip(), "Hällo")
        self.assertEqual(html.get_content().strip(), "<b>Hällo</b>")

    def test_the_sender_of_the_call_comes_first(self):
        under_test.send(to=["ann@example.com"], subject="s", text="t", **{"from": "me@example.com"})
        self.assertEqual(self.server.mails[0][1]["From"], "me@example.com")

    def test_addresses_that_were_refused_are_told(self):
        sent = under_test.send(to=["nobody@example.com", "ann@example.com"], subject="s", text="t")
        self.assertEqual(sent["refused"], ["nobody@example.com"])

    def test_it_fails_when_nobody_takes_it(self):
        with self.assertRaises(Failed) as caught:
            under_test.send(to=["nobody@example.com"], subject="s", text="t")
        self.assertEqual(caught.exception.result, {"refused": ["nobody@example.com"]})

    def test_a_line_end_in_the_subject_makes_no_header(self):
        with self.assertRaises(ValueError):
            under_test.send(to=["ann@example.com"], subject="s\nBcc: x@example.com", text="t")

    def test_no_password_goes_over_a_connection_in_clear(self):
        self.configure(user="robot", password="open-sesame")
        with self.assertRaisesRegex(Failed, "in clear"):
            under_test.send(to=["ann@example.com"], subject="s", text="t")
        self.assertEqual(self.server.mails, [])

    def test_it_needs_a_sender(self):
        self.configure(**{"from": ""})
        with self.assertRaisesRegex(Failed, "no sender"):
            under_test.send(to=["ann@example.com"], subject="s", text="t")


if __name__ == "__main__":
    unittest.main()
