// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::auth {

// What a token may allow. Each route of the API needs exactly one.
enum class Permission : uint8_t {
  PacksRead,
  PacksWrite,
  ActionsRead,
  TriggersRead,
  RulesRead,
  RulesWrite,
  EventsRead,
  EventsSend,
  ExecutionsRead,
  ExecutionsRun,
  ExecutionsCancel,
  ExecutionsResolve,
  InquiriesRead,
  InquiriesAnswer,
  WebhooksRead,
  WebhooksWrite,
  PoliciesRead,
  PoliciesWrite,
  KeysRead,
  KeysWrite,
  KeysDecrypt,
  StreamRead,
  SystemRead,
  SensorsRead,
  SensorsControl,
  TimersRead,
  TimersControl,
  WorkersJoin,
  Admin,
};
inline constexpr int kPermissions = static_cast<int>(Permission::Admin) + 1;

std::string_view to_string(Permission permission);  // "executions:run"
std::string_view describe(Permission permission);

// A set of permissions. `*` is every one, also those of later versions; `executions:*` is all of
// one resource. `*` includes `admin`, no other pattern does.
class Permissions {
 public:
  constexpr Permissions() = default;
  static constexpr Permissions all() { return Permissions((uint64_t{1} << kPermissions) - 1); }

  // Comma-separated names and patterns. Errors: Invalid, AUT-0001, one problem per unknown name.
  static Result<Permissions> parse(std::string_view text);

  constexpr void add(Permission p) { bits_ |= uint64_t{1} << static_cast<int>(p); }
  constexpr void add(Permissions others) { bits_ |= others.bits_; }
  constexpr bool allow(Permission p) const { return bits_ >> static_cast<int>(p) & 1; }
  // True when this allows everything that `other` does.
  constexpr bool cover(Permissions other) const { return (other.bits_ & ~bits_) == 0; }
  constexpr bool operator==(const Permissions&) const = default;

 private:
  constexpr explicit Permissions(uint64_t bits) : bits_(bits) {}
  uint64_t bits_ = 0;
};

}  // namespace millrace::auth
