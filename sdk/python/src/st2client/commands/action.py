# SPDX-License-Identifier: Apache-2.0
from st2common.constants.action import *  # noqa: F403
