# SPDX-License-Identifier: Apache-2.0
"""What StackStorm gives to actions and sensors: keys of the datastore, the user, the API."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import Logger
    from typing import Any

    from millrace.call import Call
    from st2client.client import Client
    from st2client.models import KeyValuePair

SYSTEM_SCOPE = "system"
# Stands between the local prefix (PACK.CLASS) and the name of a key.
SEPARATOR = ":"


class DatastoreService:
    """Keys, named as StackStorm names them: `local` ones are PACK.CLASS:NAME."""

    def __init__(self, logger: Logger, pack_name: str, class_name: str) -> None:
        self._logger = logger
        self._pack_name = pack_name
        self._class_name = class_name
        self._client: Client | None = None

    def get_api_client(self) -> Client:
        if self._client is None:
            from st2client.client import Client

            self._client = Client()
        return self._client

    def get_user_info(self) -> dict[str, Any]:
        return self.get_api_client().get_user_info()

    def list_values(
        self,
        local: bool = True,
        prefix: str | None = None,
        limit: int | None = None,
        offset: int | None = 0,
        scope: str = SYSTEM_SCOPE,
    ) -> list[KeyValuePair]:
        full_prefix = self._full_name(prefix or "", local)
        keys = self.get_api_client().keys
        return keys.get_all(prefix=full_prefix, limit=limit, offset=offset or 0, scope=scope)

    def get_value(
        self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE, decrypt: bool = False
    ) -> str | None:
        name = self._full_name(name, local)
        try:
            found = self.get_api_client().keys.get_by_name(name, decrypt=decrypt, scope=scope)
        except Exception as error:
            # As in StackStorm: a datastore that does not answer is a key that is not there.
            self._logger.exception("the key '%s' could not be read: %s", name, error)
            return None
        return None if found is None else found.value

    def set_value(
        self,
        name: str,
        value: object,
        ttl: int | None = None,
        local: bool = True,
        scope: str = SYSTEM_SCOPE,
        encrypt: bool = False,
    ) -> bool:
        from st2client.models import KeyValuePair

        pair = KeyValuePair(name=self._full_name(name, local), value=str(value), scope=scope)
        if encrypt:
            pair.secret = True
        if ttl:
            pair.ttl = ttl
        self.get_api_client().keys.update(pair)
        return True

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        from st2client.models import KeyValuePair

        name = self._full_name(name, local)
        try:
            self.get_api_client().keys.delete(KeyValuePair(name=name), params={"scope": scope})
        except Exception as error:
            self._logger.exception("the key '%s' could not be deleted: %s", name, error)
            return False
        return True

    def _full_name(self, name: str, local: bool) -> str:
        return f"{self._pack_name}.{self._class_name}{SEPARATOR}{name}" if local else name


class _Values:
    """The datastore's methods on a service itself."""

    datastore_service: Any

    def get_user_info(self) -> dict[str, Any]:
        return self.datastore_service.get_user_info()  # type: ignore[no-any-return]

    def list_values(
        self,
        local: bool = True,
        prefix: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[KeyValuePair]:
        return self.datastore_service.list_values(  # type: ignore[no-any-return]
            local=local, prefix=prefix, limit=limit, offset=offset
        )

    def get_value(
        self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE, decrypt: bool = False
    ) -> str | None:
        return self.datastore_service.get_value(  # type: ignore[no-any-return]
            name=name, local=local, scope=scope, decrypt=decrypt
        )

    def set_value(
        self,
        name: str,
        value: object,
        ttl: int | None = None,
        local: bool = True,
        scope: str = SYSTEM_SCOPE,
        encrypt: bool = False,
    ) -> bool:
        return self.datastore_service.set_value(  # type: ignore[no-any-return]
            name=name, value=value, ttl=ttl, local=local, scope=scope, encrypt=encrypt
        )

    def delete_value(self, name: str, local: bool = True, scope: str = SYSTEM_SCOPE) -> bool:
        return self.datastore_service.delete_value(  # type: ignore[no-any-return]
            name=name, local=local, scope=scope
        )


class ActionService(_Values):
    """`self.action_service` of an action."""

    def __init__(self, call: Call, class_name: str) -> None:
        self._call = call
        self._class_name = class_name
        self._datastore: DatastoreService | None = None

    @property
    def datastore_service(self) -> DatastoreService:
        if self._datastore is None:
            from millrace.logs import action_logger

            logger = action_logger(self._class_name, self._call.log_level)
            self._datastore = DatastoreService(logger, self._call.pack, self._class_name)
        return self._datastore


class SensorService(_Values):
    """`self.sensor_service` of a sensor. `hand_over` takes (trigger, payload, trace tag)."""

    def __init__(self, call: Call, class_name: str, hand_over: Any) -> None:
        import logging

        self._call = call
        self._logger = logging.getLogger(f"SensorWrapper.{call.pack}.{class_name}")
        self._hand_over = hand_over
        self.datastore_service = DatastoreService(self._logger, call.pack, class_name)

    @property
    def config(self) -> dict[str, Any]:
        return self._call.config

    @property
    def stopping(self) -> bool:
        """Whether the sensor is to end: for one that waits by itself."""
        from millrace.sensor_turns import TURNS

        return TURNS.stopping

    def wait(self, seconds: float) -> None:
        """Until the time is over or the sensor is to end."""
        from millrace.sensor_turns import TURNS

        TURNS.wait(seconds)

    def get_logger(self, name: str) -> Logger:
        return self._logger.getChild(name)

    def dispatch(self, trigger: str, payload: object = None, trace_tag: str | None = None) -> None:
        """Returns when the server has the event."""
        self._hand_over(trigger, payload, trace_tag)

    def dispatch_with_context(
        self, trigger: str, payload: object = None, trace_context: Any = None
    ) -> None:
        tag = trace_context
        if isinstance(trace_context, dict):
            tag = trace_context.get("trace_tag")
        elif trace_context is not None and not isinstance(trace_context, str):
            tag = getattr(trace_context, "trace_tag", None)
        self._hand_over(trigger, payload, tag)
