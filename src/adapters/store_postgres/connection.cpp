// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/connection.h"

#include <endian.h>
#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <thread>

#include "base/log.h"
#include "base/time.h"

namespace millrace::store_postgres {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kFirstPause{50};
// What is added before it is looked whether the server takes it.
constexpr size_t kRowsPerFlush = 64;
// How much longer than the server's own limit a statement is waited for.
constexpr milliseconds kBeyondTheLimit{2'000};
constexpr std::chrono::hours kScriptLimit{24};
// After a commit that was refused because of what it told: others are told nothing for so long.
constexpr std::chrono::seconds kSilence{60};

int64_t any_number() {
  std::random_device random;
  return (int64_t{random()} << 31 | int64_t{random()}) & std::numeric_limits<int64_t>::max();
}

int64_t number_of(std::string_view digits) {
  int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

template <typename T>
T big_endian(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (sizeof value == 8) return static_cast<T>(be64toh(static_cast<uint64_t>(value)));
  if constexpr (sizeof value == 4) return static_cast<T>(be32toh(static_cast<uint32_t>(value)));
  return static_cast<T>(be16toh(static_cast<uint16_t>(value)));
}

int64_t touched_by(const ResultPtr& result) { return number_of(PQcmdTuples(result.get())); }

Rows one_row(std::initializer_list<int64_t> numbers) {
  Rows rows;
  int index = 0;
  for (int64_t number : numbers) rows.put_int(++index, number);
  rows.end_row();
  return rows;
}

// Bytes that cannot be told in one parameter.
Result<void> check_sizes(const Rows& rows, std::string_view text) {
  constexpr size_t kMostBytes = 1 << 30;  // of PostgreSQL's values
  for (size_t i = 0; i < rows.count(); ++i) {
    for (const auto& value : rows.row(i)) {
      if (value.bytes.size() < kMostBytes) continue;
      return error_of(sql::kConstraint, text,
                      fmt::format("a value of {} bytes, less than {} can be stored",
                                  value.bytes.size(), kMostBytes));
    }
  }
  return {};
}

}  // namespace

int64_t lock_number(std::string_view schema, std::string_view what) {
  uint64_t number = 14695981039346656037U;  // FNV-1a, the same in every process
  for (std::string_view part : {std::string_view("millrace"), schema, what}) {
    for (char c : part) number = (number ^ static_cast<unsigned char>(c)) * 1099511628211U;
    number = (number ^ 0xff) * 1099511628211U;
  }
  return static_cast<int64_t>(number);
}

std::string channel_of(std::string_view schema) {
  return fmt::format("millrace_{:016x}", static_cast<uint64_t>(lock_number(schema, "hints")));
}

class PgStatement final : public sql::Statement {
 public:
  PgStatement(PgConnection& connection, std::string_view text)
      : connection_(connection), prepared_(to_dialect(text)) {}

  void bind_int(int index, int64_t value) override { rows_.put_int(index, value); }
  void bind_text(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Text, value);
  }
  void bind_blob(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Blob, value);
  }
  Result<bool> step() override {
    if (!result_) {
      rows_.end_row();
      auto results = connection_.run(prepared_, rows_);
      rows_.clear();
      if (!results.ok()) return std::move(results).error();
      result_ = std::move(results->front());
      affected_ = touched_by(result_);
    } else {
      ++row_;
    }
    return row_ < PQntuples(result_.get());
  }
  void reset() override {
    rows_.clear();
    result_.reset();
    row_ = 0;
  }
  int64_t affected() const override { return affected_; }
  int64_t column_int(int column) const override {
    const char* bytes = PQgetvalue(result_.get(), row_, column);
    if (PQgetisnull(result_.get(), row_, column)) return 0;
    switch (PQftype(result_.get(), column)) {
      case kInt8Oid: return big_endian<int64_t>(bytes);
      case kInt4Oid: return big_endian<int32_t>(bytes);
      case kInt2Oid: return big_endian<int16_t>(bytes);
      case kBoolOid: return bytes[0];
      default: ASSERT_MSG(false, "a column that is no number: " + prepared_.text);
    }
    return 0;
  }
  std::string_view column_bytes(int column) const override {
    return {PQgetvalue(result_.get(), row_, column),
            static_cast<size_t>(PQgetlength(result_.get(), row_, column))};
  }

