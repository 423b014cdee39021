# SPDX-License-Identifier: Apache-2.0
"""Python reads this before a pack's code (tools/try_packs.py): every address is the fake server on
loopback, and TLS is left out. Nothing of the network is reached."""
import os
import socket
import ssl

FAKE = ("127.0.0.1", int(os.environ.get("FAKE_WORLD_PORT", "0")))
API = ("127.0.0.1", int(os.environ.get("FAKE_API_PORT", "0")))


def connect(self, address, _connect=socket.socket.connect):
    is_stream = self.type & socket.SOCK_STREAM
    if isinstance(address, tuple) and is_stream and address[:2] != API:
        if self.family == socket.AF_INET6:
            raise ConnectionRefusedError("there is no IPv6 here")
        address = FAKE
    return _connect(self, address)


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    try:
        port = int(port or 0)
    except ValueError:
        port = 80
    kind = type or socket.SOCK_STREAM
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    return [(socket.AF_INET, kind, protocol, "", ("127.0.0.1", port))]


socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
socket.gethostbyname = lambda host: "127.0.0.1"

# What clients ask a protected connection.
ssl.SSLContext.wrap_socket = lambda self, sock, *_, **__: sock
socket.socket.getpeercert = lambda self, binary_form=False: b"" if binary_form else {}
socket.socket.version = lambda self: "TLSv1.3"
socket.socket.cipher = lambda self: ("none", "TLSv1.3", 0)
socket.socket.selected_alpn_protocol = lambda self: None
