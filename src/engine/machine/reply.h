// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "base/result.h"

namespace millrace::engine {

// Called once, from any thread, when the outcome is durable (or was refused). Must be quick.
template <typename T>
using Reply = std::function<void(Result<T>)>;

}  // namespace millrace::engine
