# SPDX-License-Identifier: Apache-2.0
"""What can be cut: a link that passes TCP connections on, and a network namespace behind a pair of
virtual Ethernet devices."""
import os
import socket
import subprocess
import threading

BOTH, UP, DOWN = ("up", "down"), ("up",), ("down",)


class Link:
    """Passes TCP connections on to `target`. What is cut gets no further, in one way or in both, and
    connections stay open meanwhile, as over a network that is gone; nothing that was sent is lost
    when it is whole again. "up" is the way from those who connect."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = {"up": threading.Event(), "down": threading.Event()}
        self.heal()
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self, ways):
        for way in ways:
            self.open[way].clear()

    def heal(self):
        for event in self.open.values():
            event.set()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        for event in self.open.values():
            event.wait()
        try:
            server = socket.create_connection(self.target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for source, sink, way in ((client, server, "up"), (server, client, "down")):
            threading.Thread(target=self.pump, args=(source, sink, way), daemon=True).start()

    def pump(self, source, sink, way):
        """An end travels as all else does."""
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            self.open[way].wait()
            try:
                if data:
                    sink.sendall(data)
                    continue
            except OSError:
                pass
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)  # the other thread closes it
                except OSError:
                    pass
            sink.close()
            return

    def close(self):
        self.listener.close()
        self.heal()


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Namespace:
    """A network namespace that reaches this machine alone. It is cut by what its neighbour is said
    to be: frames to an address that nobody has are dropped without a word."""

    NOBODY = "02:00:00:00:00:66"

    @staticmethod
    def can_be_had():
        if os.geteuid() != 0:
            return False
        name = f"mrtry{os.getpid()}"
        made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
        if made.returncode == 0:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        return made.returncode == 0

    def __init__(self):
        number = os.getpid() % 60_000
        self.name = f"mrchaos{number}"
        self.here, self.there = f"mrh{number}", f"mrt{number}"
        net = f"10.213.{number % 250 + 1}"
        self.host, self.guest = f"{net}.1", f"{net}.2"
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns",
               self.name)
            ip("address", "add", f"{self.host}/30", "dev", self.here)
            ip("link", "set", self.here, "up")
            ip("-n", self.name, "address", "add", f"{self.guest}/30", "dev", self.there)
            ip("-n", self.name, "link", "set", self.there, "up")
            ip("-n", self.name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            self.close()
            raise
        self.macs = {self.host: self.mac([], self.here),
                     self.guest: self.mac(["-n", self.name], self.there)}

    @staticmethod
    def mac(words, device):
        shown = ip(*words, "-o", "link", "show", device).split()
        return shown[shown.index("link/ether") + 1]

    def prefix(self):
        """Starts a program inside; `ip` becomes it."""
        return ["ip", "netns", "exec", self.name]

    def neighbour(self, words, address, device, mac):
        ip(*words, "neigh", "replace", address, "lladdr", mac, "dev", device, "nud", "permanent")

    def cut(self, ways):
        """"up" is the way from the namespace."""
        if "up" in ways:
            self.neighbour(["-n", self.name], self.host, self.there, self.NOBODY)
        if "down" in ways:
            self.neighbour([], self.guest, self.here, self.NOBODY)

    def heal(self):
        self.neighbour(["-n", self.name], self.host, self.there, self.macs[self.host])
        self.neighbour([], self.guest, self.here, self.macs[self.guest])

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)
