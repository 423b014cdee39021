# SPDX-License-Identifier: Apache-2.0
from st2common.exceptions import StackStormBaseException


class ParseException(ValueError, StackStormBaseException):
    pass
