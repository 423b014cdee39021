# SPDX-License-Identifier: Apache-2.0
from millrace import shim

shim.announce()
