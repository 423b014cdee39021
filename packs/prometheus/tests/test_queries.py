# SPDX-License-Identifier: Apache-2.0
import json
import unittest
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

import query
import silence
from fake_server import FakeServer
from millrace import Failed
from millrace.call import Call, begin


def answer(kind, result):
    return 200, {"status": "success", "data": {"resultType": kind, "result": result}}


class Queries(unittest.TestCase):
    def setUp(self):
        self.server = FakeServer()
        self.addCleanup(self.server.close)
        config = {"url": self.server.url + "/prom/", "alertmanager_url": self.server.url,
                  "token": "t0ken"}
        begin(Call({"action": "prometheus.query", "config": config, "user": "ann"}))
        self.addCleanup(begin, None)

    def form(self):
        path, token, body = self.server.asked[-1]
        self.assertEqual(token, "Bearer t0ken")
        return path, {name: values[0] for name, values in parse_qs(body).items()}

    def test_a_vector_becomes_labels_and_numbers(self):
        self.server.answers = [answer("vector", [
            {"metric": {"job": "api"}, "value": [1.5, "0.25"]},
            {"metric": {"job": "db"}, "value": [1.5, "NaN"]}])]
        self.assertEqual(query.query("up"), {"type": "vector", "result": [
            {"labels": {"job": "api"}, "value": 0.25}, {"labels": {"job": "db"}, "value": "NaN"}]})
        self.assertEqual(self.form(), ("/prom/api/v1/query", {"query": "up"}))

    def test_a_scalar_and_a_string_are_plain(self):
        self.server.answers = [answer("scalar", [1, "2"]), answer("string", [1, "two"])]
        self.assertEqual(query.query("2", time="7"), {"type": "scalar", "result": 2.0})
        self.assertEqual(self.form()[1], {"query": "2", "time": "7"})
        self.assertEqual(query.query('"two"'), {"type": "string", "result": "two"})

    def test_a_range_has_values_with_their_times(self):
        self.server.answers = [answer("matrix", [
            {"metric": {"job": "api"}, "values": [[1, "1"], [2, "+Inf"]]}])]
        self.assertEqual(query.query_range("up", "1", "2", "1s"), {"type": "matrix", "result": [
            {"labels": {"job": "api"}, "values": [[1, 1.0], [2, "+Inf"]]}]})
        self.assertEqual(self.form(), ("/prom/api/v1/query_range", {
            "query": "up", "start": "1", "end": "2", "step": "1s"}))

    def test_what_prometheus_refuses_is_told_in_its_words(self):
        self.server.answers = [(400, {"status": "error", "error": "parse error at char 3"})]
        with self.assertRaisesRegex(Failed, "answered 400: parse error at char 3"):
            query.query("up(")
        self.server.answers = [(502, "bad gateway")]
        with self.assertRaisesRegex(Failed, "answered 502: bad gateway"):
            query.query("up")

    def test_a_server_that_is_not_there_is_told(self):
        begin(Call({"config": {"url": "http://127.0.0.1:1"}}))
        with self.assertRaisesRegex(Failed, "http://127.0.0.1:1 cannot be reached"):
            query.query("up")

    def test_a_silence_has_an_end_and_a_reason(self):
        self.server.answers = [(200, {"silenceID": "s-1"})]
        made = silence.silence({"alertname": "DiskFull", "host": "a"}, "we clean up", minutes=5)
        self.assertEqual(made["silence"], "s-1")
        path, _, body = self.server.asked[0]
        body = json.loads(body)
        self.assertEqual(path, "/api/v2/silences")
        self.assertEqual([(each["name"], each["value"]) for each in body["matchers"]],
                         [("alertname", "DiskFull"), ("host", "a")])
        self.assertEqual((body["createdBy"], body["comment"]), ("ann", "we clean up"))
        end = datetime.fromisoformat(body["endsAt"])
        self.assertEqual(end - datetime.fromisoformat(body["startsAt"]), timedelta(minutes=5))
        self.assertLess(abs(end - datetime.now(timezone.utc)), timedelta(minutes=6))


if __name__ == "__main__":
    unittest.main()
