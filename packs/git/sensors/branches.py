# SPDX-License-Identifier: Apache-2.0
"""Tells when a watched branch is at another commit.

Where it was is kept in the datastore, so that what moved while nobody looked is told as well. A
branch that is seen for the first time is only noted down.
"""
import hashlib

import git
from millrace import Failed, current, sensor


@sensor(poll_interval=60)
def branches(service):
    for each in current().config.get("watch") or []:
        look(service, each["url"], each.get("branch") or "HEAD")


def look(service, url, branch):
    try:
        _, commit = git.head(url, branch, current().config)
    except Failed as error:
        # Others of the list may be there, and this one the next time.
        current().logger.warning("%s", error)
        return
    name = "seen." + hashlib.sha256(f"{url}\0{branch}".encode()).hexdigest()[:32]
    before = service.get_value(name)
    if before == commit:
        return
    if before:
        service.dispatch("git.branch_moved", {
            "url": url, "branch": branch, "before": before, "commit": commit})
    # After it: told twice is better than not at all.
    service.set_value(name, commit)
