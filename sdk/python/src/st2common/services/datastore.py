# SPDX-License-Identifier: Apache-2.0
"""Where tests of packs patch the datastore."""

from millrace.services import DatastoreService as ActionDatastoreService
from millrace.services import DatastoreService as BaseDatastoreService
from millrace.services import DatastoreService as SensorDatastoreService

__all__ = ["ActionDatastoreService", "BaseDatastoreService", "SensorDatastoreService"]
