# SPDX-License-Identifier: Apache-2.0
"""Silences alerts in Alertmanager."""
from datetime import datetime, timedelta, timezone

from ask import ask
from millrace import action, current


@action
def silence(labels, comment, minutes=60):
    start = datetime.now(timezone.utc)
    end = start + timedelta(minutes=minutes)
    matchers = [
        {"name": name, "value": str(value), "isRegex": False, "isEqual": True}
        for name, value in sorted(labels.items())
    ]
    body = {
        "matchers": matchers,
        "startsAt": start.isoformat(),
        "endsAt": end.isoformat(),
        "createdBy": current().user or "millrace",
        "comment": comment,
    }
    answer = ask("alertmanager_url", "/api/v2/silences", body=body)
    return {"silence": answer["silenceID"], "until": end.isoformat()}
