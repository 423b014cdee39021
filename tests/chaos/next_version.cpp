// SPDX-License-Identifier: Apache-2.0
#include "app/version.h"

namespace millrace::app {

const char* const kVersion = "0.1.1-next";

}  // namespace millrace::app
