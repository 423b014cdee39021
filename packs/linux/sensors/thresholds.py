# SPDX-License-Identifier: Apache-2.0
"""Tells when a fact crosses its limit, and when it is back.

What was told is known until the sensor ends: what is wrong then is told again at its next start.
"""
import socket

import facts
from millrace import Failed, current, sensor

told = set()  # of what is not well


@sensor(poll_interval=30)
def thresholds(service):
    for kind, subject, ok, found in look(current().config):
        if ok == ((kind, subject) not in told):
            continue
        service.dispatch("linux.threshold_crossed", {
            "kind": kind, "subject": subject, "ok": ok, "found": found,
            "machine": socket.gethostname()})
        (told.discard if ok else told.add)((kind, subject))


def look(config):
    """(kind, subject, ok, found) of each fact that can be read."""
    for read in (disks, processes, services):
        yield from read(config)


def disks(config):
    for each in config.get("disks") or []:
        try:
            used = facts.disk(each["path"])["used_percent"]
        except Failed as error:
            current().logger.warning("%s", error)
            continue
        yield "disk", each["path"], used <= each["percent"], used


def processes(config):
    limits = config.get("processes") or []
    names = [each["name"] for each in facts.processes()] if limits else []
    for each in limits:
        count = names.count(each["name"])
        ok = each.get("least", 0) <= count <= each.get("most", count)
        yield "process", each["name"], ok, count


def services(config):
    for name in config.get("services") or []:
        try:
            state = facts.service(name)["state"]
        except Failed as error:
            current().logger.warning("%s", error)
            continue
        yield "service", name, state == "active", state
