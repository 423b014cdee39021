#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sensors through the real binary: those of a pack in StackStorm's format, unmodified; programs of
any language; and those that die, flood, print without end or do not stop, beside which the others
go on."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from harness import ROOT, Client, Server, rule, run_cases, start_time, until

HARBOUR = ROOT / "tests/e2e/packs_st2/harbour"
PATIENCE = 60

CLASS = """
from st2reactor.sensor.base import Sensor
import os, time, signal
class Eye(Sensor):
    def setup(self): {setup}
    def run(self): {run}
    def cleanup(self): {cleanup}
    def add_trigger(self, trigger): pass
    def update_trigger(self, trigger): pass
    def remove_trigger(self, trigger): pass
"""


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)
    return folder


def eye(folder, name="eye", setup="pass", run="time.sleep(1e6)", cleanup="pass"):
    return write(folder / name, {
        "pack.yaml": f"name: {name}\nversion: 1.0.0\n",
        "sensors/eye.yaml": "class_name: Eye\nentry_point: eye.py\n"
                            "trigger_types: [{name: seen}]\n",
        "sensors/eye.py": CLASS.format(setup=setup, run=run, cleanup=cleanup)})


def sensor(server, ref):
    return server.client().data("GET", f"/api/v1/sensors/{ref}")


def lines(server, ref):
    return [f"{line['stream']} {line['text']}"
            for line in server.client().data("GET", f"/api/v1/sensors/{ref}/logs?limit=2000")]


def until_state(server, ref, state, seconds=PATIENCE):
    return until(f"{ref} is {state}", lambda: (lambda now: now["state"] == state and now)(
        sensor(server, ref)), seconds, 0.1, lambda: json.dumps(
            [sensor(server, ref), lines(server, ref)[-20:]], indent=1))


def events(server, trigger):
    return server.client().data("GET", f"/api/v1/events?trigger={trigger}&limit=500")


