# SPDX-License-Identifier: Apache-2.0
"""Millrace: its store in SQLite or PostgreSQL; its handlers in the process of the engine, in a warm
node process that it asks over HTTP, or in a node process for each run."""
import http.client
import json
import time

from contestant import END_LIMIT_S, INSTALLED, NODE, PROGRAMS, ROOT, Posted, until
from load import HttpLoad, free_port, post

BINARY = INSTALLED / "millrace"


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def workflow(pack, name, text, parameters="n: {type: integer}"):
    written(pack / f"actions/{name}.yaml",
            f"name: {name}\ndescription: A workflow.\nrunner_type: workflow\n"
            f"workflow_file: workflows/{name}.yaml\nparameters:\n  {parameters}\n")
    written(pack / f"actions/workflows/{name}.yaml", text)


def chain(tasks, of):
    """Tasks one after the other; the last one publishes `n`."""
    text = ""
    for place, task in enumerate(tasks):
        following = f", do: {tasks[place + 1]}" if place + 1 < len(tasks) else ""
        text += f"  {task}: {{{of(task)[0]},\n    next: [{{publish: [{{n: {of(task)[1]}}}]{following}}}]}}\n"
    return "input: [n]\ntasks:\n" + text + "output: [{n: <% ctx().n %>}]\n"


def fan(branch):
    names = [f"b{i}" for i in range(100)]
    return ("tasks:\n  begin: {action: core.noop, next: [{do: [" + ", ".join(names) + "]}]}\n"
            + "".join(f"  {name}: {{{branch}, next: [{{do: join}}]}}\n" for name in names)
            + "  join: {join: all, action: core.noop}\n")


