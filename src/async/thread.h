// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "base/result.h"

namespace millrace::async {

// A thread that runs `run`, under this name (its first 15 bytes) in the system's lists. The only
// way to make one: std::thread throws where the system gives no more. Errors: Unavailable,
// ASY-0004.
Result<std::thread> start_thread(const std::string& name, std::move_only_function<void()> run);

}  // namespace millrace::async
