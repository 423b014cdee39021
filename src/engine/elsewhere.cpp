// SPDX-License-Identifier: Apache-2.0
#include "engine/elsewhere.h"

#include <fmt/format.h>

#include <charconv>

#include "kernel/servers.h"

namespace millrace::engine {

namespace {
constexpr std::string_view kNode = "/node";
}

Error elsewhere_error(int node) {
  std::string message =
      node == kernel::kNobody
          ? "no server owns this shard at the moment; nothing was done: try again in a second"
      : node == kAnybody ? "this server decides for no shard; nothing was done"
                         : fmt::format("server {} owns this shard; nothing was done", node);
  return Error(ErrorKind::Unavailable, kElsewhere, std::move(message))
      .with_problem(std::string(kNode), fmt::to_string(node))
      .with_retry_after(1000);
}

std::optional<int> elsewhere(const Error& error) {
  if (error.code() != kElsewhere) return std::nullopt;
  int node = kernel::kNobody;
  for (const auto& problem : error.problems()) {
    if (problem.path != kNode) continue;
    const auto& text = problem.message;
    std::from_chars(text.data(), text.data() + text.size(), node);
  }
  return node;
}

}  // namespace millrace::engine