 private:
  PgConnection& connection_;
  PgConnection::Prepared prepared_;
  Rows rows_;
  ResultPtr result_;
  int row_ = 0;
  int64_t affected_ = 0;
  friend class PgConnection;
};

namespace {

class PgBatch final : public sql::Batch {
 public:
  PgBatch(PgConnection& connection, PgConnection::Prepared& prepared)
      : connection_(connection), prepared_(prepared) {}
  void bind_int(int index, int64_t value) override { rows_.put_int(index, value); }
  void bind_text(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Text, value);
  }
  void bind_blob(int index, std::string_view value) override {
    rows_.put_bytes(index, Rows::Kind::Blob, value);
  }
  void end_row() override { rows_.end_row(); }
  Result<std::span<const int64_t>> flush() override {
    touched_.clear();
    if (rows_.count() == 0) return std::span<const int64_t>();
    auto results = connection_.run(prepared_, rows_);
    rows_.clear();
    if (!results.ok()) return std::move(results).error();
    for (const auto& result : *results) touched_.push_back(touched_by(result));
    return std::span<const int64_t>(touched_);
  }

 private:
  PgConnection& connection_;
  PgConnection::Prepared& prepared_;
  Rows rows_;
  std::vector<int64_t> touched_;
};

}  // namespace

PgConnection::PgConnection(const Options& options, Session::Kind kind)
    : options_(options),
      kind_(std::move(kind)),
      writer_(any_number()),
      channel_(channel_of(options.schema)),
      notify_("SELECT pg_notify($1, $2)"),
      lock_("SELECT pg_advisory_xact_lock($1)"),
      lock_shared_("SELECT pg_advisory_xact_lock_shared($1)"),
      leave_mark_(
          "INSERT INTO commit_mark (writer, mark, at) VALUES ($1, $2, $3) ON CONFLICT "
          "(writer) DO UPDATE SET mark = excluded.mark, at = excluded.at"),
      look_at_mark_(
          "INSERT INTO commit_mark (writer, mark, at) VALUES ($1, 0, $2) ON CONFLICT "
          "(writer) DO UPDATE SET at = excluded.at RETURNING mark") {}

PgConnection::~PgConnection() = default;

Result<std::unique_ptr<PgConnection>> PgConnection::open(const Options& options,
                                                         Session::Kind kind) {
  std::unique_ptr<PgConnection> made(new PgConnection(options, std::move(kind)));
  TRY(made->connect());
  return made;
}

Result<void> PgConnection::connect() {
  if (tries_ > 0 && Clock::now() < next_try_) {
    return error_of(sql::kAway, "connect", "the server is away, it is tried again soon");
  }
  auto session = Session::open(options_, kind_);
  if (!session.ok()) {
    next_try_ = Clock::now() + pause_before(tries_);
    if (tries_++ == 0) log_warn("store.away", {{"error", session.error().message()}});
    return std::move(session).error();
  }
  if (tries_ > 0) log_info("store.back", {{"tries", tries_ + 1}});
  session_ = std::move(*session);
  ++number_;
  tries_ = 0;
  return {};
}

Result<void> PgConnection::be_ready(Verb verb) {
  bool is_cut = kind_.cut && Clock::now() >= kind_.cut->load(std::memory_order_relaxed);
  bool was_in_transaction = in_transaction();
  // A transaction that somebody left: what it has read is old, and nobody waits for its locks.
  if (was_in_transaction && (is_cut || verb == Verb::Begin)) (void)session_->lose("begin", "left");
  if (is_cut) return error_of(sql::kBusy, "read", kCutOff);
  if (session_ && !session_->is_lost()) return {};
  // What was done before in the transaction is gone: the rest must not be done either.
  if (lost_in_transaction_ && verb != Verb::Begin) {
    lost_in_transaction_ = verb == Verb::Other;
    return error_of(sql::kAway, "go on", "the connection was lost in this transaction");
  }
  lost_in_transaction_ = false;
  session_.reset();
  return connect();
}

