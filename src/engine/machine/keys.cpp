// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/json.h"
#include "engine/machine/pack_config.h"

namespace millrace::engine {

using kernel::KeyName;
using kernel::KeyRow;

namespace {

constexpr std::string_view kNeedPrefix = "key:";
constexpr std::string_view kSystem = "system";
constexpr std::array<std::string_view, 4> kOwned{"user:", "pack:", "action:", "sensor:"};
constexpr size_t kLongestName = 200;

bool is_plain(std::string_view text) {
  auto is_other = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '/';
  };
  return !text.empty() && text.size() <= kLongestName && std::ranges::none_of(text, is_other);
}

bool is_scope(std::string_view scope) {
  if (scope == kSystem) return true;
  return is_plain(scope) && std::ranges::any_of(kOwned, [&](std::string_view kind) {
           return scope.size() > kind.size() && scope.starts_with(kind);
         });
}

}  // namespace

std::string key_user(std::string_view identity) {
  return std::string(identity.starts_with("rule:") ? kRuleUser : identity);
}

expr::Answer KeyLookup::kv(std::string_view key, bool decrypt) const {
  auto name = name_of(key);
  if (!name || !is_scope(name->scope) || !is_plain(name->name)) return expr::Answer::absent();
  return read(*name, decrypt);
}

Result<std::optional<Value>> KeyLookup::config_of(std::string_view pack) const {
  auto answer = read(config_key(reader_.tenant, pack), true);
  if (answer.needs_load()) {
    return Error(ErrorKind::Unavailable, "EXP-0004", "a configuration must be loaded first")
        .with_problem(answer.key(), "not loaded");
  }
  if (!answer.found() || !answer.value().is_map()) return std::optional<Value>();
  return std::optional(answer.value());
}

expr::Answer KeyLookup::read(const KeyName& name, bool decrypt) const {
  auto found = rows_->find(name);
  if (found == rows_->end() && !may_load_) {
    return expr::Answer::refused(
        fmt::format("RuntimeError: key '{}' is not loaded: one decision loads {} keys at most, in "
                    "{} rounds",
                    name.name, kMostNeeds, kMostRounds));
  }
  if (found == rows_->end()) return expr::Answer::need(need_of(name));
  const auto& row = found->second;
  if (!row || row->is_over(now_)) return expr::Answer::absent();
  auto [known, is_new] = read_.try_emplace({&*row, decrypt}, expr::Answer::absent());
  if (!is_new) return known->second;
  expr::Answer read = answer(*row, decrypt);
  if (read.found()) known->second = expr::Answer::of(read.value());  // costs nothing any more
  return read;
}

// Nothing: the reader has no keys of that scope.
std::optional<KeyName> KeyLookup::name_of(std::string_view key) const {
  size_t dot = key.find('.');
  std::string_view scope = dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
  std::string_view name = key.substr(dot + 1);  // npos + 1 is 0: all of it
  auto owned = [&](const std::string& owner) -> std::optional<KeyName> {
    if (owner.empty()) return std::nullopt;
    return KeyName{reader_.tenant, fmt::format("{}:{}", scope, owner), std::string(name)};
  };
  if (scope == "user") return owned(reader_.user);
  if (scope == "pack") return owned(reader_.pack);
  if (scope == "action") return owned(reader_.action);
  return KeyName{reader_.tenant, std::string(kSystem), std::string(scope == kSystem ? name : key)};
}

expr::Answer KeyLookup::answer(const KeyRow& row, bool decrypt) const {
  Secret text;
  if (row.encrypted) {
    if (!decrypt || !*open_) return expr::Answer::of(Value(kHiddenKey));
    auto opened = (*open_)(row);
    if (!opened.ok()) return expr::Answer::absent();
    text = std::move(*opened);
  }
  auto value = parse_json(row.encrypted ? text.reveal() : row.value_json, kOwnJson);
  constexpr uint64_t kBytesPerStep = 8;
  return value.ok() ? expr::Answer::of(std::move(*value), row.value_json.size() / kBytesPerStep)
                    : expr::Answer::absent();
}

std::string need_of(const KeyName& key) {
  return fmt::format("{}{}:{}/{}", kNeedPrefix, key.tenant.value, key.scope, key.name);
}

std::optional<KeyName> key_of_need(std::string_view need) {
  if (!need.starts_with(kNeedPrefix)) return std::nullopt;
  need.remove_prefix(kNeedPrefix.size());
  size_t colon = need.find(':');
  size_t slash = need.find('/');
  if (colon == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  KeyName key{{},
              std::string(need.substr(colon + 1, slash - colon - 1)),
              std::string(need.substr(slash + 1))};
  std::from_chars(need.data(), need.data() + colon, key.tenant.value);
  return key;
}

Result<void> check_key_name(const KeyName& key) {
  std::vector<Problem> problems;
  if (!is_scope(key.scope)) {
    problems.push_back({"/scope",
                        "expected system, user:NAME, pack:REF, action:REF or sensor:REF, "
                        "200 bytes at most"});
  }
  if (!is_plain(key.name)) {
    problems.push_back({"/name", "expected 1 to 200 bytes without '/' and control characters"});
  }
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "KEY-0004",
               fmt::format("key '{}' of '{}': {}", key.name, key.scope, problems.front().message))
      .with_problems(std::move(problems));
}

Error no_key(const KeyName& key) {
  return Error(ErrorKind::NotFound, "KEY-0001",
               fmt::format("no key '{}' of {}", key.name, key.scope));
}

}  // namespace millrace::engine
