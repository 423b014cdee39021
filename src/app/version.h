// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace::app {

extern const char* const kVersion;

}  // namespace millrace::app
