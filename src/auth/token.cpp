// SPDX-License-Identifier: Apache-2.0
#include "auth/token.h"

#include "base/text.h"

#include <fmt/format.h>

#include <charconv>
#include <mutex>

namespace millrace::auth {
namespace {

Error bad_run_token(std::string_view why) {
  return Error(ErrorKind::Unauthorized, "AUT-0004",
               fmt::format("the execution's token is not valid: {}", why));
}

template <typename T>
bool parse_whole(std::string_view text, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= 0;
}

}  // namespace

Secret make_token(const Random& random) {
  return Secret("mr_" + hex_encode(random_bytes(random, 32)));
}

std::string token_hash(std::string_view token) { return hex_encode(bytes_of(sha256(token))); }

Permissions granted_by(std::string_view words) {
  Permissions granted;
  for (auto word : split(words, ',')) {
    // may fail: a word that this version does not know grants nothing
    if (auto known = Permissions::parse(word); known.ok()) granted.add(*known);
  }
  return granted;
}

void TokenCache::put(const StoredToken& token) {
  Entry entry{token.id, token.hash, {token.tenant, token.identity, granted_by(token.permissions)}};
  entry.principal.expires = token.expires;
  entry.principal.token = token.id;
  for (auto word : split(token.permissions, ',')) {
    auto& who = entry.principal;
    if (word.starts_with(kRolePrefix)) who.roles.emplace_back(word.substr(kRolePrefix.size()));
    if (word.starts_with(kPackPrefix)) who.pack = word.substr(kPackPrefix.size());
    if (word.starts_with(kTriggerPrefix)) {
      who.triggers.emplace_back(word.substr(kTriggerPrefix.size()));
    }
  }
  std::unique_lock lock(mutex_);
  by_hash_.insert_or_assign(token.hash, std::move(entry));
}

void TokenCache::remove(TokenId id) {
  std::unique_lock lock(mutex_);
  std::erase_if(by_hash_, [id](const auto& item) { return item.second.id == id; });
}

Result<Principal> TokenCache::find(std::string_view token, int64_t now_ms) const {
  auto hash = token_hash(token);
  std::shared_lock lock(mutex_);
  auto found = by_hash_.find(hash);
  if (found == by_hash_.end() || !equal_in_constant_time(found->second.hash, hash)) {
    return Error(ErrorKind::Unauthorized, "AUT-0002", "the token is unknown or was revoked");
  }
  const auto& entry = found->second;
  int64_t expires = entry.principal.expires;
  if (expires != 0 && expires <= now_ms) {
    return Error(ErrorKind::Unauthorized, "AUT-0003", "the token has expired");
  }
  return entry.principal;
}

size_t TokenCache::size() const {
  std::shared_lock lock(mutex_);
  return by_hash_.size();
}

Secret RunTokens::make(const RunClaim& run) const {
  auto text =
      fmt::format("mrx.{}.{}.{}.{}", run.tenant.value, run.execution.value, run.attempt, run.epoch);
  auto proof = hmac_sha256(keys_.front().reveal(), {text});
  return Secret(text + '.' + hex_encode(bytes_of(proof)));
}

Result<RunClaim> RunTokens::check(std::string_view token) const {
  auto parts = split(token, '.');
  if (parts.size() != 6 || parts[0] != "mrx") {
    return bad_run_token("expected mrx.TENANT.EXECUTION.ATTEMPT.EPOCH.HMAC");
  }
  RunClaim run;
  if (!parse_whole(parts[1], run.tenant.value) || !parse_whole(parts[2], run.execution.value) ||
      !parse_whole(parts[3], run.attempt) || !parse_whole(parts[4], run.epoch)) {
    return bad_run_token("tenant, execution, attempt and epoch must be numbers");
  }
  auto text = token.substr(0, token.size() - parts[5].size() - 1);
  for (const auto& key : keys_) {
    auto proof = hex_encode(bytes_of(hmac_sha256(key.reveal(), {text})));
    if (equal_in_constant_time(proof, parts[5])) return run;
  }
  return bad_run_token("it was not made by this server");
}

}  // namespace millrace::auth