class Millrace(Posted):
    accepts = (201, b'"id"')
    works = ("empty", "three", "fan_calls")
    store = "SQLite"
    settings = ()
    waits = "timer"

    def __init__(self, folder):
        super().__init__(folder)
        self.token = ""
        self.connection = None
        self.accepted = {}
        self.write_pack(folder / "packs/peers")

    def write_pack(self, pack):
        written(pack / "pack.yaml",
                "ref: peers\nname: peers\nlabel: Peers\ndescription: Work to compare engines with.\n"
                "version: 1.0.0\nauthor: The Millrace contributors\n")
        step = ("action: core.echo, input: {message: <% ctx().n %>}", "<% result().output + 1 %>")
        workflow(pack, "three", chain(["one", "two", "three"], lambda _: step))
        workflow(pack, "fan_calls", fan("action: core.noop"))

    def start(self):
        data = self.folder / "data"
        (data / "url").unlink(missing_ok=True)
        command = [BINARY, "up", "--data", data, "--packs", self.folder / "packs",
                   "--set", "server.port=0", "--set", "log.level=error"]
        if self.store == "PostgreSQL":
            command += ["--set", f"store.url={self.start_postgres()}"]
        for setting in self.settings:
            command += ["--set", setting]
        self.enclosure.spawn(command, self.log, cwd=self.folder)
        until(f"{self.name} has a port (see {self.log})", lambda: (data / "url").exists()
              and (data / "url").read_text().strip())
        self.port = int((data / "url").read_text().rsplit(":", 1)[1])
        self.connection = None
        self.until_answers(self.port, "/ready")
        self.token = f"Authorization: Bearer {(data / 'admin.token').read_text().strip()}\r\n"

    def get(self, path):
        """Over one connection; the server closes it when nothing comes for long."""
        headers = {"Authorization": self.token.split(": ", 1)[1].strip()}
        for again in (True, False):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.connection.request("GET", path, headers=headers)
                answer = self.connection.getresponse()
                break
            except ConnectionError:
                self.connection = None
                if not again:
                    raise
        page = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"peers: {path}: {page}")
        return page

    def execution(self, action, parameters, wait):
        path = "/api/v1/executions" + ("?wait=60s" if wait else "")
        return path, json.dumps({"action": action, "parameters": parameters})

    def action_of(self, work):
        return {"empty": ("core.noop", {}), "three": ("peers.three", {"n": 1}),
                "fan_calls": ("peers.fan_calls", {})}[work]

    def call_of(self, work):
        path, body = self.execution(*self.action_of(work), wait=True)
        return path, body, self.token, 201, b'"status":"succeeded"'

    def begun(self, action, parameters_of, count, in_flight, limit_s=None):
        """Starts them; the ids in the order of their numbers, when each was acknowledged, and what
        the client says."""
        ids, at = [None] * count, [0.0] * count

        def answered(number, body):
            ids[number] = json.loads(body)["data"]["id"]
            at[number] = time.time() * 1e3

        def request(number):
            path, body = self.execution(action, parameters_of(number), wait=False)
            return post(path, body, self.token)
        told = HttpLoad(self.port, in_flight).run(request, (201, b'"id"'), limit_s, count,
                                                  answered)
        return ids, at, told

    def all_executions(self, query=""):
        cursor = ""
        while True:
            page = self.get(f"/api/v1/executions?limit=500{query}{cursor}")
            yield from page["data"]
            if not page.get("next_cursor"):
                return
            cursor = f"&cursor={page['next_cursor']}"

    def left(self):
        """Whether something is not final."""
        return bool(self.get("/api/v1/executions?limit=1&open=true")["data"])

    def timers(self, count, lead_s, window_s, in_flight):
        first = time.time() + lead_s
        delays = [0.0] * count

        def parameters(number):
            delays[number] = max(0.0, first + number / count * window_s - time.time())
            return {"seconds": round(delays[number], 3)}
        ids, at, told = self.begun("core.sleep", parameters, count, in_flight)
        time.sleep(max(0, first + window_s - time.time()))
        until(f"all timers of {self.name} are done", lambda: not self.left(), END_LIMIT_S, 0.1)
        return told.seconds, lambda: self.late(ids, at, delays)

    def late(self, ids, at, delays):
        wanted = set(ids)
        ended = {}
        for row in self.all_executions():
            if row["id"] in wanted:
                if row["status"] != "succeeded":
                    raise SystemExit(f"peers: a timer of {self.name}: {row}")
                ended[row["id"]] = milliseconds(row["ended"])
            if len(ended) == len(ids):
                break
        return [max(0.0, ended[ids[i]] - at[i] - delays[i] * 1e3) for i in range(len(ids))]

    def fill(self, count, limit_s):
        """Timers that all come due at once, when the last is there."""
        count = min(count, int(self.load("empty", 64, 1).operations * limit_s / 2))
        self.due = time.time() + limit_s
        self.begun("core.sleep", lambda _: {"seconds": round(self.due - time.time(), 3)}, count, 64)
        if time.time() > self.due:
            raise SystemExit(f"peers: {self.name}: timers came due while they were made")
        return count

    def drain(self, count, limit_s):
        time.sleep(max(0, self.due - time.time()))
        begin = self.due
        until("the timers are done", lambda: not self.left(), END_LIMIT_S, 0.1)
        return count, time.time() - begin

    def accept_call(self, number):
        path, body = self.execution(*self.accepted_work(number), wait=False)
        return path, body, self.token

    def was_accepted(self, number, body):
        self.accepted[json.loads(body)["data"]["id"]] = str(number)

    def accepted_work(self, number):
        return "peers.three", {"n": number}

    def finished(self):
        """Newest first: behind the first that was accepted are those of other rows."""
        found, first = set(), min(map(int, self.accepted))
        for row in self.all_executions("&status=succeeded&action=peers.three"):
            if int(row["id"]) < first:
                break
            if row["id"] in self.accepted:
                found.add(self.accepted[row["id"]])
        return found


def milliseconds(text):
    """Of a time as the API writes it."""
    whole, _, part = text.rstrip("Z").partition(".")
    at = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return (time.mktime(at) - time.timezone) * 1e3 + float(f"0.{part or 0}") * 1e3


class InProcessSqlite(Millrace):
    name = "Millrace, in process, SQLite"


class InProcessPostgres(Millrace):
    name = "Millrace, in process, PostgreSQL"
    store = "PostgreSQL"


