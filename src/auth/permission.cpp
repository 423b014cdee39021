// SPDX-License-Identifier: Apache-2.0
#include "auth/permission.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "base/text.h"

namespace millrace::auth {
namespace {

struct Entry {
  std::string_view name;
  std::string_view doc;
};

// In the order of the enum.
constexpr std::array<Entry, kPermissions> kEntries = {{
    {"packs:read", "See packs."},
    {"packs:write", "Install, change and uninstall packs."},
    {"actions:read", "See actions and their parameters."},
    {"triggers:read", "See triggers."},
    {"rules:read", "See rules, test them, ask why they matched."},
    {"rules:write", "Create, change and delete rules."},
    {"events:read", "See events, enforcements and traces."},
    {"events:send", "Send and replay events; deliver to webhooks without a signature."},
    {"executions:read", "See executions and their output."},
    {"executions:run", "Run actions."},
    {"executions:cancel", "Cancel executions; pause and resume workflows."},
    {"executions:resolve", "Decide what becomes of lost executions and held tasks."},
    {"inquiries:read", "See inquiries."},
    {"inquiries:answer", "Answer inquiries that are put to one, or to everybody."},
    {"webhooks:read", "See webhook endpoints."},
    {"webhooks:write", "Create, change and delete webhook endpoints."},
    {"policies:read", "See policies and what they have counted."},
    {"policies:write", "Create, change and delete policies."},
    {"keys:read", "See keys; encrypted values stay hidden."},
    {"keys:write", "Set and delete keys."},
    {"keys:decrypt", "See encrypted values in clear, together with keys:read."},
    {"stream:read", "Follow changes live."},
    {"system:read", "See workers, queues, the quarantine, metrics."},
    {"sensors:read", "See sensors, their state and what they print."},
    {"sensors:control", "Start sensors anew."},
    {"timers:read", "See timers, when they have fired and will fire."},
    {"timers:control", "Fire timers at once, pause and resume them."},
    {"workers:join", "Become a worker, once: of the tokens that `millrace worker token` makes."},
    {"admin", "Manage tokens; make join tokens for workers."},
}};

Result<uint64_t> bits_of(std::string_view word) {
  if (word == "*") return (uint64_t{1} << kPermissions) - 1;
  bool whole_resource = word.ends_with(":*");
  auto resource = word.substr(0, word.size() - (whole_resource ? 1 : 0));
  uint64_t bits = 0;
  std::vector<std::string_view> names;
  for (int i = 0; i < kPermissions; ++i) {
    auto name = kEntries[static_cast<size_t>(i)].name;
    names.push_back(name);
    if (name == word || (whole_resource && name.starts_with(resource))) bits |= uint64_t{1} << i;
  }
  if (bits == 0) {
    return Error(ErrorKind::Invalid, "AUT-0001",
                 fmt::format("unknown permission '{}'{}", word, did_you_mean(word, names)));
  }
  return bits;
}

}  // namespace

std::string_view to_string(Permission permission) {
  return kEntries[static_cast<size_t>(permission)].name;
}
std::string_view describe(Permission permission) {
  return kEntries[static_cast<size_t>(permission)].doc;
}

Result<Permissions> Permissions::parse(std::string_view text) {
  Permissions set;
  std::vector<Problem> problems;
  for (auto part : split(text, ',')) {
    auto word = trim(part);
    if (word.empty()) continue;
    auto bits = bits_of(word);
    if (bits.ok()) {
      set.bits_ |= *bits;
    } else {
      problems.push_back({"/permissions", bits.error().message()});
    }
  }
  if (problems.empty()) return set;
  auto message = problems.size() == 1 ? problems.front().message
                                      : fmt::format("{} unknown permissions", problems.size());
  return Error(ErrorKind::Invalid, "AUT-0001", std::move(message))
      .with_problems(std::move(problems));
}

}  // namespace millrace::auth
