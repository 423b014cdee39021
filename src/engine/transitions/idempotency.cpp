// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/idempotency.h"

#include "base/mutants.h"

#include <fmt/format.h>

namespace millrace::engine {
namespace {

kernel::DedupeRow row_of(const Caller& caller) {
  return {caller.tenant, "idem:" + caller.identity, caller.idempotency_key, {}, 0};
}

}  // namespace

Result<std::optional<int64_t>> answered_before(Context& ctx, const Caller& caller) {
  if (caller.idempotency_key.empty()) return std::optional<int64_t>();
  const std::string* stored = ctx.rows().key(row_of(caller), ctx.now());
  if (!stored) return std::optional<int64_t>();
  size_t space = stored->find(' ');
  if (stored->substr(0, space) != caller.request_hash) {
    return Error(ErrorKind::Mismatch, "ENG-0003",
                 fmt::format("Idempotency-Key '{}' was used within 24 h for another request; take "
                             "a new key for a new request",
                             caller.idempotency_key));
  }
  TRY(int64_t id, parse_id(stored->substr(space + 1), "stored idempotency value"));
  return std::optional<int64_t>(id);
}

ExecutionId first_of_key(const Loaded& rows, const Caller& caller) {
  // One that is over as well: waiting for its tree harms nobody.
  bool has_key = !caller.idempotency_key.empty();
  const std::string* stored = has_key ? rows.key(row_of(caller), INT64_MIN) : nullptr;
  if (!stored) return {};
  auto id = parse_id(stored->substr(stored->find(' ') + 1), "stored idempotency value");
  return id.ok() ? ExecutionId{*id} : ExecutionId{};
}

void want_answer(Wanted& wanted, const Caller& caller) {
  if (!caller.idempotency_key.empty()) wanted.keys.push_back(row_of(caller));
}

void remember_answer(Context& ctx, const Caller& caller, int64_t entity) {
  if (mutant(Mutant::AnswerForgotten)) return;
  if (caller.idempotency_key.empty()) return;
  auto row = row_of(caller);
  row.value = fmt::format("{} {}", caller.request_hash, entity);
  row.expires = ctx.now() + kIdempotencyMs;
  ctx.changes.dedupe.push_back(std::move(row));
}

Result<const kernel::ExecutionRow*> find_execution(Context& ctx, const Caller& caller,
                                                   ExecutionId id) {
  if (const auto* row = ctx.rows().execution(Of{caller.tenant, id})) return row;
  return Error(ErrorKind::NotFound, "EXE-0010", fmt::format("no execution {}", id.value));
}

}  // namespace millrace::engine
