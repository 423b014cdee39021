# SPDX-License-Identifier: Apache-2.0
__all__ = ["ResourceNotFoundError"]


class ResourceNotFoundError(Exception):
    pass
