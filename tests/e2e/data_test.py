#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What comes in is what is stored: values keep their worth on the way through the real binary."""
import base64
import gzip
import http.server
import json
import pathlib
import sqlite3
import subprocess
import tempfile
import threading
import zlib

from harness import Server, binary, run_cases, until

SERVER = WEB = TWICE = None
PACK = pathlib.Path(tempfile.mkdtemp(prefix="millrace-data-pack-")) / "border"


def write_pack():
    """The pack of these tests: what must be as it is stands beside the case that needs it."""
    files = {
        "pack.yaml": "ref: border\nname: border\nlabel: Border\ndescription: For tests.\n"
                     "version: 1.0.0\nauthor: The Millrace contributors\n",
        "actions/twice.yaml": "name: twice\nrunner_type: orquesta\n"
                              "entry_point: workflows/twice.yaml\n"
                              "parameters: {msg: {type: string}}\n",
        "actions/workflows/twice.yaml":
            "version: 1.0\ninput: [msg]\ntasks:\n"
            "  a: {action: core.echo, input: {message: <% ctx().msg %>},"
            " next: [{publish: [{m: <% result().output %>}]}]}\n"
            "output: [{m: <% ctx().m %>}]\n",
        "actions/large.yaml": "name: large\nrunner_type: workflow\n"
                              "entry_point: workflows/large.yaml\n"
                              "parameters: {bytes: {type: integer}}\n",
        "actions/workflows/large.yaml":
            "version: 1.0\ninput: [bytes]\ntasks:\n"
            "  a: {action: core.local, input: {cmd: \"head -c {{ parameters.bytes }} /dev/zero"
            " | tr '\\\\0' x\"}, next: [{publish: [{n: \"{{ result().stdout | length }}\"}]}]}\n"
            "output: [{n: \"{{ workflow.n }}\"}]\n",
        # As the author of a pack would: the pin in a number, in a text, and alone.
        "actions/pin.yaml": "name: pin\nrunner_type: python\nentry_point: pin.py\n"
                            "output_format: json\nparameters: {pin: {type: string, secret: true}}\n",
        "actions/pin.py": "import json, sys\npin = json.load(sys.stdin)['pin']\n"
                          "print(json.dumps({'n': 512345, 'pin': pin, 't': 'id-1234', 'x': [1234]}))\n",
        **{f"actions/big_{form}.yaml": f"name: big_{form}\nrunner_type: python\nentry_point: big.py\n"
                                       f"output_format: {form}\nparameters:\n  end: {{type: string}}\n"
                                       "  pin: {type: string, secret: true}\n"
           for form in ("json", "jsonl", "yaml")},
        "actions/big.py": "import json, sys\np = json.load(sys.stdin)\n"
                          "print('[\"%s\", \"id-%s\", \"%s\"]%s'"
                          " % (p['pin'], p['pin'], 'x' * 1500000, p['end']))\n",
        "actions/object.yaml": "name: object\nrunner_type: python\nentry_point: object.py\n"
                               "parameters: {o: {type: object}, p: {type: object}}\n",
        "actions/object.py": "print('done')\n",
        "actions/items.yaml": "name: items\nrunner_type: orquesta\n"
                              "entry_point: workflows/items.yaml\n",
        "actions/workflows/items.yaml":
            "version: 1.0\ntasks:\n"
            "  a: {with: {items: '<% list(1, 2) %>'}, action: core.local,"
            " input: {cmd: echo <% item() %>},"
            " next: [{publish: [{r: '<% result().select($.stdout.trim()) %>'}], do: b}]}\n"
            "  b: {action: core.noop}\n"
            "output: [{r: <% ctx().r %>}]\n",
    }
    for name, text in files.items():
        path = PACK / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def client():
    return SERVER.client()


def run(action, parameters, expect="succeeded"):
    row = client().data("POST", "/api/v1/executions?wait=30s",
                        {"action": action, "parameters": parameters})
    assert row["status"] == expect, row
    return row


def text_from_outside_reads_no_key():
    client().data("PUT", "/api/v1/keys/system/dbpw", {"value": "Kanarie-77", "encrypted": True})
    for text in ("<% st2kv('system.dbpw', decrypt => true) %>",
                 "{{ st2kv('system.dbpw', decrypt=true) }}"):
        row = run("border.twice", {"msg": text})
        assert row["result"]["output"] == {"m": text}, row["result"]


def large_stdout_is_a_value():
    for size in (64 << 10, 100_000, 900_000):
        row = run("core.local", {"cmd": f"head -c {size} /dev/zero | tr '\\0' x"})
        assert row["result"]["stdout"] == "x" * size, size
        assert run("border.large", {"bytes": size})["result"]["output"] == {"n": size}, size


def what_an_answer_does_not_show_is_said():
    row = run("core.local", {"cmd": "head -c 2000000 /dev/zero | tr '\\0' x"})
    assert row.get("result") is None, len(str(row))
    assert "at most 1048576 are read" in row["result_error"], row["result_error"]
    whole = client().request("GET", f"/api/v1/executions/{row['id']}/result")[2]
    assert whole["stdout"] == "x" * 2_000_000


