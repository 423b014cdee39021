# SPDX-License-Identifier: Apache-2.0
"""One who follows the change feed, on one API server until it fails, then on the other one, from
where it stood: nothing may be missing, nothing may come twice or out of its order."""
import http.client
import json
import threading
import time


class Feed(threading.Thread):
    PATIENCE_S = 40  # more than the pause between two signs of life

    def __init__(self, site):
        super().__init__(daemon=True)
        self.clients = [site.nodes[name].client() for name in ("a1", "a2")]
        self.at = 0  # the sequence number of what was read last
        self.resumed = -1
        self.state = {}  # execution or event: what was told of it last
        self.faults = []
        self.connection = None
        self.stopping = False

    def run(self):
        while not self.stopping:
            self.resumed += 1
            try:
                self.follow(self.clients[self.resumed % 2])
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.2)

    def follow(self, client):
        self.connection = client.connect(self.PATIENCE_S)
        try:
            self.connection.request(
                "GET", "/api/v1/stream?topics=execution,event",
                headers={"Authorization": f"Bearer {client.token}", "Last-Event-ID": str(self.at)})
            answer = self.connection.getresponse()
            if answer.status != 200:
                return
            kind = ""
            for line in answer:
                name, _, value = line.decode().rstrip("\r\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self.take(kind, json.loads(value))
        finally:
            self.connection.close()

    def take(self, kind, data):
        if kind == "gap":
            self.faults.append(f"the feed has a gap: {data}, read up to {self.at}")
        elif kind == "notification":
            if data["sequence"] <= self.at:
                self.faults.append(f"the feed tells {data} after {self.at}")
            self.at = data["sequence"]
            self.state[data["entity_id"]] = data["payload"]["detail"]

    def lacks(self, world):
        """What the store has and the feed has not told."""
        for event in world.events:
            if event not in self.state:
                yield f"event {event} is not in the feed"
        for execution, row in world.executions.items():
            told = self.state.get(execution)
            if told != row["status"]:
                yield f"execution {execution} is {row['status']}, and the feed told {told} last"

    def end(self):
        self.stopping = True
        if self.connection and self.connection.sock:
            self.connection.sock.close()
