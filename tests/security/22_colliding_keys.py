# SPDX-License-Identifier: Apache-2.0
"""Keys that were made to collide cost what other keys cost, wherever keys come from outside (review, H2).

The keys collide in std::hash of libstdc++, MurmurHash64A with a fixed seed. Each of its blocks can be
undone, so blocks that lead from one state to another are found by solving for the last one.
"""

import http.server
import json
import random
import string
import sys
import threading

from attack import EVENT, JSON, Target, cloud_event, main, rule, wrong

TARGET = Target(most_mib=300)
MASK = (1 << 64) - 1
MUL = 0xC6A4A7935BD1E995
INVERSE = pow(MUL, -1, 1 << 64)
SEED = 0xC70F6907
SIDE = 95  # 95 x 95 keys: fewer than an object may have
PLAIN = bytes(c for c in range(0x23, 0x7F) if c != 0x5C)  # what stands in JSON as it is
FACTOR = 4  # colliding keys may cost that many times of plain ones


def mix(block):
    block = block * MUL & MASK
    return (block ^ block >> 47) * MUL & MASK


def unmix(mixed):
    mixed = mixed * INVERSE & MASK
    return (mixed ^ mixed >> 47) * INVERSE & MASK


def murmur(data):
    """As libstdc++ has it, for lengths that are multiples of 8."""
    state = SEED ^ len(data) * MUL & MASK
    for at in range(0, len(data), 8):
        state = (state ^ mix(int.from_bytes(data[at : at + 8], "little"))) * MUL & MASK
    state = (state ^ state >> 47) * MUL & MASK
    return state ^ state >> 47


def ways(rng, start, end, count):
    """`count` texts of 16 bytes that lead from one state to another."""
    found, before_last = [], end * INVERSE & MASK
    while len(found) < count:
        first = bytes(rng.choices(PLAIN, k=8))
        state = (start ^ mix(int.from_bytes(first, "little"))) * MUL & MASK
        last = unmix(state ^ before_last).to_bytes(8, "little")
        if not last.translate(None, PLAIN):
            found.append(first + last)
    return found


