# SPDX-License-Identifier: Apache-2.0
from st2client.models.core import Resource

__all__ = ["Pack"]


class Pack(Resource):
    pass
