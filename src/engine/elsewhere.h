// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"

namespace millrace::engine {

// What was asked for is another server's: nothing was done, its owner has to be asked. `node` is
// that server's, or kNobody while the shard is on its way from one to another: again in a moment.
// Whoever decides: the request makes something new, and this server decides for nothing.
inline constexpr int kAnybody = -2;
inline constexpr std::string_view kElsewhere = "ENG-0009";
Error elsewhere_error(int node);
// The node of such an error; nothing: it is another error.
std::optional<int> elsewhere(const Error& error);

}  // namespace millrace::engine
