// SPDX-License-Identifier: Apache-2.0
#include "app/roles.h"

#include <fmt/format.h>

#include "base/text.h"

namespace millrace::app {
namespace {

constexpr std::string_view kNames[kRoles] = {"api", "executor", "worker", "sensor", "notifier"};

}  // namespace

std::string_view to_string(Role role) { return kNames[static_cast<size_t>(role)]; }

Result<Roles> Roles::parse(std::string_view text) {
  unsigned bits = 0;
  for (auto word : split(text, ',')) {
    word = trim(word);
    unsigned known = 0;
    for (unsigned i = 0; i < kRoles; ++i) {
      if (kNames[i] == word) known = 1U << i;
    }
    if (known == 0) {
      return Error(ErrorKind::Invalid, "APP-0036",
                   fmt::format("unknown role '{}': expected some of api, executor, worker, sensor, "
                               "notifier, with commas between them",
                               word));
    }
    bits |= known;
  }
  return Roles(bits);
}

std::vector<std::string> Roles::names() const {
  std::vector<std::string> names;
  for (unsigned i = 0; i < kRoles; ++i) {
    if (bits_ >> i & 1) names.emplace_back(kNames[i]);
  }
  return names;
}

std::string Roles::text() const { return fmt::format("{}", fmt::join(names(), ",")); }

}  // namespace millrace::app
