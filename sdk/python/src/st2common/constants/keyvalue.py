# SPDX-License-Identifier: Apache-2.0
from millrace.services import SEPARATOR as DATASTORE_KEY_SEPARATOR
from millrace.services import SYSTEM_SCOPE

__all__ = [
    "DATASTORE_KEY_SEPARATOR",
    "DATASTORE_PARENT_SCOPE",
    "FULL_SYSTEM_SCOPE",
    "FULL_USER_SCOPE",
    "SYSTEM_SCOPE",
    "USER_SCOPE",
]

USER_SCOPE = "user"
DATASTORE_PARENT_SCOPE = "st2kv"
FULL_SYSTEM_SCOPE = "st2kv.system"
FULL_USER_SCOPE = "st2kv.user"
