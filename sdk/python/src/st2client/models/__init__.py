# SPDX-License-Identifier: Apache-2.0
from st2client.models.action import Action, Execution, LiveAction, RunnerType
from st2client.models.action_alias import ActionAlias, ActionAliasMatch
from st2client.models.aliasexecution import ActionAliasExecution
from st2client.models.core import Resource
from st2client.models.inquiry import Inquiry
from st2client.models.keyvalue import KeyValuePair
from st2client.models.pack import Pack
from st2client.models.reactor import Sensor, Trigger, TriggerInstance, TriggerType
from st2client.models.rule import Rule
from st2client.models.webhook import Webhook

__all__ = [
    "Action",
    "ActionAlias",
    "ActionAliasExecution",
    "ActionAliasMatch",
    "Execution",
    "Inquiry",
    "KeyValuePair",
    "LiveAction",
    "Pack",
    "Resource",
    "Rule",
    "RunnerType",
    "Sensor",
    "Trigger",
    "TriggerInstance",
    "TriggerType",
    "Webhook",
]
