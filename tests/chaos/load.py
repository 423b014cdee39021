# SPDX-License-Identifier: Apache-2.0
"""Clients that ask for work with a key each, again and again until they are answered, and write down
what they were told; and an operator, who answers questions and decides."""
import json
import random
import threading
import time

from harness import cloud_event

from ledger import UNKNOWN

EVENT = {"Content-Type": "application/cloudevents+json"}
PATIENCE_S = 8  # then the answer is unknown, and the other server is asked
RUNS = ("chaos.once", "chaos.again", "chaos.once_near", "chaos.again_near", "chaos.once_far",
        "chaos.again_far", "chaos.again_few")
KINDS = {"run_one": 8, "flow": 2, "question": 1, "event": 4, "cancel": 1}  # how often each is asked for


def is_unknown(status, answer):
    """No answer, or one that says: try again, as API-0014 does: another one with this key is still
    being answered."""
    return status in (0, 408, 429) or status >= 500 or answer.get("code") == "API-0014"


class Visitor(threading.Thread):
    """Talks to the API servers, to one until it cannot help; keeps a connection to each."""

    def __init__(self, site, ledger, seed):
        super().__init__(daemon=True)
        self.site, self.ledger = site, ledger
        self.chance = random.Random(seed)
        self.clients = [site.nodes[name].client() for name in ("a1", "a2")]
        self.at = self.chance.randrange(2)
        self.stopping = False
        self.trouble = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # told by the main thread
            self.trouble = error

    def once(self, method, path, body=None, headers=None):
        """(status, answer); status 0 when there was none."""
        try:
            status, _, answer = self.clients[self.at].request(method, path, body, headers,
                                                              timeout=PATIENCE_S)
        except OSError as error:
            status, answer = 0, {"code": type(error).__name__}
        if is_unknown(status, answer):
            self.at = 1 - self.at
        self.ledger.count(status, answer)
        return status, answer

    def end(self):
        self.stopping = True
        self.join(60)
        for client in self.clients:
            client.close()


class Load(Visitor):
    """One request at a time."""

    def __init__(self, site, ledger, seed, number):
        super().__init__(site, ledger, seed)
        self.number, self.count = number, 0
        self.is_paused = self.is_idle = False
        self.in_hand = ""
        self.tries = 0

    def work(self):
        while not self.stopping:
            self.is_idle = self.is_paused
            if self.is_paused:
                time.sleep(0.05)
                continue
            self.count += 1
            kind = self.chance.choices(list(KINDS), list(KINDS.values()))[0]
            key = f"{self.number}-{self.count}"
            self.in_hand = f"{kind} {key}"
            getattr(self, kind)(key)
            time.sleep(self.chance.uniform(0.02, 0.4))

    def until_answered(self, method, path, body=None, headers=None, also=()):
        """(status, data) of the first answer that says something. None: the test ends. `tries`: how
        often it was asked before in vain."""
        self.tries = 0
        while not self.stopping:
            status, answer = self.once(method, path, body, headers)
            if is_unknown(status, answer):
                self.tries += 1
                time.sleep(self.chance.uniform(0.1, 0.5))
                continue
            if status // 100 == 2 or status in also:
                return status, answer.get("data")
            raise AssertionError(f"{method} {path}: {status} {answer}")
        return None

    def start_one(self, action, key, **parameters):
        """Its id. Some ask again although they were answered."""
        body = {"action": action, "parameters": {"file": str(self.site.effects), "key": key,
                                                 **parameters}}
        self.ledger.ask(key)
        answered = None
        for _ in range(2 if self.chance.random() < 0.1 else 1):
            answered = self.until_answered("POST", "/api/v1/executions", body,
                                           {"Idempotency-Key": key})
            if answered:
                self.ledger.accept_run(key, action, answered[1]["id"])
        return answered and answered[1]["id"]

    def run_one(self, key):
        linger = self.chance.choice((0, 0, 0.1, 0.3, 1, 5))
        self.start_one(self.chance.choice(RUNS), key, linger=str(linger))

    def flow(self, key):
        self.start_one("chaos.flow", key)

    def question(self, key):
        self.start_one("chaos.ask", key)

    def event(self, key):
        body = json.dumps(cloud_event("chaos", key))
        for _ in range(2 if self.chance.random() < 0.1 else 1):
            answered = self.until_answered("POST", "/api/v1/events", body, EVENT)
            if answered:
                self.ledger.accept_event(key, answered[1]["event"])

    def cancel(self, key):
        execution = self.start_one(self.chance.choice(RUNS), key, linger="5")
        time.sleep(self.chance.uniform(0, 2))
        if execution:
            answered = self.until_answered("POST", f"/api/v1/executions/{execution}/cancel",
                                           also=(409,))
            # It is final: perhaps by the request whose answer was lost.
            if answered and (answered[0] != 409 or self.tries == 0):
                self.ledger.cancel(execution, answered[0])
            elif answered:
                self.ledger.cancel(execution, UNKNOWN)


class Operator(Visitor):
    """Answers every question. Of what needs a decision, at_most_once ends as failed; all else may be
    repeated, and never has to be decided."""

    def work(self):
        while not self.stopping:
            for inquiry in self.look("/api/v1/inquiries?status=pending&limit=200"):
                self.once("POST", f"/api/v1/inquiries/{inquiry['id']}/answer", {"response": {}})
            for row in self.look("/api/v1/executions?status=needs_decision&limit=200"):
                assert row["action"].startswith("chaos.once"), f"needs a decision: {row}"
                self.ledger.decide(row["id"])
                self.once("POST", f"/api/v1/executions/{row['id']}/resolve", {"decision": "fail"})
            time.sleep(0.5)

    def look(self, path):
        status, answer = self.once("GET", path)
        return answer["data"] if status == 200 else []
