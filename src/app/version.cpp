// SPDX-License-Identifier: Apache-2.0
#include "app/version.h"

namespace millrace::app {

// Alone in its object: tests/chaos links another version of the same sources.
const char* const kVersion = "0.1.0";

}  // namespace millrace::app
