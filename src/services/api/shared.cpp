// SPDX-License-Identifier: Apache-2.0
#include "services/api/shared.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

namespace millrace::api {

Task<Result<void>> Readers::run(std::function<Result<void>(sql::Connection&)> read) {
  auto job = [this, &read]() -> Result<void> {
    TRY(auto connection, take());
    auto result = read(*connection);
    give_back(std::move(connection));
    return result;
  };
  co_return co_await pool_.run(std::move(job));
}

Task<Result<void>> Readers::parse(std::function<Result<void>()> read) {
  co_return co_await pool_.run([&read] { return read(); });
}

Result<std::unique_ptr<sql::Connection>> Readers::take() {
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  return engine_.reader();
}

void Readers::give_back(std::unique_ptr<sql::Connection> connection) {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connection));
}

std::string RandomHex::take(size_t bytes) {
  if (used_ + bytes > buffer_.size()) {
    buffer_ = auth::random_bytes(random_, 4096);
    used_ = 0;
  }
  auto hex = hex_encode(std::string_view(buffer_).substr(used_, bytes));
  used_ += bytes;
  return hex;
}

// Sealed as a JSON list of strings, newest first. The endpoint's version is not part of what
// they are sealed for: the engine gives it after the secrets are sealed.
std::string WebhookSecrets::seal(const auth::KeyRing& keys, const auth::Random& random,
                                 TenantId tenant, std::string_view name,
                                 const std::vector<Secret>& secrets) {
  Value list = Value::list();
  for (const auto& secret : secrets) list.push_back(secret.reveal());
  Secret text(to_json(list));
  return keys.seal({tenant, "webhook", name, 0}, text.reveal(), random);
}

Result<const std::vector<Secret>*> WebhookSecrets::of(const kernel::WebhookRow& endpoint) {
  auto& entry = opened_[endpoint.id];
  if (entry.version == endpoint.version) return &entry.secrets;
  entry.secrets.clear();
  if (!endpoint.sealed_secrets.empty()) {
    TRY(auto text,
        keys_.open({endpoint.tenant, "webhook", endpoint.name, 0}, endpoint.sealed_secrets));
    TRY(auto list, parse_json(text.reveal(), kOwnJson));
    for (const auto& secret : list.as_list()) {
      entry.secrets.emplace_back(std::string(secret.as_string()));
    }
  }
  entry.version = endpoint.version;
  return &entry.secrets;
}

int Streams::open_of(const Owner& owner) const {
  auto found = by_owner_.find(owner);
  return found == by_owner_.end() ? 0 : found->second;
}

void Streams::enter(const Owner& owner) {
  ++open_;
  ++by_owner_[owner];
}

void Streams::leave(const Owner& owner) {
  --open_;
  auto found = by_owner_.find(owner);
  if (--found->second == 0) by_owner_.erase(found);
}

int64_t Streams::add(async::Wakeup wakeup) {
  wakeups_.emplace(++last_, std::move(wakeup));
  return last_;
}

void Streams::look_again() const {
  for (const auto& [number, wakeup] : wakeups_) wakeup.notify();
}

Shared::Shared(engine::Engine& the_engine, const auth::KeyRing& the_keys,
               auth::TokenCache& the_tokens, const auth::RunTokens& the_run_tokens,
               async::Pool& pool, ApiOptions the_options)
    : engine(the_engine),
      keys(the_keys),
      tokens(the_tokens),
      run_tokens(the_run_tokens),
      options(std::move(the_options)),
      readers(the_engine, pool),
      hex(options.random),
      webhook_secrets(the_keys) {}

Error outcome_unknown() {
  return Error(ErrorKind::Unavailable, "API-0003",
               fmt::format("no outcome within {} s; it may still happen: ask again, with the same "
                           "Idempotency-Key if it is a write",
                           kCommandLimit.count() / 1000))
      .with_retry_after(5000);
}

bool RefusalLog::takes_line(int64_t now_ms) {
  if (int64_t second = now_ms / 1000; second != second_) {
    if (left_out_ > 0) log_info("http.refusals_left_out", {{"count", left_out_}});
    second_ = second;
    lines_ = 0;
    left_out_ = 0;
  }
  if (lines_++ < kLinesPerSecond) return true;
  ++left_out_;
  return false;
}

}  // namespace millrace::api
