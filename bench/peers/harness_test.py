# SPDX-License-Identifier: Apache-2.0
"""The harness of the peers, without a peer."""
import http.server
import pathlib
import shutil
import sys
import tempfile
import threading
import time

import table
from enclosure import Enclosure
from load import HttpLoad, post, quantile, whole_answer
from rows import Figure, Scale, in_turn, kill


def an_answer_is_whole_when_all_of_its_body_is_there():
    sized = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc"
    assert whole_answer(sized) == (201, b"abc")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n4\r\n0\r\n\r\n"
    assert whole_answer(chunked)[0] == 200
    for end in range(len(sized)):
        assert whole_answer(sized[:end]) is None, end
    for end in range(len(chunked)):
        assert whole_answer(chunked[:end]) is None, end


class Counting(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Counting.seen.append(int(body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """The client gives up at a wrong answer: what is still sent to it breaks."""


def every_request_is_sent_once_and_every_answer_is_looked_at():
    with Quiet(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = HttpLoad(server.server_port, 4)
        answered = {}
        load = client.run(lambda i: post("/", str(i)), (200, b""), count=100,
                          answered=answered.__setitem__)
        assert sorted(Counting.seen) == list(range(100)), Counting.seen
        assert answered == {i: str(i).encode() for i in range(100)}, answered
        assert load.operations == 100 and 0 < load.p50_ms <= load.p99_ms, load
        try:
            client.run(lambda i: post("/", str(i)), (200, b"7"), count=9)
        except SystemExit as error:
            assert "expected (200, b'7')" in str(error), error
        else:
            raise AssertionError("a wrong answer was taken")
        server.shutdown()


def cpu_and_bytes_of_children_that_ended_are_counted():
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = pathlib.Path(folder).absolute()
        inside = Enclosure("test")
        try:
            busy = "import time\nwhile time.process_time() < 0.3: pass\n"
            write = f"f = open('{folder}/out', 'wb'); f.write(b'x' * 1000000); f.flush()\n"
            parent = (f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''{busy}{write}'''])\n"
                      "print('over', flush=True)\nsys.stdin.read()\n")
            process = inside.spawn([sys.executable, "-c", parent], f"{folder}/log", text=True,
                                   stdin=-1, stdout=-1)
            assert process.stdout.readline() == "over\n", pathlib.Path(folder, "log").read_text()
            assert inside.pids() == [process.pid]
            assert inside.cpu_us() >= 300_000, inside.cpu_us()
            assert inside.written_bytes() >= 1_000_000, inside.written_bytes()
            assert inside.resident_bytes() > 1_000_000, inside.resident_bytes()
            inside.kill()
            assert inside.pids() == []
        finally:
            inside.close()
        assert not inside.group.exists()


def flushes_are_counted_of_an_engine_that_sleeps_too():
    with tempfile.TemporaryDirectory(dir=".") as folder:
        inside, asleep = Enclosure("flushes"), Enclosure("asleep")
        try:
            flush = ("import os, sys\nfile = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
                     "for _ in range(3): os.write(file, b'x'); os.fsync(file)\n")
            asleep.spawn(["sleep", "60"], f"{folder}/log")
            time.sleep(0.3)
            with inside.flushes() as counted, asleep.flushes() as none:
                inside.spawn([sys.executable, "-c", flush, f"{folder}/out"], f"{folder}/log").wait()
            assert (counted, none) == ([3], [0]), (counted, none)
        finally:
            inside.close()
            asleep.close()


def a_quantile_is_one_of_the_numbers():
    assert quantile([1, 2, 3], 0.5) == 2 and quantile([1], 0.99) == 1
    assert quantile(list(range(100)), 0.99) == 99


def rows_where_a_peer_wins_are_shown_first():
    lost = [Figure("Millrace, node over HTTP, SQLite", cpu_us=20, rate=5), Figure("Peer", cpu_us=10, rate=1)]
    won = [Figure("Millrace, in process, SQLite", cpu_us=1, rate=5), Figure("Peer", cpu_us=10, rate=1)]
    assert table.won_by_a_peer(lost) == {"with the handler in node": ["CPU"]}
    assert table.won_by_a_peer(won) == {}
    even = [Figure("Millrace, in process, SQLite", rate=998), Figure("Peer", rate=999)]
    assert table.won_by_a_peer(even) == {}
    shown = table.page({"first": won, "second": lost}, "head\n")
    assert shown.index("second") < shown.index("first"), shown
    once = table.written_into("# Performance\n", shown)
    assert table.written_into(once, "other\n").count(table.BEGIN) == 1
    assert "other" in table.written_into(once, "other\n")


class Fake:
    """An engine that accepts what it is asked, and needs so long to get up again."""
    recovers = True

    def __init__(self, name, seconds_up=0.0):
        self.name, self.enclosure = name, self
        self.seconds_up, self.held, self.kills, self.accepted = seconds_up, None, 0, set()

    def hold(self, still):
        self.held = still

    def resident_bytes(self):
        return 0

    def accept(self, first, count, _):
        for number in range(first, first + count):
            self.accepted.add(number)
            yield number
            if self.kills and len(self.accepted) % count == count // 2:
                return

    def kill(self):
        self.kills += 1

    def start(self):
        time.sleep(self.seconds_up)

    def resume(self):
        pass

    def finished(self):
        return self.accepted


def rounds_go_in_turn_and_the_others_hold_still():
    engines = [Fake("a"), Fake("b"), Fake("c")]
    seen = []

    def once(engine):
        assert [other for other in engines if not other.held] == [engine]
        seen.append(engine.name)
        return len(seen)
    told = in_turn(engines, [(engine,) for engine in engines], 3, once)
    assert "".join(seen) == "abcbcacab", seen
    assert told[engines[0],] == [1, 6, 8], told


def who_is_slow_to_recover_is_killed_once():
    scale = Scale(rounds=3, accepted=10, slow_recovery_s=0.3)
    quick, slow = Fake("quick"), Fake("slow", 0.4)
    figures = kill([quick, slow], scale)
    assert (quick.kills, slow.kills) == (3, 1)
    assert [figure.engine for figure in figures] == ["quick", "slow"]
    assert figures[0].done_s < 0.3 < figures[1].done_s, figures


def main():
    failed = 0
    cases = [an_answer_is_whole_when_all_of_its_body_is_there,
             every_request_is_sent_once_and_every_answer_is_looked_at,
             cpu_and_bytes_of_children_that_ended_are_counted,
             *[flushes_are_counted_of_an_engine_that_sleeps_too] * bool(shutil.which("perf")),
             a_quantile_is_one_of_the_numbers,
             rounds_go_in_turn_and_the_others_hold_still, who_is_slow_to_recover_is_killed_once,
             rows_where_a_peer_wins_are_shown_first]
    for case in cases:
        try:
            case()
            print(f"ok   {case.__name__}", flush=True)
        except (Exception, SystemExit) as error:
            failed += 1
            print(f"FAIL {case.__name__}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
