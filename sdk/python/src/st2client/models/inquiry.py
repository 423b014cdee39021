# SPDX-License-Identifier: Apache-2.0
from st2client.models.core import Resource

__all__ = ["Inquiry"]


class Inquiry(Resource):
    pass
