# SPDX-License-Identifier: Apache-2.0
from st2client.models.core import Resource

__all__ = ["Rule"]


class Rule(Resource):
    pass
