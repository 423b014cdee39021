# SPDX-License-Identifier: Apache-2.0
import json
import os
import unittest
from unittest import mock

import take_alerts
from fake_server import FakeServer
from millrace.call import Call, begin

FIRING = {
    "status": "firing",
    "labels": {"alertname": "DiskFull", "severity": "page", "host": "a"},
    "annotations": {"summary": "97 % of / are used"},
    "startsAt": "2026-01-02T03:04:05Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "c0ffee",
}
RESOLVED = {**FIRING, "status": "resolved", "endsAt": "2026-01-02T04:00:00Z"}


def delivery(*alerts):
    return {"version": "4", "receiver": "millrace", "status": "firing", "alerts": list(alerts)}


class TakeAlerts(unittest.TestCase):
    def setUp(self):
        self.api = FakeServer()
        self.addCleanup(self.api.close)
        known = {"MILLRACE_API_URL": self.api.url, "MILLRACE_API_TOKEN": "t"}
        patched = mock.patch.dict(os.environ, known)
        patched.start()
        self.addCleanup(patched.stop)
        begin(Call({"action": "prometheus.take_alerts"}))
        self.addCleanup(begin, None)
        self.api.answers = [(202, {"data": {"event": "7", "duplicate": False}})]

    def sent(self):
        return [json.loads(body) for _, _, body in self.api.asked]

    def test_each_alert_is_an_event(self):
        done = take_alerts.take_alerts(delivery(FIRING, RESOLVED))
        self.assertEqual(done, {"events": ["7", "7"], "known": 0})
        first, second = self.sent()
        self.assertEqual(first["trigger"], "prometheus.alert")
        self.assertEqual(first["data"], {
            "status": "firing", "name": "DiskFull", "labels": FIRING["labels"],
            "annotations": FIRING["annotations"], "starts_at": FIRING["startsAt"], "ends_at": None,
            "fingerprint": "c0ffee", "receiver": "millrace", "url": "http://prometheus/graph"})
        self.assertEqual(second["data"]["status"], "resolved")
        self.assertEqual(second["data"]["ends_at"], RESOLVED["endsAt"])

    def test_an_id_is_that_of_the_change(self):
        take_alerts.take_alerts(delivery(FIRING, RESOLVED))
        take_alerts.take_alerts(delivery(FIRING))
        ids = [event["id"] for event in self.sent()]
        self.assertEqual(ids, ["c0ffee/firing/2026-01-02T03:04:05Z",
                               "c0ffee/resolved/2026-01-02T04:00:00Z",
                               "c0ffee/firing/2026-01-02T03:04:05Z"])

    def test_what_had_come_before_is_counted(self):
        self.api.answers = [(200, {"data": {"event": "7", "duplicate": True}})]
        self.assertEqual(take_alerts.take_alerts(delivery(FIRING)), {"events": ["7"], "known": 1})

    def test_a_delivery_without_alerts_is_none(self):
        self.assertEqual(take_alerts.take_alerts({"alerts": None}), {"events": [], "known": 0})


if __name__ == "__main__":
    unittest.main()
