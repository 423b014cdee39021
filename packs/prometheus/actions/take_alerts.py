# SPDX-License-Identifier: Apache-2.0
"""Makes events of the alerts of one delivery.

Alertmanager repeats what still fires every few hours, and sends the whole group when one of it
changes. An event's id says what it tells, so that each change is one event however often it comes.
"""
from millrace import action, current


@action
def take_alerts(delivery):
    events, known = [], 0
    for alert in delivery.get("alerts") or []:
        told = payload_of(alert, delivery.get("receiver", ""))
        when = told["ends_at"] or told["starts_at"]
        answer = current().client.events.send(
            "prometheus.alert",
            told,
            id="/".join((told["fingerprint"], told["status"], when)),
            source="alertmanager",
            trace_tag=told["name"],
        )
        known += bool(answer.get("duplicate"))
        events.append(answer["event"])
    return {"events": events, "known": known}


def payload_of(alert, receiver):
    status = alert.get("status", "firing")
    labels = alert.get("labels") or {}
    return {
        "status": status,
        "name": labels.get("alertname", ""),
        "labels": labels,
        "annotations": alert.get("annotations") or {},
        "starts_at": alert.get("startsAt", ""),
        # While it fires, `endsAt` is the year 1.
        "ends_at": alert.get("endsAt") if status == "resolved" else None,
        "fingerprint": alert.get("fingerprint", ""),
        "receiver": receiver,
        "url": alert.get("generatorURL", ""),
    }
