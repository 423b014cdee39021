#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults over real processes: PostgreSQL, three executors, two API servers, two agents, clients with
a ledger. Faults in an order that a seed draws; after each everything must come to its end, and then
doctor is clean, the ledger exact, and every slot free, once.

usage: chaos.py BINARY [--minutes N] [--seconds N] [--seed S] [--only FAULT,FAULT] [--keep]
"""
import os
import pathlib
import random
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from harness import argument, binary, rule, until  # noqa: E402

import ledger as ledgers  # noqa: E402
from feed import Feed  # noqa: E402
from load import Load, Operator  # noqa: E402
from phases import FAULTS, order  # noqa: E402
from place import AGENTS, EXECUTORS, SLOTS, Site  # noqa: E402

LOADS = 6
PROBES = 60
CALM_S = 3  # of load before a fault and after it
SETTLES_S = 180
def word(name, fallback):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else fallback


class Chaos:
    def __init__(self, seed):
        self.seed = seed
        self.chance = random.Random(seed)
        self.site = Site(built("tests/e2e/libshifted_clock.so"), built("tests/chaos/millrace_next"))
        self.ledger = ledgers.Ledger()
        self.phases = []
        self.feed = self.world = None
        self.visitors = []
        self.probes = 0

    def start(self):
        self.site.start()
        for made in (rule(ledgers.RULE, "chaos.again", {"file": str(self.site.effects)}),
                     rule(ledgers.TICKS, "core.noop", {}, trigger="core.intervaltimer",
                          trigger_parameters={"unit": "seconds", "interval": 3})):
            self.site.ask("POST", "/api/v1/rules", made)
        self.loads = [Load(self.site, self.ledger, self.chance.random(), n) for n in range(LOADS)]
        self.visitors = [*self.loads, Operator(self.site, self.ledger, self.chance.random())]
        self.feed = Feed(self.site)
        for thread in [*self.visitors, self.feed]:
            thread.start()

    def phase(self, name):
        # What one fault draws does not change what the next one does.
        chance = random.Random(f"{self.seed} {len(self.phases)} {name}")
        began = time.monotonic()
        self.phases.append(name)
        for load in self.loads:
            load.is_paused = False
        time.sleep(CALM_S)
        FAULTS[name](self.site, chance, lambda what: say(f"{len(self.phases)} {name}: {what}"))
        self.site.heal()
        time.sleep(CALM_S)
        for load in self.loads:
            load.is_paused = True
        self.settle()
        self.check()
        say(f"  well after {time.monotonic() - began:.0f} s: {len(self.ledger.runs)} runs and "
            f"{len(self.ledger.events)} events accepted")

    # Nothing stuck

    def settle(self):
        self.site.whole()
        self.told = ""
        until("all has come to its end", self.is_at_rest, argument("--settles", SETTLES_S), 0.3,
              tell=lambda: self.told)

    def is_at_rest(self):
        for visitor in self.visitors:
            if visitor.trouble:
                raise visitor.trouble
        busy = [load.in_hand for load in self.loads if not load.is_idle]
        rows = self.site.rows("/api/v1/executions?open=true")
        self.told = "\n".join([f"  not answered: {what}" for what in busy] + [
            f"  {r['id']} root {r['root']} {r['action']} {r['status']} {r.get('held', '')}"
            for r in rows])
        return not busy and not rows

    # What must hold

    def check(self):
        self.site.doctor()
        self.world = self.see()
        found = ledgers.faults(self.ledger.copy(), self.world)
        assert not found, "\n".join(found[:40])
        until("the feed has told all", lambda: not next(self.feed.lacks(self.world), None), 60, 0.3,
              tell=lambda: "\n".join(list(self.feed.lacks(self.world))[:20]))
        assert not self.feed.faults, "\n".join(self.feed.faults[:20])
        quarantine = self.site.rows("/api/v1/quarantine")
        assert not quarantine, f"in quarantine: {quarantine}"
        self.check_slots()

    def see(self):
        """Schedules go on meanwhile: what tells of others is read before those."""
        lines = [ledgers.Line.read(line) for line in self.site.effects.read_text().splitlines()]
        enforcements = self.site.rows("/api/v1/enforcements")
        events = {row["id"]: row for row in self.site.rows("/api/v1/events")}
        executions = {row["id"]: row for row in self.site.rows("/api/v1/executions")}
        return ledgers.World(executions, events, enforcements, lines, SLOTS)

    def check_slots(self):
        """As many run at a time as there are slots, and what is more waits: none has been lost, and
        none is there twice. A run is of the server that owns its shard: hence so many."""
        self.probes += 1
        gate = self.site.folder / f"gate{self.probes}"
        keys = [f"probe-{self.probes}-{number}" for number in range(PROBES)]
        expected = SLOTS * len(EXECUTORS + AGENTS)

        def begun():
            text = self.site.effects.read_text()
            return sum(f"begin {key} " in text for key in keys)

        def where():
            lines = [line.split() for line in self.site.effects.read_text().splitlines()]
            return sorted(words[4] for words in lines if words[1] in keys)

        try:
            for key in keys:
                self.ledger.ask(key)
                answer = self.site.ask("POST", "/api/v1/executions", {
                    "action": "chaos.again", "parameters": {
                        "file": str(self.site.effects), "key": key, "gate": str(gate)}})
                self.ledger.accept_run(key, "chaos.again", answer["data"]["id"])
            until(f"{expected} slots are in use", lambda: begun() >= expected, 60, 0.2,
                  tell=lambda: f"{begun()} are: {where()}")
            time.sleep(0.5)  # for those that must not begin
            assert begun() == expected, f"{begun()} run in {expected} slots: {where()}"
        finally:
            gate.touch()

    def control(self):
        count = ledgers.controls(self.ledger.copy(), self.world)
        say(f"control: {count} faults planted in copies of the ledger, {count} found")

    def summary(self):
        if not self.world:
            return "nothing was seen"
        rows = self.world.executions.values()
        return (f"{len(self.ledger.runs)} runs and {len(self.ledger.events)} events accepted, "
                f"{len(rows)} executions, {sum(row['attempt'] > 1 for row in rows)} ran again, "
                f"{len(self.ledger.decided)} were decided, "
                f"{sum(row['status'] == 'canceled' for row in rows)} canceled; the feed was "
                f"followed up to {self.feed.at}, with {self.feed.resumed} new beginnings")

    def end(self, failed):
        for visitor in self.visitors:
            visitor.stopping = True
        for visitor in self.visitors:
            visitor.end()
        self.feed.end()
        self.site.close(keep=failed or "--keep" in sys.argv)


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def built(path):
    """Beside the binary under test."""
    found = pathlib.Path(binary()).resolve().parent / path
    assert found.exists(), f"{found} is not built: ./dev chaos builds it"
    return found


def names_of_phases(seed):
    only = word("--only", "")
    if not only:
        return order(random.Random(seed))
    return iter(only.split(","))


def main():
    seed = argument("--seed", random.SystemRandom().randrange(1 << 30))
    seconds = 60 * argument("--minutes", 0) or argument("--seconds", 90)
    again = f"./dev chaos --seed {seed} --minutes {-(-seconds // 60)}"
    if "--only" in sys.argv:
        again += f" --only {word('--only', '')}"
    say(f"seed {seed}, {seconds} s; again: {again}")
    chaos = Chaos(seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = True
    try:
        chaos.start()
        say("all are up: " + ("far is in a network namespace" if chaos.site.namespace
                              else "far is behind a link: no network namespace can be had"))
        end = time.monotonic() + seconds
        for name in names_of_phases(seed):
            if name == "fill_disk" and not chaos.site.disk.is_small:
                say("fill_disk: left out: no small file system can be had")
                continue
            if time.monotonic() > end:
                break
            chaos.phase(name)
        chaos.settle()  # the last probes
        chaos.control()
        failed = False
    except BaseException as error:  # also one that a signal made
        traceback.print_exc()
        print(f"\nFAIL in phase {len(chaos.phases)} ({', '.join(chaos.phases)}): {error}")
        print(f"seed {seed}; again: {again}\nkept: {chaos.site.folder}", flush=True)
        for name, text in chaos.site.tails():
            print(f"---- {name}\n{text}")
    finally:
        chaos.end(failed)
    print(chaos.summary())
    print(f"answers: {dict(sorted(chaos.ledger.answers.items()))}")
    print(f"{0 if failed else 1} passed, {1 if failed else 0} failed: {len(chaos.phases)} phases")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