def children_of(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(stat[1]) == pid and stat[0] != "Z":
                found.append(int(entry.name))
    return found


def a_pack_of_stackstorm_runs_unmodified():
    with Server(packs=(HARBOUR,)) as server:
        berth, log = server.home / "berth", server.home / "log"
        berth.mkdir()
        configs = write(server.home / "configs", {
            "harbour.yaml": f"berth: {berth}\npassword: open-sesame-77\n"})
        server.settings["packs.configs"] = str(configs)
        server.start()
        client = server.client()
        client.data("POST", "/api/v1/rules", rule(
            "harbour.on_ship", "harbour.greet",
            {"log": str(log), "words": "hello {{ trigger.name }}"}, trigger="harbour.ship"))
        client.data("POST", "/api/v1/rules", rule(
            "harbour.on_tide", "harbour.greet",
            {"log": str(log), "words": "tide at {{ trigger.mark }}"}, trigger="harbour.tide",
            trigger_parameters={"mark": "pier"}))
        running = until_state(server, "harbour.ShipsSensor", "running")
        assert running["triggers"] == ["harbour.ship"] and running["poll_interval"] == 1, running
        (berth / "anna").write_text("")
        until("the actions have run", lambda: log.exists() and sorted(
            log.read_text().splitlines()) == ["hello anna", "tide at pier"], PATIENCE, 0.1,
            lambda: str(lines(server, "harbour.TideSensor") + lines(server, "harbour.ShipsSensor")))
        event = events(server, "harbour.ship")[0]
        assert event["source"] == "sensor:harbour.ShipsSensor", event
        shown = until("the event is counted", lambda: (
            lambda s: s["events"] == 1 and s)(sensor(server, "harbour.ShipsSensor")))
        assert shown["last_event"] and shown["refused"] == 0, shown
        printed = "\n".join(lines(server, "harbour.ShipsSensor"))
        assert f"looks at {berth}" in printed and "open-sesame-77" not in printed, printed
        assert "the password is ********" in printed, printed
        # The sensor is told of rules that come, change and go.
        until("it knows of the first", lambda: "stdout add pier" in lines(
            server, "harbour.TideSensor"))
        client.data("PUT", "/api/v1/rules/harbour.on_tide", rule(
            "harbour.on_tide", "harbour.greet",
            {"log": str(log), "words": "now at {{ trigger.mark }}"}, trigger="harbour.tide",
            trigger_parameters={"mark": "buoy"}))
        until("it is told", lambda: lines(server, "harbour.TideSensor")[-2:] == [
            "stdout remove pier", "stdout add buoy"], PATIENCE, 0.1)
        until("the rule's new mark counts", lambda: "now at buoy" in log.read_text(), PATIENCE)
        client.request("DELETE", "/api/v1/rules/harbour.on_tide")
        until("it is told again", lambda: lines(server, "harbour.TideSensor")[-1] ==
              "stdout remove buoy", PATIENCE, 0.1)
        # What it has kept outlives a restart: nobody is greeted twice.
        assert "started anew" in server.cli("sensor", "restart", "harbour.ShipsSensor")
        until("it was started again", lambda: sensor(server, "harbour.ShipsSensor")["starts"] == 2,
              PATIENCE)
        until_state(server, "harbour.ShipsSensor", "running")
        (berth / "bertha").write_text("")
        until("the second ship is greeted", lambda: "hello bertha" in log.read_text(), PATIENCE)
        assert log.read_text().count("hello anna") == 1, log.read_text()
        table = server.cli("sensor", "list")
        assert "harbour.ShipsSensor" in table and "running" in table, table
        assert "looks at" in server.cli("sensor", "logs", "harbour.ShipsSensor")
        assert "harbour.ship" in server.cli("sensor", "show", "harbour.ShipsSensor")
        assert server.cli("pack", "check", str(HARBOUR)).count("are not run") == 0
        assert server.stop() == 0


def a_change_of_its_configuration_starts_it_anew():
    with Server(packs=(HARBOUR,)) as server:
        for name in ("one", "two"):
            (server.home / name).mkdir()
            (server.home / name / f"ship-{name}").write_text("")
        server.start()
        def put(berth):
            server.client().data("PUT", "/api/v1/packs/harbour/config", {
                "values": {"berth": str(server.home / berth)}})
        put("one")
        until("the first is seen", lambda: len(events(server, "harbour.ship")) == 1, PATIENCE, 0.1,
              lambda: str(lines(server, "harbour.ShipsSensor")))
        put("two")
        until("the second is seen", lambda: len(events(server, "harbour.ship")) == 2, PATIENCE)
        said = lines(server, "harbour.ShipsSensor")
        assert any("release or configuration is another" in line for line in said), said


def a_release_takes_the_place_of_the_one_before():
    with Server(packs=()) as server:
        folder = server.home / "packs"
        eye(folder, setup="print('the first')")
        server.packs = (folder,)
        server.start()
        until("the first runs", lambda: "stdout the first" in lines(server, "eye.Eye"), PATIENCE)
        eye(folder, setup="print('the second')")
        server.reload()
        until("the second runs", lambda: "stdout the second" in lines(server, "eye.Eye"), PATIENCE)
        pid = until_state(server, "eye.Eye", "running")["pid"]
        server.client().data("DELETE", "/api/v1/packs/eye")
        until("it has ended", lambda: start_time(pid) is None, PATIENCE)
        assert server.client().request("GET", "/api/v1/sensors/eye.Eye")[0] == 404


def a_program_of_any_language_is_a_sensor():
    script = """#!/bin/sh
read start
echo "$start" | grep -q '"config"' && echo "told"
echo "has $(tr '\\0' '\\n' < /proc/$$/environ | cut -d= -f1 | grep -Ev '^(MILLRACE|ATTUNE)_' | sort | tr '\\n' ' ')"
echo '{"type": "event", "seq": 1, "trigger": "bell.rang", "payload": {"n": 1}}' >&3
echo '{"type": "event", "seq": 2, "trigger": "core.webhook", "payload": {}}' >&3
echo 'no json' >&3
while read line; do echo "$line"; done
"""
    api = """import json, os, time, urllib.request, urllib.error
def send(kind, number):
    body = json.dumps({"specversion": "1.0", "id": number, "source": "here", "type": kind,
                       "data": {"n": number}}).encode()
    request = urllib.request.Request(os.environ["ATTUNE_API_URL"] + "/api/v1/events", body, {
        "Content-Type": "application/cloudevents+json",
        "Authorization": "Bearer " + os.environ["ATTUNE_API_TOKEN"]})
    try:
        print(urllib.request.urlopen(request).status, flush=True)
    except urllib.error.HTTPError as error:
        print(error.code, json.load(error)["code"], flush=True)
def get(path):
    request = urllib.request.Request(os.environ["MILLRACE_API_URL"] + path, headers={
        "Authorization": "Bearer " + os.environ["MILLRACE_API_TOKEN"]})
    try:
        print("got", urllib.request.urlopen(request).status, flush=True)
    except urllib.error.HTTPError as error:
        print("not", error.code, flush=True)
send("bell.posted", "1")
send("bell.rang", "2")
get("/api/v1/keys/system/bell.mine")
get("/api/v1/keys/system/other.secret")
get("/api/v1/executions")
time.sleep(1e6)
"""
    with Server(packs=()) as server:
        write(server.home / "bell", {
            "pack.yaml": "name: bell\nversion: 1.0.0\n",
            "triggers/posted.yaml": "name: posted\n",
            "sensors/ring.yaml": "name: ring\nentry_point: ring.sh\nrunner_type: shell\n"
                                 "trigger_types: [{name: rang}]\n",
            "sensors/ring.sh": script,
            "sensors/post.yaml": "ref: bell.post\nrunner_type: python\nentry_point: post.py\n"
                                 "trigger_types: [bell.posted]\n",
            "sensors/post.py": api,
            "sensors/odd.yaml": "name: odd\nrunner_type: cobol\nentry_point: odd\n",
            "sensors/odd": "",
            "sensors/off.yaml": "name: 'off'\nenabled: false\nentry_point: off\n",
            "sensors/off": "#!/bin/sh\n"})
        server.packs = (server.home / "bell",)
        server.start()
        for key in ("bell.mine", "other.secret"):
            server.client().data("PUT", f"/api/v1/keys/system/{key}", {"value": 1})
        until("its event is there", lambda: len(events(server, "bell.rang")) == 1, PATIENCE, 0.1,
              lambda: str(lines(server, "bell.ring")))
        until("it is answered", lambda: 'stdout {"type":"ack","seq":1}' in lines(
            server, "bell.ring"), PATIENCE)
        said = "\n".join(lines(server, "bell.ring"))
        assert "stdout told" in said, said
        assert "stdout has HOME LANG PATH TMPDIR" in said, said
        assert "trigger 'core.webhook' is none of sensor 'bell.ring'" in said, said
        assert "a line of its protocol" in said, said
        until("the API has answered", lambda: len([line for line in lines(
            server, "bell.post") if line.startswith("stdout")]) >= 5, PATIENCE, 0.1,
            lambda: str(lines(server, "bell.post")))
        assert [line for line in lines(server, "bell.post") if line.startswith("stdout")][:5] == [
            "stdout 202", "stdout 403 API-0130", "stdout got 200", "stdout not 403",
            "stdout not 403"], lines(server, "bell.post")
        assert sensor(server, "bell.odd")["state"] == "no_runtime"
        assert sensor(server, "bell.off")["state"] == "disabled"
        health = server.client().request("GET", "/health")[2]
        assert "1 sensors have no runtime" in json.dumps(health), health
        refused = server.client().request("POST", "/api/v1/sensors/bell.odd/restart")
        assert refused[0] == 409 and refused[2]["code"] == "API-0131", refused
        # A switch holds whatever the file says, over a restart of the server.
        assert "is enabled" in server.cli("sensor", "enable", "bell.off")
        assert "is disabled" in server.cli("sensor", "disable", "bell.ring")
        until_state(server, "bell.ring", "disabled")
        assert "ended with" in until_state(server, "bell.off", "backing_off")["last_error"]
        server.stop()
        server.start()
        until_state(server, "bell.post", "running")
        until_state(server, "bell.ring", "disabled")
        assert server.client().request("POST", "/api/v1/sensors/no.such/disable")[0] == 404
        pid = sensor(server, "bell.post")["pid"]
        for one in [pid, *children_of(pid)]:
            assert b"mr_" not in pathlib.Path(f"/proc/{one}/cmdline").read_bytes()


def what_one_sensor_does_costs_no_other():
    with Server(packs=(), settings={"sensors.stop_grace_ms": 1000,
                                    "sensors.events_per_second": 100}) as server:
        folder = server.home / "packs"
        eye(folder, "dying", setup="raise ValueError('no luck')")
        eye(folder, "quick", run="os._exit(3)")
        eye(folder, "loud", run="os.system('yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')")
        eye(folder, "flood", run="[self.sensor_service.dispatch('flood.seen', {'n': n}) "
                                 "for n in range(10**9)]")
        eye(folder, "deaf", setup="signal.signal(signal.SIGTERM, signal.SIG_IGN); "
                                  "os.system('setsid sleep 98765 &')",
            cleanup="time.sleep(1e6)")
        eye(folder, "calm", run="[(time.sleep(0.2), self.sensor_service.dispatch('calm.seen', {}))"
                                " for _ in range(10**6)]")
        server.packs = (folder,)
        server.start()
        dying = until_state(server, "dying.Eye", "backing_off")
        assert "no luck" in dying["last_error"] and dying["next_start"], dying
        assert "exit 3" in until_state(server, "quick.Eye", "backing_off")["last_error"]
        until("the flood is held up", lambda: sensor(server, "flood.Eye")["held_up"] > 0, PATIENCE)
        began, before = time.monotonic(), sensor(server, "flood.Eye")["events"]
        calm = sensor(server, "calm.Eye")["events"]
        until("the calm one is heard", lambda: sensor(server, "calm.Eye")["events"] > calm + 10,
              PATIENCE)
        spent = time.monotonic() - began
        sent = sensor(server, "flood.Eye")["events"] - before
        assert sent <= 100 * spent + 200, (sent, spent)
        assert any("it has to wait" in line for line in lines(server, "flood.Eye"))
        until("the loud one is kept within bounds", lambda: len(lines(server, "loud.Eye")) == 2000,
              PATIENCE)
        until("dying ones come again, and later each time", lambda: sensor(
            server, "quick.Eye")["starts"] >= 2, PATIENCE)
        health = json.dumps(server.client().request("GET", "/health")[2])
        assert "sensors do not stay up" in health, health
        told = server.client().request("GET", "/metrics")[2].decode()
        assert float(re.search(r"^millrace_sensors_running (\S+)", told, re.M)[1]) >= 3, told
        assert float(re.search(r"^millrace_sensors_down (\S+)", told, re.M)[1]) >= 1, told
        assert float(re.search(r"^millrace_sensor_events_total (\S+)", told, re.M)[1]) > 10, told
        # It hangs at its stop: its tree is killed, in another session as well.
        deaf = until_state(server, "deaf.Eye", "running")["pid"]
        tree = until("it has its child", lambda: (lambda found: len(found) >= 2 and found)(
            children_of(deaf) + [c for p in children_of(deaf) for c in children_of(p)]), PATIENCE)
        server.cli("sensor", "restart", "deaf.Eye")
        until("its tree has gone", lambda: all(
            start_time(pid) is None for pid in [deaf, *tree]), PATIENCE)
        until_state(server, "deaf.Eye", "running")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10


def the_server_tells_of_its_processes_and_takes_no_trigger_of_another():
    with Server(packs=()) as server:
        folder = server.home / "packs"
        eye(folder, "thief", run="[(time.sleep(0.2), self.attempt()) for _ in range(10**6)]\n"
                                 "    def attempt(self):\n"
                                 "        try: self.sensor_service.dispatch('owner.seen', {})\n"
                                 "        except Exception as why: print('no:', why, flush=True)")
        eye(folder, "owner")
        write(folder / "watch", {
            "pack.yaml": "name: watch\nversion: 1.0.0\n",
            **{f"rules/{what}.yaml": f"name: {what}\ntrigger: "
                                     f"{{type: core.st2.sensor.process_{what}}}\n"
                                     "criteria: {trigger.ref: {type: eq, pattern: owner.Eye}}\n"
                                     "action: {ref: core.noop}\n" for what in ("spawn", "exit")}})
        server.packs = (folder,)
        server.start()
        until_state(server, "owner.Eye", "running")
        server.cli("sensor", "restart", "owner.Eye")
        until("its end is told", lambda: server.client().data(
            "GET", "/api/v1/enforcements?rule=watch.exit"), PATIENCE)
        spawned = until("its starts are told", lambda: (lambda all: len(all) >= 2 and all)(
            server.client().data("GET", "/api/v1/enforcements?rule=watch.spawn")), PATIENCE)
        payload = server.client().data("GET", f"/api/v1/events/{spawned[0]['event']}")["payload"]
        assert payload["ref"] == "owner.Eye" and payload["pid"] > 0, payload
        until("the thief is told no", lambda: sensor(server, "thief.Eye")["refused"] > 3, PATIENCE)
        assert not events(server, "owner.seen"), "another's trigger"
        assert any("none of sensor 'thief.Eye'" in line for line in lines(server, "thief.Eye"))


def a_sensor_in_javascript_and_the_limits_of_its_process():
    with Server(packs=(), settings={"worker.limits.open_files": 123,
                                    "worker.limits.memory_bytes": 3 << 30}) as server:
        write(server.home / "gulls", {
            "pack.yaml": "name: gulls\nversion: 1.0.0\n",
            "sensors/gull.yaml": "class_name: gull\nentry_point: gull.mjs\n"
                                 "trigger_types: [{name: cried}]\n",
            "sensors/gull.mjs": """import { sensor } from "@millrace/sdk";
import { readFileSync } from "node:fs";
let told = 0;
export default sensor({
  pollIntervalMs: 100,
  async poll({ dispatch }) {
    if (told++ > 0) return;
    const limits = readFileSync("/proc/self/limits", "utf8");
    console.log(limits.match(/Max open files.*/)[0].split(/ +/)[3],
                limits.match(/Max data size.*/)[0].split(/ +/)[3]);
    await dispatch("gulls.cried", { n: 1 }, { id: "one" });
    await dispatch("gulls.cried", { n: 2 }, { id: "one" });
  },
});
"""})
        server.packs = (server.home / "gulls",)
        server.start()
        until("it is heard", lambda: sensor(server, "gulls.gull")["events"] == 2, PATIENCE, 0.1,
              lambda: str(lines(server, "gulls.gull")))
        assert len(events(server, "gulls.cried")) == 1, "what has the same id is one event"
        assert f"stdout 123 {3 << 30}" in lines(server, "gulls.gull"), lines(server, "gulls.gull")
        until_state(server, "gulls.gull", "running")


def no_sensor_outlives_its_server():
    with Server(packs=()) as server:
        eye(server.home / "packs", run="os.system('setsid sleep 87654 & sleep 87654')")
        server.packs = (server.home / "packs",)
        server.start()
        pid = until_state(server, "eye.Eye", "running")["pid"]

        def tree():
            found, rest = [], [pid]
            while rest:
                one = rest.pop()
                found.append((one, start_time(one)))
                rest += children_of(one)
            return found
        until("its children are there", lambda: len(tree()) >= 4, PATIENCE)
        before = tree()
        os.kill(server.pid(), signal.SIGKILL)
        server.process.wait(timeout=60)
        until("all have gone", lambda: not any(
            start_time(one) == started for one, started in before), PATIENCE, 0.1,
            lambda: subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout)
        server.start()
        assert until_state(server, "eye.Eye", "running")["pid"] != pid


def a_token_without_the_right_sees_none():
    with Server(packs=(HARBOUR,)).start() as server:
        made = server.client().data("POST", "/api/v1/tokens", {
            "identity": "reader", "permissions": ["rules:read"]})
        reader = Client(server.url(), made["token"])
        for method, path in (("GET", ""), ("GET", "/harbour.TideSensor"),
                             ("GET", "/harbour.TideSensor/logs"),
                             ("POST", "/harbour.TideSensor/restart")):
            status, _, problem = reader.request(method, "/api/v1/sensors" + path)
            assert status == 403 and problem["code"] == "API-0011", (method, path, problem)


if __name__ == "__main__":
    sys.exit(run_cases([
        a_pack_of_stackstorm_runs_unmodified,
        a_change_of_its_configuration_starts_it_anew,
        a_release_takes_the_place_of_the_one_before,
        a_program_of_any_language_is_a_sensor,
        what_one_sensor_does_costs_no_other,
        the_server_tells_of_its_processes_and_takes_no_trigger_of_another,
        a_sensor_in_javascript_and_the_limits_of_its_process,
        no_sensor_outlives_its_server,
        a_token_without_the_right_sees_none,
    ]))
