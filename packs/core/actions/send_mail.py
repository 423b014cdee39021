#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One mail to the sendmail program. The arguments are the parameters of core.sendmail, in order.

Exits with 0 when the program took the mail or there was nothing to send, else with 2.
"""
import mimetypes
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
from email.message import EmailMessage
from email.policy import SMTP


def program(given):
    if given and given != "None":
        return shlex.split(given)
    found = shutil.which("sendmail")
    if not found:
        raise OSError("no sendmail program in PATH")
    return [found, "-t"]


def attach(mail, path):
    if not path.is_file():
        print(f"Warning: attachment {path} not found, skipping", file=sys.stderr)
        return
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    main, _, sub = kind.partition("/")
    mail.add_attachment(path.read_bytes(), maintype=main, subtype=sub, filename=path.name)


def compose(sender, to, subject, content_type, body, attachments):
    mail = EmailMessage(policy=SMTP.clone(linesep="\n"))  # sendmail reads lines of the system
    mail["From"] = sender if "@" in sender else f"{sender}@{socket.getfqdn()}"
    mail["To"] = to
    mail["Subject"] = subject
    main, _, sub = content_type.partition("/")
    if main != "text" or not sub:
        raise ValueError(f"content_type: expected text/..., found '{content_type}'")
    mail.set_content(body, subtype=sub)
    for each in filter(None, (name.strip() for name in attachments.split(","))):
        attach(mail, pathlib.Path(each))
    return mail


def main(given):
    binary, sender, to, subject, send_empty_body, content_type, body, attachments = given
    if not body.strip() and send_empty_body != "1":
        print("Nothing to send")
        return 0
    try:
        mail = compose(sender, to, subject, content_type, body, attachments)
        subprocess.run(program(binary), input=mail.as_bytes(), check=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"Failed to send mail to {to}: {error}")
        return 2
    print(f"Successfully sent mail to {to}")
    return 0


if __name__ == "__main__":
    sys.exit(main((sys.argv[1:] + [""] * 8)[:8]))