class OverHttp(Millrace):
    """The handlers are in a warm node process, which an HTTP action asks."""
    waits = "queue"
    settings = ("worker.slots=64",)

    def write_pack(self, pack):
        super().write_pack(pack)
        self.handler_port = free_port()

        # As the peers have it: what was under way when all was killed is done again.
        parameters = (ROOT / "packs/core/actions/http.yaml").read_text().partition("parameters:")[2]
        written(pack / "actions/call.yaml",
                "name: call\ndescription: Calls a handler.\nrunner_type: http-request\n"
                f"effect_class: idempotent\nparameters:{parameters}")

        def asks(path, body):
            return (f"action: peers.call, input: {{method: POST, url: '{self.url(path)}', "
                    f"body: {body}}}")
        step = (asks("/step", "{n: <% ctx().n %>}"), "<% result().output.body.n %>")
        last = (asks("/ledger", "{id: <% ctx().n %>}"), "<% ctx().n %>")
        workflow(pack, "three", chain(["one", "two", "three"], lambda _: step))
        workflow(pack, "recorded", "input: [n]\ntasks:\n"
                 f"  one: {{{step[0]}, next: [{{do: two}}]}}\n"
                 f"  two: {{{step[0]}, next: [{{do: three}}]}}\n  three: {{{last[0]}}}\n")
        workflow(pack, "fan_calls", fan(asks("/empty", "{}")))
        workflow(pack, "tick", "input: [n, seconds]\ntasks:\n"
                 "  wait: {action: core.sleep, input: {seconds: <% ctx().seconds %>}, "
                 "next: [{do: tick}]}\n"
                 f"  tick: {{{asks('/tick', '{i: <% ctx().n %>}')}}}\n",
                 "n: {type: integer}\n  seconds: {type: number}")

    def url(self, path):
        return f"http://127.0.0.1:{self.handler_port}{path}"

    def start(self):
        self.enclosure.spawn([NODE, PROGRAMS / "handlers.mjs", self.handler_port,
                              self.probe_port, self.ledger], self.log)
        self.until_answers(self.probe_port, "/passed")
        super().start()

    def action_of(self, work):
        if work == "empty":
            return "peers.call", {"method": "POST", "url": self.url("/empty"), "body": {}}
        return super().action_of(work)

    def timers(self, count, lead_s, window_s, in_flight):
        first = time.time() + lead_s
        delays = [0.0] * count

        def parameters(number):
            delays[number] = max(0.0, first + number / count * window_s - time.time())
            return {"n": number, "seconds": round(delays[number], 3)}
        _, at, told = self.begun("peers.tick", parameters, count, in_flight)
        fired = {}

        def all_fired():
            fired.update((i, when) for i, when in self.probe("/take_fired"))
            return len(fired) == count
        time.sleep(max(0, first + window_s - time.time()))
        until(f"all timers of {self.name} have fired", all_fired, END_LIMIT_S, 0.1)
        return told.seconds, lambda: [max(0.0, fired[i] - at[i] - delays[i] * 1e3)
                                 for i in range(count)]

    def fill(self, count, limit_s):
        self.probe("/close")
        return self.begun(*self.gated(), count, 64, limit_s)[2].operations

    def gated(self):
        parameters = {"method": "POST", "url": self.url("/gated"), "body": {}, "timeout": 3600}
        return "peers.call", lambda _: parameters

    def drain(self, count, limit_s):
        return self.opened(count, limit_s)

    def accepted_work(self, number):
        return "peers.recorded", {"n": number}

    def finished(self):
        return set(self.ledger.read_text().split())


class OverHttpSqlite(OverHttp):
    name = "Millrace, node over HTTP, SQLite"


class OverHttpPostgres(OverHttp):
    name = "Millrace, node over HTTP, PostgreSQL"
    store = "PostgreSQL"


class NodeEach(Millrace):
    """A node process for each run: Millrace has no warm runtime yet."""
    name = "Millrace, a node process each, SQLite"
    works = ("empty",)
    waits = ""
    recovers = False

    def write_pack(self, pack):
        super().write_pack(pack)
        written(pack / "actions/empty.yaml",
                "name: empty\ndescription: Does nothing.\nrunner_type: native\n"
                "entry_point: empty.mjs\neffect_class: pure\n")
        written(pack / "actions/empty.mjs", f"#!{NODE}\nconsole.log('{{}}');\n")
        (pack / "actions/empty.mjs").chmod(0o755)

    def action_of(self, work):
        return "peers.empty", {}
