# SPDX-License-Identifier: Apache-2.0
from st2client.models.core import Resource

__all__ = ["Action", "Execution", "LiveAction", "RunnerType"]


class Action(Resource):
    pass


class Execution(Resource):
    pass


class LiveAction(Execution):
    pass


class RunnerType(Resource):
    pass
