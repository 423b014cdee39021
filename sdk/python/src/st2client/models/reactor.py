# SPDX-License-Identifier: Apache-2.0
from st2client.models.core import Resource

__all__ = ["Sensor", "Trigger", "TriggerInstance", "TriggerType"]


class Sensor(Resource):
    pass


class Trigger(Resource):
    pass


class TriggerInstance(Resource):
    pass


class TriggerType(Resource):
    pass
