# SPDX-License-Identifier: Apache-2.0
"""Python reads this before a pack's code (tools/try_packs.py): every address is the fake server on
loopback, and TLS is left out. Nothing of the network is reached."""
import os
import socket
import ssl

FAKE = ("127.0.0.1", int(os.environ.get("FAKE_WORLD_PORT", "0")))
API = ("127.0.0.1", int(os.environ.get("FAKE_API_PORT", "0")))


def fake_of(self, address):
    is_stream = self.type & socket.SOCK_STREAM
    if isinstance(address, tuple) and is_stream and address[:2] != API:
        if self.family == socket.AF_INET6:
            raise ConnectionRefusedError("there is no IPv6 here")
        return FAKE
    return address


def connect(self, address, _connect=socket.socket.connect):
    return _connect(self, fake_of(self, address))


def connect_ex(self, address, _connect=socket.socket.connect_ex):
    return _connect(self, fake_of(self, address))


def make_trusted(kind):
    """What clients ask of a protected connection."""
    kind.getpeercert = lambda self, binary_form=False: b"" if binary_form else {}
    kind.version = lambda self: "TLSv1.3"
    kind.cipher = lambda self: ("none", "TLSv1.3", 0)
    kind.selected_alpn_protocol = lambda self: None


def teach_eventlet():
    """It connects with a copy of the module that is made before this one has changed it."""
    try:
        from eventlet.green import ssl as green_ssl
        from eventlet.greenio import base
    except ImportError:
        return
    theirs = base.socket_connect
    base.socket_connect = lambda fd, address: theirs(fd, fake_of(fd, address))
    green_ssl.GreenSSLContext.wrap_socket = ssl.SSLContext.wrap_socket
    make_trusted(base.GreenSocket)


def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
    try:
        port = int(port or 0)
    except ValueError:
        port = 80
    kind = type or socket.SOCK_STREAM
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    return [(socket.AF_INET, kind, protocol, "", ("127.0.0.1", port))]


socket.socket.connect = connect
socket.socket.connect_ex = connect_ex
socket.getaddrinfo = getaddrinfo
socket.gethostbyname = lambda host: "127.0.0.1"

ssl.SSLContext.wrap_socket = lambda self, sock, *_, **__: sock
make_trusted(socket.socket)

if os.environ.get("FAKE_EVENTLET"):
    teach_eventlet()
