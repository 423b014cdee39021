# SPDX-License-Identifier: Apache-2.0
"""A UUID as text."""
import uuid

from millrace import action


@action(name="uuid")
def make_uuid(uuid_type: str = "uuid4") -> str:
    return str(uuid.uuid1() if uuid_type == "uuid1" else uuid.uuid4())