Moment PgConnection::deadline() const {
  int64_t limit = kind_.is_reader ? options_.reader_limit_ms : options_.writer_limit_ms;
  return Clock::now() + milliseconds(limit) + kBeyondTheLimit;
}

// Statements

Result<sql::Statement*> PgConnection::prepare(std::string_view text) {
  auto found = statements_.find(text);
  if (found == statements_.end()) {
    found = statements_.emplace(text, std::make_unique<PgStatement>(*this, text)).first;
  }
  return static_cast<sql::Statement*>(found->second.get());
}

Result<std::unique_ptr<sql::Batch>> PgConnection::batch(std::string_view text) {
  TRY(auto* statement, prepare(text));
  auto& prepared = static_cast<PgStatement*>(statement)->prepared_;
  return std::unique_ptr<sql::Batch>(std::make_unique<PgBatch>(*this, prepared));
}

// A schema's script may have much to do.
Result<void> PgConnection::run(std::string_view script) {
  if (verb_of(script) != Verb::Other) {
    TRY(auto* statement, prepare(script));
    TRY(statement->execute());
    return {};
  }
  TRY(be_ready(Verb::Other));
  bool was_in_transaction = in_transaction();
  std::string text = "SET LOCAL statement_timeout TO 0; " + to_dialect(script);
  auto answer = session_->ask(text, Clock::now() + kScriptLimit);
  if (session_->is_lost()) lost_in_transaction_ = was_in_transaction;
  if (!answer.ok()) return std::move(answer).error();
  return {};
}

Result<void> PgConnection::lock_numbering() {
  TRY(run(lock_, one_row({lock_number(options_.schema, "numbering")})));
  return {};
}

void PgConnection::notify(const sql::Hint& hint) {
  ASSERT(hint.topic.size() + hint.payload.size() <= sql::kLongestHint);
  if (in_transaction()) hints_.push_back(fmt::format("{} {}", hint.topic, hint.payload));
}

Result<std::vector<ResultPtr>> PgConnection::exchange(std::span<const Call> calls) {
  auto until = deadline();
  const std::string& doing = calls.front().prepared.text;
  std::vector<Prepared*> brought;  // per result: whose parse it is; null: of a row
  auto kind_of = [](const Rows::Value& value) { return value.kind; };
  for (const auto& [prepared, rows] : calls) {
    auto first = rows.row(0);
    if (prepared.session != number_ || !std::ranges::equal(first, prepared.kinds, {}, kind_of)) {
      prepared.session = 0;
      prepared.kinds.clear();
      std::ranges::transform(first, std::back_inserter(prepared.kinds), kind_of);
      prepared.name = fmt::format("m{}", ++names_);
      if (!session_->add_parse(prepared.name, prepared.text, prepared.kinds)) {
        return session_->lose(doing);
      }
      brought.push_back(&prepared);
    }
    for (size_t i = 0; i < rows.count(); ++i) {
      if (!session_->add_run(prepared.name, rows.row(i))) return session_->lose(doing);
      if (i % kRowsPerFlush == kRowsPerFlush - 1) TRY(session_->flush(until, doing));
      brought.push_back(nullptr);
    }
  }
  TRY(auto replies, session_->exchange(until, doing));
  std::vector<ResultPtr> results;
  for (size_t i = 0; i < replies.results.size(); ++i) {
    if (brought[i]) {
      brought[i]->session = number_;
    } else {
      results.push_back(std::move(replies.results[i]));
    }
  }
  if (!replies.failed) return results;
  // What the server knew of statements does not hold any more, or it only reads: a new session.
  const std::string& state = replies.sqlstate;
  if (state == "26000" || state == "0A000" || (state == "25006" && !kind_.is_reader)) {
    (void)session_->lose(doing, "given up");
    return Error(ErrorKind::Unavailable, sql::kAway, replies.failed->message());
  }
  return std::move(*replies.failed);
}