def colliding():
    rng = random.Random(8)
    middle, end = rng.getrandbits(64), rng.getrandbits(64)
    start = SEED ^ 32 * MUL & MASK
    firsts, lasts = ways(rng, start, middle, SIDE), ways(rng, middle, end, SIDE)
    keys = [(a + b).decode() for a in firsts for b in lasts]
    assert (
        len({murmur(key.encode()) for key in keys[:: len(keys) // 50]}) == 1
        and len(set(keys)) == SIDE * SIDE
    )
    return keys


def plain():
    rng = random.Random(9)
    return ["".join(rng.choices(string.ascii_letters, k=32)) for _ in range(SIDE * SIDE)]


HOSTILE, HONEST = colliding(), plain()


def executions(keys):
    body = {"action": "core.echo", "parameters": {"message": [dict.fromkeys(keys, 1)] * 2}}
    return TARGET.client().request("POST", "/api/v1/executions", body)


def unknown_parameters(keys):
    return TARGET.client().request(
        "POST", "/api/v1/executions", {"action": "core.noop", "parameters": dict.fromkeys(keys, 1)}
    )


def unknown_fields(keys):
    return TARGET.client().request("POST", "/api/v1/executions", dict.fromkeys(keys, 1))


def events(keys):
    event = cloud_event("s", str(random.random()), data=[dict.fromkeys(keys, 1)] * 2)
    return TARGET.client().request("POST", "/api/v1/events", json.dumps(event), EVENT)


def a_webhook(keys):
    return TARGET.client().request(
        "POST", "/api/v1/webhooks/own", json.dumps([dict.fromkeys(keys, 1)] * 4), JSON
    )


def a_form(keys):
    body = "&".join(
        f"{key.replace('%', '%25').replace('&', '%26').replace('+', '%2b').replace('=', '%3d')}=1"
        for key in keys
    )
    return TARGET.client().request(
        "POST", "/api/v1/webhooks/own", body, {"Content-Type": "application/x-www-form-urlencoded"}
    )


def a_key(keys):
    return TARGET.client().request("PUT", "/api/v1/keys/system/x", {"value": dict.fromkeys(keys, 1)})


def yaml(keys):
    text = "version: 1.0\ntasks:\n" + "".join(f"  {json.dumps(key)}: {{}}\n" for key in keys)
    return TARGET.client().request("POST", "/api/v1/workflows/inspect", {"text": text})


def evaluated(text, payload):
    status, headers, answer = TARGET.client().request(
        "POST",
        "/api/v1/rules/test",
        {"rule": rule("a.b", "core.echo", {"message": text}), "payload": payload},
        timeout=120,
    )
    return status, headers, answer


def template(text):
    return lambda keys: evaluated(
        text, {"keys": keys, "map": dict.fromkeys(keys, 1), "json": json.dumps(dict.fromkeys(keys, 1))}
    )


def criteria(keys):
    body = {
        **rule("a.b", "core.noop", {}),
        "criteria": {f"trigger.{key}": {"type": "exists"} for key in keys},
    }
    return TARGET.client().request("POST", "/api/v1/rules", body)


PLACES = {
    "an execution": executions,
    "unknown parameters": unknown_parameters,
    "unknown fields": unknown_fields,
    "an event": events,
    "a webhook": a_webhook,
    "a form": a_form,
    "a key's value": a_key,
    "YAML": yaml,
    "criteria": criteria,
    "from_json_string": template("{{ trigger.json | from_json_string | length }}"),
    "unique": template("{{ trigger.keys | unique | list | length }}"),
    "groupby": template("{% for k, v in trigger.map | dictsort %}{% endfor %}"),
    "a dict of Jinja": template(
        "{% set d = {} %}{% for k in trigger['keys'] %}{% set _ = d.update({k: 1}) %}{% endfor %}"
    ),
    "toSet": template("<% $trigger.get('keys').toSet().len() %>"),
    "toDict": template("<% $trigger.get('keys').toDict($).len() %>"),
    "distinct": template("<% $trigger.get('keys').distinct().len() %>"),
    "YAQL's groupBy": template("<% $trigger.get('keys').groupBy($).len() %>"),
}


def colliding_keys_cost_what_others_cost():
    TARGET.client().data("POST", "/api/v1/webhook-endpoints", {"name": "own", "scheme": "token"})
    bad = []
    for what, send in PLACES.items():
        honest, (status, _, answer) = TARGET.cost(lambda send=send: send(HONEST))
        hostile, (other, _, said) = TARGET.cost(lambda send=send: send(HOSTILE))
        assert status < 500 and other < 500, (what, status, other)
        # Clock ticks are 10 ms: what is below some of them is nothing.
        if hostile > FACTOR * max(honest, 0.05):
            bad.append((what, f"{hostile:.2f} s of CPU, plain keys {honest:.2f} s"))
    wrong(bad)


class Peer(http.server.BaseHTTPRequestHandler):
    body = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(Peer.body)))
        self.end_headers()
        self.wfile.write(Peer.body)

    def log_message(self, *_):
        pass


def an_answer_from_outside_costs_no_more_either():
    """core.http parses what others send: no token is needed for that."""
    peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    threading.Thread(target=peer.serve_forever, daemon=True).start()

    def fetch(keys):
        Peer.body = json.dumps([dict.fromkeys(keys, 1)] * 4).encode()
        return TARGET.client().data(
            "POST",
            "/api/v1/executions?wait=60s",
            {"action": "core.http", "parameters": {"url": f"http://127.0.0.1:{peer.server_port}/"}},
        )

    honest, row = TARGET.cost(lambda: fetch(HONEST))
    assert row["status"] == "succeeded", row
    hostile, row = TARGET.cost(lambda: fetch(HOSTILE))
    assert row["status"] in ("succeeded", "failed"), row
    assert hostile <= FACTOR * max(honest, 0.05), f"{hostile:.2f} s of CPU, plain keys {honest:.2f} s"
    peer.shutdown()


CASES = [colliding_keys_cost_what_others_cost, an_answer_from_outside_costs_no_more_either]

sys.exit(main(TARGET, CASES))
