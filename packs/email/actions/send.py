# SPDX-License-Identifier: Apache-2.0
"""Sends one mail through the SMTP server of the pack's configuration."""
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from millrace import Failed, action, current

PORTS = {"tls": 465, "starttls": 587, "none": 25}


@action
def send(to, subject, text, html=None, cc=None, reply_to=None, **more):
    config = current().config
    # `from` is a word of Python: it cannot be a parameter of its own.
    sender = more.get("from") or config.get("from") or config.get("user")
    if not sender:
        raise Failed("no sender: give 'from', or configure one")
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    if cc:
        mail["Cc"] = ", ".join(cc)
    if reply_to:
        mail["Reply-To"] = reply_to
    mail["Subject"] = subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid()
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    refused = deliver(mail, config)
    return {"message_id": mail["Message-ID"], "refused": sorted(refused)}


def deliver(mail, config):
    """Returns the addresses that were refused; none taken is a failure."""
    try:
        with connect(config) as server:
            if config.get("user"):
                server.login(config["user"], config.get("password", ""))
            return server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        raise Failed("every address was refused", {"refused": sorted(error.recipients)}) from None


def connect(config):
    security = config.get("security", "starttls")
    host, timeout = config.get("host", "localhost"), config.get("timeout", 30)
    port = config.get("port") or PORTS[security]
    if security == "none" and config.get("user"):
        raise Failed("'security: none' would send the password in clear; take tls or starttls")
    if security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
    server = smtplib.SMTP(host, port, timeout=timeout)
    if security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