Result<std::vector<ResultPtr>> PgConnection::run(Prepared& prepared, const Rows& rows) {
  TRY(check_sizes(rows, prepared.text));
  Verb verb = verb_of(prepared.text);
  TRY(be_ready(verb));
  bool was_in_transaction = in_transaction();
  auto results = run_verb(prepared, rows, verb);
  // A server that was restarted is noticed by the first who asks it: nothing has been done yet.
  bool is_free = !was_in_transaction && (verb == Verb::Begin || kind_.is_reader);
  if (!results.ok() && session_->is_lost() && !session_->was_too_slow() && is_free) {
    TRY(be_ready(verb));
    results = run_verb(prepared, rows, verb);
  }
  if (results.ok() || !session_->is_lost()) return results;
  log_warn("store.connection_lost", {{"error", results.error().message()}});
  if (verb == Verb::Commit && was_in_transaction && !kind_.is_reader) {
    TRY(settle(results.error()));
    results = std::vector<ResultPtr>();
    results->emplace_back(PQmakeEmptyPGresult(nullptr, PGRES_COMMAND_OK));
    return results;
  }
  lost_in_transaction_ = was_in_transaction && verb == Verb::Other;
  return results;
}

Result<std::vector<ResultPtr>> PgConnection::run_verb(Prepared& prepared, const Rows& rows,
                                                      Verb verb) {
  if (verb == Verb::Begin || verb == Verb::Rollback) hints_.clear();
  if (verb == Verb::Begin && !kind_.is_reader) {
    // Whoever claims shards waits for all that were begun before, and they for it. And a mark, by
    // which it is known whether the commit was made.
    auto fence = one_row({lock_number(options_.schema, "writers")});
    auto mark = one_row({writer_, ++mark_, unix_ms()});
    bool is_alone = prepared.text == kBeginAlone;
    Call calls[] = {
        {prepared, rows}, {is_alone ? lock_ : lock_shared_, fence}, {leave_mark_, mark}};
    TRY(auto results, exchange(calls));
    results.resize(1);
    return results;
  }
  if (verb == Verb::Commit && !hints_.empty() && Clock::now() >= tells_from_) {
    return commit_and_tell({prepared, rows});
  }
  Call call{prepared, rows};
  TRY(auto results, exchange({&call, 1}));
  // So the server answers a COMMIT behind a statement that failed.
  if (verb == Verb::Commit && std::string_view(PQcmdStatus(results[0].get())) == "ROLLBACK") {
    return error_of(sql::kStatement, "COMMIT", "a statement had failed: it was rolled back");
  }
  return results;
}

// A full queue of notifications, which somebody does not empty, must not keep rows from being
// written.
Result<std::vector<ResultPtr>> PgConnection::commit_and_tell(Call commit) {
  auto hints = std::exchange(hints_, {});
  Rows told;
  for (const auto& hint : hints) {
    told.put_bytes(1, Rows::Kind::Text, channel_);
    told.put_bytes(2, Rows::Kind::Text, hint);
    told.end_row();
  }
  Call calls[] = {{notify_, told}, commit};
  auto results = exchange(calls);
  if (results.ok()) {
    results->erase(results->begin(), results->end() - 1);
  } else if (results.error().code() == sql::kConstraint) {
    tells_from_ = Clock::now() + kSilence;
    log_warn("store.others_not_told", {{"error", results.error().message()}});
  }
  return results;
}

// Waits for a transaction of ours that may still be under way: it holds the mark's row.
Result<bool> PgConnection::mark_is_there() {
  auto row = one_row({writer_, unix_ms()});
  Call call{look_at_mark_, row};
  TRY(auto results, exchange({&call, 1}));
  return big_endian<int64_t>(PQgetvalue(results[0].get(), 0, 0)) == mark_;
}

// Nobody knows whether a commit whose answer was lost is there, but the server does: it is asked
// until it tells. Nothing else can be done meanwhile, so there is nothing to give up for.
Result<void> PgConnection::settle(const Error& lost) {
  lost_in_transaction_ = false;
  int asked = 0;
  for (;; std::this_thread::sleep_until(std::max(next_try_, Clock::now() + kFirstPause))) {
    if (!be_ready(Verb::Other).ok()) continue;
    auto is_there = mark_is_there();
    if (!is_there.ok()) {
      log_warn("store.commit_unknown", {{"error", is_there.error().message()}});
      next_try_ = Clock::now() + pause_before(++asked);
      continue;
    }
    log_info("store.commit_settled", {{"committed", *is_there}});
    if (*is_there) return {};
    return lost;
  }
}

}  // namespace millrace::store_postgres
