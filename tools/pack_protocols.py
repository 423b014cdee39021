# SPDX-License-Identifier: Apache-2.0
"""What the fake world of tools/try_packs.py says to clients that speak no HTTP: as little of MQTT
and of IMAP as lets them believe that they are connected, and that there is nothing new."""
import re
import socket

SILENCE_S = 0.5
IMAP = {"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n", "SELECT": "* 0 EXISTS\r\n* FLAGS ()\r\n",
        "EXAMINE": "* 0 EXISTS\r\n", "SEARCH": "* SEARCH\r\n", "UID": "* SEARCH\r\n",
        "LIST": '* LIST () "/" INBOX\r\n', "LOGOUT": "* BYE\r\n"}


def speaks_otherwise(connection):
    """False: it is HTTP, and nothing of it was read. Else all of it is over when this returns."""
    connection.settimeout(SILENCE_S)
    try:
        first = connection.recv(1, socket.MSG_PEEK)
    except (TimeoutError, OSError):
        first = b""  # who waits to be spoken to
        try:
            imap(connection)
        except OSError:
            pass
        return True
    finally:
        connection.settimeout(None)
    if first != b"\x10":
        return False
    try:
        mqtt(connection)
    except OSError:
        pass
    return True


def mqtt(connection):
    """CONNECT, SUBSCRIBE and PING are answered."""
    answers = {0x10: lambda packet: b"\x20\x02\x00\x00",
               0x80: lambda packet: b"\x90\x03" + packet[:2] + b"\x00",
               0xC0: lambda packet: b"\xd0\x00"}
    while kind := connection.recv(1):
        length, shift = 0, 0
        while byte := connection.recv(1):
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                break
        packet = connection.recv(length, socket.MSG_WAITALL) if length else b""
        if answer := answers.get(kind[0] & 0xF0):
            connection.sendall(answer(packet))


def imap(connection):
    connection.settimeout(60)
    connection.sendall(b"* OK ready\r\n")
    with connection.makefile("rb") as lines:
        for line in lines:
            found = re.match(rb"(\S+) (\w+)", line)
            if not found:
                return
            tag, command = (word.decode(errors="replace") for word in found.groups())
            answer = IMAP.get(command.upper(), "")
            connection.sendall(f"{answer}{tag} OK done\r\n".encode())
            if command.upper() == "LOGOUT":
                return
