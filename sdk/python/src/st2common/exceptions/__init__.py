# SPDX-License-Identifier: Apache-2.0


class StackStormBaseException(Exception):
    pass


class StackStormPluginException(StackStormBaseException):
    pass