def large_structured_output_is_data():
    """The worker parses it: as the decision would, secrets and mistakes included."""
    def whole(form, end):
        row = run(f"border.big_{form}", {"pin": "Kanarie-12", "end": end},
                  "failed" if end else "succeeded")  # what was declared is owed
        return client().request("GET", f"/api/v1/executions/{row['id']}/result")[2]

    data = ["********", "id-Kanarie-12", "x" * 1_500_000]
    for form, expected in (("json", data), ("jsonl", [data]), ("yaml", data)):
        result = whole(form, "")
        assert result["output"] == expected, (form, str(result["output"])[:100])
        assert "output_error" not in result, result["output_error"]
        assert "Kanarie" not in result["stdout"]
        broken = whole(form, "]")
        assert broken["output"] is None, form
        assert broken["output_error"], form


class Odd(http.server.BaseHTTPRequestHandler):
    """Answers with the headers and bytes of the path's number in ANSWERS; /echo gives back."""

    def do_GET(self):
        headers, body = ANSWERS[int(self.path[1:])]
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"type": self.headers["Content-Type"], "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.test+json; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


TEXT = "München, 10 €\n" * 3
BYTES = bytes(range(256))
# headers and body, then what is expected of the result: body, and parts of encoding and body_error
CASES_OF_HTTP = [
    ({"Content-Type": "text/plain; charset=iso-8859-1"}, "München".encode("latin-1"), "München", None, None),
    ({"Content-Type": "text/plain; charset=\"Windows-1252\""}, "10 €".encode("cp1252"), "10 €", None, None),
    ({"Content-Type": "text/plain"}, b"\xef\xbb\xbfa", "a", None, None),
    ({"Content-Type": "text/plain"}, TEXT.encode(), TEXT, None, None),
    ({"Content-Type": "text/plain"}, b"M\xfcnchen", b"M\xfcnchen", "base64", "FC at byte 1"),
    ({"Content-Type": "text/plain; charset=shift_jis"}, b"\x83n", b"\x83n", "base64", "shift_jis"),
    ({"Content-Type": "image/png"}, BYTES, BYTES, "base64", None),
    ({}, BYTES, BYTES, "base64", None),
    ({"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(TEXT.encode()), TEXT, None, None),
    ({"Content-Type": "text/plain", "Content-Encoding": "deflate"}, zlib.compress(TEXT.encode()), TEXT, None, None),
    ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, gzip.compress(b'{"a": [1]}'), {"a": [1]}, None, None),
    ({"Content-Type": "text/plain", "Content-Encoding": "br"}, b"\x0b\x02", b"\x0b\x02", "base64", "'br'"),
    ({"Content-Type": "text/plain", "Content-Encoding": "gzip"}, b"no gzip", b"no gzip", "base64", "not gzip"),
    ({"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(bytes(20 << 20), mtime=0), gzip.compress(bytes(20 << 20), mtime=0), "base64", "larger than"),
    ({"Content-Type": "application/problem+json"}, b'{"a": 1}', {"a": 1}, None, None),
    ({"Content-Type": "application/json-seq"}, b'{"a": 1}', '{"a": 1}', None, None),
    ({"Content-Type": "application/json"}, b"\xef\xbb\xbf[1]", [1], None, None),
    ({"Content-Type": "application/json"}, b'{"id": 13835058055282163713}', '{"id": 13835058055282163713}', None, "byte"),
    ({"Content-Type": "application/json"}, b'{"a": "\xfc"}', b'{"a": "\xfc"}', "base64", "FC at byte 7"),
    ({"Content-Type": "application/json"}, b"", "", None, None),
]
ANSWERS = [case[:2] for case in CASES_OF_HTTP]


def answers_keep_their_bytes():
    for number, (headers, _, body, encoding, error) in enumerate(CASES_OF_HTTP):
        row = run("core.http", {"url": f"http://127.0.0.1:{WEB.server_port}/{number}"})
        answer = row["result"]["output"]
        found = base64.b64decode(answer["body"]) if encoding else answer["body"]
        assert found == body, (headers, found if len(str(found)) < 200 else len(found))
        assert answer.get("encoding") == encoding, (headers, answer.get("encoding"))
        names = {name: row["result"][name] for name in ("status_code", "headers", "body")}
        assert names == {name: answer[name] for name in names}, row["result"]  # StackStorm's
        assert row["result"]["parsed"] == (not isinstance(body, (str, bytes))), row["result"]
        why = answer.get("body_error")
        assert (why is None) == (error is None) and (error or "") in (why or ""), (headers, why)


def a_body_may_be_any_value():
    url = f"http://127.0.0.1:{WEB.server_port}/"
    for body, sent, kind in (({"a": 1}, '{"a":1}', "application/json"), ([1], "[1]", "application/json"),
                             (5, "5", "application/json"), ("text", "text", None)):
        row = run("core.http", {"url": url, "method": "POST", "body": body})
        assert row["result"]["output"]["body"] == {"type": kind, "body": sent}, row["result"]
    row = run("core.http", {"url": url, "body": "text", "headers": {"X-Number": 5}})
    assert row["result"]["body"]["body"] == "text", "a body is sent by POST"
    printed = SERVER.cli("run", "core.http", f"url={url}", "method=POST", 'body={"a":1}', "-o", "json")
    assert '{\\"a\\":1}' in printed, printed


def masking_changes_no_data():
    row = run("border.pin", {"pin": "1234"})
    result = row["result"]
    assert result["output"] == {"n": 512345, "pin": "********", "t": "id-1234", "x": [1234]}, result
    assert "1234" not in result["stdout"], result["stdout"]
    row = run("border.pin", {"pin": "12"})
    assert "'pin'" in row["result"]["mask_note"], row["result"]


def every_write_is_checked():
    row = run("core.local", {"cmd": "echo a"})
    dot = PACK / "actions/workflows/twice.yaml"
    for words in (("execution", "list"), ("execution", "list", "-o", "json"),
                  ("execution", "list", "-o", "yaml"), ("execution", "show", row["id"]),
                  ("execution", "logs", row["id"]), ("run", "core.local", "cmd=echo a"),
                  ("run", "core.local", "cmd=echo a", "-o", "json"),
                  ("run", "core.local", "cmd=echo a", "--async"), ("rule", "list"),
                  ("key", "list"), ("pack", "list"), ("action", "show", "core.local"),
                  ("config", "check"), ("pack", "check", str(PACK)), ("version",), ("--help",),
                  ("completion", "bash"), ("completion", "fish"), ("workflow", "graph", str(dot)),
                  ("workflow", "inspect", str(dot)), ("execution", "graph", TWICE["id"])):
        ours = ["--data", str(SERVER.data)] if words[0] not in ("version", "--help", "completion", "workflow") else []
        if words[:2] == ("pack", "check"):
            ours = []
        with open("/dev/full", "wb") as full:
            done = subprocess.run([binary(), *words, *ours], stdout=full, stderr=subprocess.PIPE,
                                  timeout=60, check=False)
        message = done.stderr.decode()
        if "inspect" in words and done.returncode == 0:
            continue  # nothing is wrong, nothing is said
        assert done.returncode == 1, (words, done.returncode, message)
        assert "cannot write: No space left on device" in message, (words, message)


def stdin_is_read_once():
    def cli(stdin, *words):
        return subprocess.run([binary(), *words, "--data", str(SERVER.data)], input=stdin,
                              capture_output=True, text=True, timeout=60, check=False)
    done = cli('{"a": 1}', "run", "border.object", "o=@-", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"] == {"o": {"a": 1}}, done.stdout
    done = cli('{"a": 1}', "run", "border.object", "o=@-", "p=@-")
    assert done.returncode == 2 and "once" in done.stderr, done.stderr


def items_that_succeeded_run_again_when_reset():
    row = run("border.items", {})
    assert row["status"] == "succeeded", row
    status, _, refused = client().request("POST", f"/api/v1/executions/{row['id']}/rerun",
                                          {"tasks": ["a"]})
    assert status == 409 and "reset" in refused["detail"], refused
    again = client().data("POST", f"/api/v1/executions/{row['id']}/rerun",
                          {"tasks": ["a"], "reset_items": True})
    ended = client().data("GET", f"/api/v1/executions/{again['id']}?wait=30s")
    assert ended["status"] == "succeeded", ended
    assert ended["result"]["output"] == row["result"]["output"] == {"r": ["1", "2"]}, ended["result"]
    steps = client().data("GET", f"/api/v1/executions/{again['id']}/children")
    assert len(steps) == 3, steps


def the_file_shrinks_after_retention():
    """150 large results whose time is over when the server starts again."""
    with Server(packs=(), settings={"retention.executions_days": 30}).start() as server:
        c = server.client()
        for _ in range(150):
            c.data("POST", "/api/v1/executions?wait=30s",
                   {"action": "core.echo", "parameters": {"message": "x" * 50_000}})
        assert server.stop() == 0
        file = server.data / "millrace.db"
        large = file.stat().st_size
        assert large > 15_000_000, large
        with sqlite3.connect(file) as db:
            db.execute("UPDATE execution SET ended = ended - 60 * 86400000")
        server.start()
        until("the file has shrunk", lambda: file.stat().st_size < 4_000_000)
        assert server.stop() == 0
        server.doctor()


CASES = [text_from_outside_reads_no_key, large_stdout_is_a_value,
         large_structured_output_is_data,
         what_an_answer_does_not_show_is_said, answers_keep_their_bytes, a_body_may_be_any_value,
         masking_changes_no_data, every_write_is_checked, stdin_is_read_once,
         items_that_succeeded_run_again_when_reset, the_file_shrinks_after_retention]


def main():
    global SERVER, TWICE, WEB
    write_pack()
    WEB = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=WEB.serve_forever, daemon=True).start()
    with Server(packs=(PACK,)).start() as server:
        SERVER = server
        TWICE = run("border.twice", {"msg": "x"})
        return run_cases(CASES)


if __name__ == "__main__":
    raise SystemExit(main())
