# SPDX-License-Identifier: Apache-2.0
"""linux.disk, linux.processes and linux.service."""
import facts
from millrace import action


@action
def disk(path="/"):
    return facts.disk(path)


@action
def processes(name=None, user=None):
    found = facts.processes(name, user)
    return {"count": len(found), "processes": found}


@action
def service(name):
    return facts.service(name)
