#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real server whose wall clock is set, both ways: schedules, questions, tokens, keys, workflows.

usage: clock_test.py BINARY SHIFTED_CLOCK_SO

shifted_clock.cpp is loaded before it. That does not wake who waits for a clock that was set (timerfd's
TFD_TIMER_CANCEL_ON_SET; async_test.cpp): an event that nobody listens to wakes the server instead.
"""
import calendar
import contextlib
import os
import pathlib
import struct
import sys
import time

from harness import Server, cloud_event, rule, run_cases, until

HOUR, DAY = 3600, 86400
PACK = pathlib.Path(__file__).resolve().parent / "packs" / "clock"
LIBRARY = sys.argv[2]


class Shifted(Server):
    """A server whose wall clock is `shift` seconds ahead of the machine's."""

    def __init__(self, shift=0):
        super().__init__(packs=(PACK,))
        self.shift_file = self.home / "shift"
        self.pokes = 0
        self.write(shift)

    def write(self, shift):
        self.shift = shift
        self.shift_file.touch()
        with self.shift_file.open("r+b") as file:
            file.write(struct.pack("=q", shift))

    def start(self, **more):
        prefix = ["env", f"LD_PRELOAD={LIBRARY}", f"SHIFTED_CLOCK={self.shift_file}",
                  # Sanitizers want to be the first library.
                  "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0"]
        super().start(prefix=prefix, **more)
        self.prefixed = False  # env becomes the server
        return self

    def set_clock(self, shift):
        self.write(shift)
        self.pokes += 1
        self.client().data("POST", "/api/v1/events", cloud_event("clock-test", f"poke{self.pokes}"),
                           {"Content-Type": "application/cloudevents+json"})

    def now(self):
        return time.time() + self.shift

    def steps_seen(self):
        return [line["by_ms"] for line in self.log_lines("clock.stepped")]

    def runs_of(self, ref):
        page = self.client().request("GET", f"/api/v1/enforcements?rule={ref}&limit=200")[2]
        return len(page["data"])

    def make_rule(self, ref, trigger, parameters):
        self.client().data("POST", "/api/v1/rules", rule(
            ref, "core.noop", {}, trigger=trigger, trigger_parameters=parameters))

    def ask(self, minutes):
        return self.client().data("POST", "/api/v1/executions", {
            "action": "core.ask", "parameters": {"prompt": "?", "ttl": minutes}})["id"]

    def answer(self, execution):
        return self.client().request("POST", f"/api/v1/inquiries/{execution}/answer",
                                     {"response": {}})[0]

    def status(self, execution):
        return self.client().data("GET", f"/api/v1/executions/{execution}")["status"]


@contextlib.contextmanager
def server(shift=0):
    with Shifted(shift) as made:
        made.start()
        yield made
        assert made.stop() == 0
        assert "0 findings" in made.doctor()


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def it_lives_in_its_own_time():
    """Else the other cases would show nothing."""
    with server(10 * DAY) as one:
        made = one.client().data("POST", "/api/v1/executions?wait=20s", {"action": "core.noop"})
        ahead = seconds_of(made["created"]) - time.time()
        assert 10 * DAY - 60 < ahead < 10 * DAY + 60, ahead
        assert one.steps_seen() == []


def what_is_due_fires_when_the_clock_is_set_forward():
    with server() as one:
        one.make_rule("clock.hourly", "core.intervaltimer", {"unit": "hours", "interval": 1})
        one.make_rule("clock.daily", "core.crontimer", {"expression": "0 12 * * *"})
        one.make_rule("clock.once", "core.datetimetimer", {"fire_at": stamp(one.now() + 90 * 60)})
        one.make_rule("clock.far", "core.datetimetimer", {"fire_at": stamp(one.now() + 40 * DAY)})
        one.set_clock(2 * DAY)
        for ref in ("clock.hourly", "clock.daily", "clock.once"):
            until(f"{ref} has fired", lambda ref=ref: one.runs_of(ref) == 1)
        assert one.runs_of("clock.far") == 0
        [step] = one.steps_seen()
        assert abs(step - 2 * DAY * 1000) < 60_000, step
        # And goes on from there.
        one.set_clock(2 * DAY + HOUR + 60)
        until("the next hour has fired", lambda: one.runs_of("clock.hourly") == 2)
        assert one.runs_of("clock.once") == 1


def nothing_is_silent_when_the_clock_is_set_back():
    with server(30 * DAY) as one:
        one.make_rule("clock.often", "core.intervaltimer", {"unit": "seconds", "interval": 2})
        one.make_rule("clock.cron", "core.crontimer", {"expression": "*/2 * * * * *"})
        one.make_rule("clock.later", "core.datetimetimer", {"fire_at": stamp(one.now() + HOUR)})
        for ref in ("clock.often", "clock.cron"):
            until(f"{ref} fires", lambda ref=ref: one.runs_of(ref) > 0)
        one.set_clock(0)
        until("the step is in the log", one.steps_seen)
        before = {ref: one.runs_of(ref) for ref in ("clock.often", "clock.cron")}
        for ref, count in before.items():
            until(f"{ref} fires again", lambda ref=ref, count=count: one.runs_of(ref) >= count + 2)
        assert one.runs_of("clock.later") == 0  # a date is a date
        one.set_clock(30 * DAY + 2 * HOUR)
        until("the date has come", lambda: one.runs_of("clock.later") == 1)


