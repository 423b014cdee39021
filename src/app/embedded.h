// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "packs/files.h"

namespace millrace::app {

// The files of packs/core, as they were when this binary was built.
packs::PackFiles core_pack();

// The packages of sdk/python, with a __main__.py beside them.
packs::PackFiles python_sdk();

// sdk/node as node runs it: package.json, main.js and the sources.
packs::PackFiles node_sdk();

}  // namespace millrace::app
