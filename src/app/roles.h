// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millrace::app {

// What a process does of all that a server is.
enum class Role : uint8_t {
  Api,       // REST and live updates for clients
  Executor,  // owns shards and decides: rules, executions, workflows, timers
  Worker,    // runs actions on this machine
  Sensor,    // runs sensors of packs, where it is an executor too; timers are the executor's
  Notifier,  // has nothing of its own yet: the API follows the change feed
};
inline constexpr int kRoles = 5;

std::string_view to_string(Role role);

class Roles {
 public:
  static constexpr Roles all() { return Roles((1U << kRoles) - 1); }
  // "api,executor". Errors: Invalid, APP-0036.
  static Result<Roles> parse(std::string_view text);

  constexpr bool has(Role role) const { return bits_ >> static_cast<unsigned>(role) & 1; }
  std::vector<std::string> names() const;
  std::string text() const;  // "api,executor"
  constexpr bool operator==(const Roles&) const = default;

 private:
  constexpr explicit Roles(unsigned bits) : bits_(bits) {}
  unsigned bits_;
};

}  // namespace millrace::app
