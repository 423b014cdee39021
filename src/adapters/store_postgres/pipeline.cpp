// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "adapters/store_postgres/arrays.h"
#include "adapters/store_postgres/dialect.h"

namespace millrace::store_postgres {
namespace {

// What is added before it is looked whether the server takes it.
constexpr size_t kRowsPerFlush = 64;

}  // namespace

Result<void> Pipeline::tell_tenants(Session& session, const Prepared& prepared, const Rows& rows,
                                    Moment until) {
  if (!tells_tenants_) return {};
  auto tenants = tenants_of(prepared.tenancy, rows);
  if (!tenants || *tenants == tenants_) return {};
  Rows setting;
  setting.put_bytes(1, Rows::Kind::Text, *tenants);
  setting.end_row();
  TRY(put_call(session, set_tenants_, setting, until, {}));
  tenants_ = std::move(*tenants);
  return {};
}

Result<void> Pipeline::put(Session& session, Prepared& prepared, const Rows& rows, Moment until,
                           Take take) {
  TRY(tell_tenants(session, prepared, rows, until));
  return put_call(session, prepared, rows, until, std::move(take));
}

Result<void> Pipeline::put_arrays(Session& session, const Prepared& prepared, Prepared& arrays,
                                  const Rows& rows, Moment until) {
  TRY(tell_tenants(session, prepared, rows, until));
  return put_call(session, arrays, ArrayRow(rows).row(), until, {});
}

Result<void> Pipeline::put_call(Session& session, Prepared& prepared, const Rows& rows,
                                Moment until, Take take) {
  auto kind_of = [](const Rows::Value& value) { return value.kind; };
  auto first = rows.row(0);
  bool is_known =
      prepared.session == session_ && std::ranges::equal(first, prepared.kinds, {}, kind_of);
  if (!is_known) {
    prepared.kinds.clear();
    std::ranges::transform(first, std::back_inserter(prepared.kinds), kind_of);
    prepared.name = fmt::format("m{}", ++names_);
    prepared.session = session_;
    if (!session.add_parse(prepared.name, prepared.text, prepared.kinds)) {
      return session.lose(prepared.text);
    }
  }
  for (size_t i = 0; i < rows.count(); ++i) {
    if (!session.add_run(prepared.name, rows.row(i))) return session.lose(prepared.text);
    if (i % kRowsPerFlush == kRowsPerFlush - 1) TRY(session.flush(until, prepared.text));
  }
  calls_.push_back({&prepared, !is_known, rows.count(), std::move(take)});
  return {};
}

Result<void> Pipeline::exchange(Session& session, Moment until) {
  auto calls = std::exchange(calls_, {});
  if (calls.empty()) return {};
  auto replies = session.exchange(until, calls.back().prepared->text);
  if (!replies.ok()) return std::move(replies).error();
  if (replies->failed) forget_tenants();
  size_t whole = 0;  // calls whose rows all have an answer
  size_t left = replies->results.size();
  for (; whole < calls.size() && calls[whole].answers() <= left; ++whole) {
    left -= calls[whole].answers();
  }
  // What was to be parsed behind these may not have been.
  for (auto& call : std::span(calls).subspan(whole)) {
    if (call.is_parsed) call.prepared->session = 0;
  }
  auto next = std::move_iterator(replies->results.begin());
  for (failed_call_ = 0; failed_call_ < whole; ++failed_call_) {
    auto& call = calls[failed_call_];
    auto end = next + static_cast<ptrdiff_t>(call.answers());
    if (call.take) TRY(call.take({next + (call.is_parsed ? 1 : 0), end}));
    next = end;
  }
  if (!replies->failed) return {};
  const std::string& text = calls[std::min(failed_call_, calls.size() - 1)].prepared->text;
  // What the server knew of statements does not hold any more, or it only reads: a new session.
  const std::string& state = replies->sqlstate;
  if (state == "26000" || state == "0A000" || (state == "25006" && !session.is_reader())) {
    (void)session.lose(text, replies->said);
  }
  return error_of(session.is_lost() ? sql::kAway : code_of(state), text, replies->said);
}

Result<void> Pipeline::send_off(Session& session, Moment until) {
  auto calls = std::exchange(calls_, {});
  for (auto& call : calls) {
    if (call.is_parsed) call.prepared->session = 0;
  }
  return session.send_off(until);
}

}  // namespace millrace::store_postgres
