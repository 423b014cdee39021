# SPDX-License-Identifier: Apache-2.0
"""Where StackStorm had it before 2.0."""

from st2common.runners.base_action import Action

__all__ = ["Action"]
