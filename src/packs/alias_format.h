// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/value.h"

namespace millrace::expr {
class Regex;
struct Allowance;
}  // namespace millrace::expr

namespace millrace::packs {

// What one command may hold.
inline constexpr size_t kLongestCommand = 4096;

// One form of an alias, as StackStorm reads it: a regular expression of Python in which
// `{{ name }}` and `{{ name=default }}` are places for values, which may be quoted; behind it
// `name=value` pairs that it does not name. Immutable: may be shared between threads.
class AliasFormat {
 public:
  // Errors: Invalid; the message says what RE2 cannot do, or what is no name.
  static Result<std::shared_ptr<const AliasFormat>> compile(std::string_view text);
  // Of formats that say `match_multiple`: what stands anywhere in a command, as often as it does.
  static Result<std::shared_ptr<const AliasFormat>> compile_loose(std::string_view text);

  // The parameters that a command gives, as texts by name; nothing: it is of another form. In
  // linear time. Errors: `allowance` does not suffice.
  Result<std::optional<Value>> match(std::string_view command, expr::Allowance& allowance) const;
  // Each place where the form stands.
  Result<std::vector<Value>> match_all(std::string_view command, expr::Allowance& allowance) const;

 private:
  AliasFormat() = default;
  static Result<std::shared_ptr<const AliasFormat>> compile(std::string_view text, bool is_loose);

  std::string text_;
  std::shared_ptr<const expr::Regex> regex_;
  std::vector<std::pair<std::string, std::string>> defaults_;
  std::string before_, behind_;  // what is put around a command, for places at either end
};

// A value of an alias for a parameter that is a list: what stands between commas, with or without
// brackets around it; JSON is left as it is.
Value list_of_text(std::string_view text);

}  // namespace millrace::packs
