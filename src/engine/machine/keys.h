// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "expr/expr.h"
#include "kernel/rows.h"

namespace millrace::engine {

// Keys that were loaded; without a row: there is no such key. Those of one decision come from one
// snapshot.
using KeyRows = std::map<kernel::KeyName, std::optional<kernel::KeyRow>>;

// Opens the value of an encrypted key: its JSON. It says itself in the log why it cannot.
using OpenKey = std::function<Result<Secret>(const kernel::KeyRow&)>;

// Whose keys an expression reads: `user.x` is a key of this user, `pack.x` of this pack,
// `action.x` of this action. Empty: it has none.
struct KeyReader {
  TenantId tenant;
  std::string user;
  std::string pack;    // ref
  std::string action;  // ref
};
// The user whose keys rules and what they start read.
inline constexpr std::string_view kRuleUser = "rule";
// The user whose keys an identity reads.
std::string key_user(std::string_view identity);

// Keys that one decision loads, and how often it may find that it lacks one. What asks for more is
// refused, and fails alone.
inline constexpr size_t kMostNeeds = 1000;
inline constexpr int kMostRounds = 100;

// The datastore as expressions see it. A name without a scope is a key of `system`. What is not
// loaded is a need, or refused when `may_load` is false; what is not there, or over, or cannot be
// opened, is absent. A value is read once.
class KeyLookup final : public expr::Lookup {
 public:
  // `rows` and `open` outlive it; without `open` an encrypted value is shown as "********" also to
  // who wants it decrypted.
  KeyLookup(const KeyRows& rows, const OpenKey& open, int64_t now, KeyReader reader,
            bool may_load = true)
      : rows_(&rows), open_(&open), now_(now), reader_(std::move(reader)), may_load_(may_load) {}
  expr::Answer kv(std::string_view key, bool decrypt) const override;
  const KeyReader& reader() const { return reader_; }
  // What the reader's tenant has set of a pack's configuration (pack_config.h). Nothing: nothing,
  // or it cannot be read. Errors: EXP-0004.
  Result<std::optional<Value>> config_of(std::string_view pack) const;

 private:
  std::optional<kernel::KeyName> name_of(std::string_view key) const;
  expr::Answer read(const kernel::KeyName& name, bool decrypt) const;
  expr::Answer answer(const kernel::KeyRow& row, bool decrypt) const;
  const KeyRows* rows_;
  const OpenKey* open_;
  int64_t now_;
  KeyReader reader_;
  bool may_load_;
  mutable std::map<std::pair<const kernel::KeyRow*, bool>, expr::Answer> read_;
};

// A key as expr::needed_key gives it, and back.
std::string need_of(const kernel::KeyName& key);
std::optional<kernel::KeyName> key_of_need(std::string_view need);

inline constexpr std::string_view kHiddenKey = "********";
inline constexpr size_t kMostKeyBytes = 64 << 10;  // of a value as JSON

// Errors: Invalid, KEY-0004, a problem per part.
Result<void> check_key_name(const kernel::KeyName& key);
// "no key 'x' of system".
Error no_key(const kernel::KeyName& key);

}  // namespace millrace::engine