def nothing_is_silent_after_a_restart_in_the_past():
    with server(30 * DAY) as one:
        one.make_rule("clock.often", "core.intervaltimer", {"unit": "seconds", "interval": 2})
        one.make_rule("clock.hourly", "core.intervaltimer", {"unit": "hours", "interval": 1})
        until("it fires", lambda: one.runs_of("clock.often") > 0)
        assert one.stop() == 0
        one.write(0)
        one.start()
        count = one.runs_of("clock.often")
        until("it fires again", lambda: one.runs_of("clock.often") >= count + 2)
        one.set_clock(HOUR + 60)
        until("the hour has fired", lambda: one.runs_of("clock.hourly") == 1)


def a_question_is_over_though_its_timer_has_not_run():
    with server() as one:
        late, early, stays = one.ask(30), one.ask(30), one.ask(600)
        assert one.answer(early) == 200
        one.write(HOUR)
        assert one.answer(late) == 409
        until("it has ended", lambda: one.status(late) == "timeout")
        assert one.answer(stays) == 200
        # Back: what has ended stays so, and what was asked ahead is open for no longer than it said.
        asked_ahead = one.ask(30)
        one.set_clock(0)
        assert one.status(late) == "timeout"
        one.set_clock(90 * 60 + 120)
        until("it has ended", lambda: one.status(asked_ahead) == "timeout")


def tokens_and_keys_are_over():
    with server() as one:
        admin = one.client()
        made = admin.data("POST", "/api/v1/tokens", {
            "identity": "brief", "permissions": ["executions:read"], "ttl_s": 30 * 60})
        admin.data("PUT", "/api/v1/keys/system/brief", {"value": "v", "ttl_s": 30 * 60})
        brief = one.client()
        brief.token = made["token"]
        assert brief.request("GET", "/api/v1/executions")[0] == 200
        assert admin.request("GET", "/api/v1/keys/system/brief")[0] == 200
        one.write(HOUR)  # nobody has told it
        assert brief.request("GET", "/api/v1/executions")[0] == 401
        assert admin.request("GET", "/api/v1/keys/system/brief")[0] == 404
        told = admin.data("POST", "/api/v1/executions?wait=20s", {
            "action": "core.echo", "parameters": {"message": "there"}})
        assert told["status"] == "succeeded", told
        # One that was made while the clock was behind is not over when it is set right.
        one.set_clock(-DAY)
        young = admin.data("POST", "/api/v1/tokens", {
            "identity": "young", "permissions": ["executions:read"], "ttl_s": 2 * DAY})
        one.set_clock(0)
        brief.token = young["token"]
        assert brief.request("GET", "/api/v1/executions")[0] == 200


def workflows_and_runs_live_through_steps():
    with server() as one:
        client = one.client()
        # A run's time is counted by the clock that nobody sets.
        run = client.data("POST", "/api/v1/executions", {
            "action": "core.local", "parameters": {"cmd": "sleep 3; echo done"}, "timeout_ms": 600_000})
        until("it runs", lambda: one.status(run["id"]) == "running")
        one.set_clock(DAY)
        one.set_clock(-DAY)
        one.set_clock(DAY)
        until("it ends", lambda: one.status(run["id"]) not in ("requested", "scheduled", "running"))
        assert one.status(run["id"]) == "succeeded", one.status(run["id"])
        sleeper = client.data("POST", "/api/v1/executions", {
            "action": "core.sleep", "parameters": {"seconds": 7200}})["id"]
        until("it sleeps", lambda: one.status(sleeper) == "running")
        one.set_clock(DAY + 3 * HOUR)
        until("it wakes", lambda: one.status(sleeper) == "succeeded")


def delays_and_timeouts_of_workflows_hold():
    with server() as one:
        client = one.client()
        delayed, late = (client.data("POST", "/api/v1/executions", {"action": f"clock.{name}"})["id"]
                         for name in ("delayed", "late"))
        until("both wait", lambda: {one.status(delayed), one.status(late)} == {"running"})
        one.set_clock(-HOUR)
        one.set_clock(3 * HOUR)
        until("the delay is over", lambda: one.status(delayed) == "succeeded")
        until("its time is over", lambda: one.status(late) == "timeout")


CASES = [
    it_lives_in_its_own_time,
    what_is_due_fires_when_the_clock_is_set_forward,
    nothing_is_silent_when_the_clock_is_set_back,
    nothing_is_silent_after_a_restart_in_the_past,
    a_question_is_over_though_its_timer_has_not_run,
    tokens_and_keys_are_over,
    workflows_and_runs_live_through_steps,
    delays_and_timeouts_of_workflows_hold,
]

if __name__ == "__main__":
    sys.exit(run_cases(CASES))
