// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/connection.h"

#include <endian.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <random>
#include <thread>

namespace millrace::store_postgres {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Types by their OIDs (pg_type.dat): these never change.
constexpr Oid kBool = 16;
constexpr Oid kBytea = 17;
constexpr Oid kInt8 = 20;
constexpr Oid kInt2 = 21;
constexpr Oid kInt4 = 23;
constexpr Oid kText = 25;

constexpr int kBinary = 1;
// While a reader waits it looks this often whether reads are cut off.
constexpr milliseconds kLook{50};
constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{2'000};
// What is sent before it is looked whether the server takes it.
constexpr size_t kRowsPerFlush = 64;
// Of what a statement without a limit of the server's may still take until it is given up.
constexpr milliseconds kBeyondTheLimit{2'000};

constexpr std::string_view kCutOff = "cut off, the server is stopping";

Oid type_of(Rows::Kind kind) {
  switch (kind) {
    case Rows::Kind::Int: return kInt8;
    case Rows::Kind::Blob: return kBytea;
    case Rows::Kind::Text:
    case Rows::Kind::None: return kText;
  }
  return kText;
}

Moment after(int64_t ms) { return Clock::now() + milliseconds(ms); }

// Somewhere in the upper half of a time that doubles with each try: servers that lost one database
// do not come back at the same moment.
milliseconds pause_before(int tries) {
  thread_local std::minstd_rand random{std::random_device{}()};
  auto whole = std::min(kLongestPause, kFirstPause * (1 << std::min(tries, 10)));
  std::uniform_int_distribution<int64_t> part(whole.count() / 2, whole.count());
  return milliseconds(part(random));
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

std::string_view touched_text(const ResultPtr& result) { return PQcmdTuples(result.get()); }

}  // namespace

void ResultFree::operator()(pg_result* result) const { PQclear(result); }

Rows::Value& Rows::at(int index) {
  auto column = static_cast<size_t>(index) - 1;
  if (count_ == 0) width_ = std::max(width_, column + 1);
  ASSERT_MSG(index >= 1 && column < width_, "more parameters than the row before");
  if (values_.size() < (count_ + 1) * width_) values_.resize((count_ + 1) * width_);
  return values_[count_ * width_ + column];
}

void Rows::put_int(int index, int64_t value) {
  Value& to = at(index);
  to.kind = Kind::Int;
  auto bytes = htobe64(static_cast<uint64_t>(value));
  std::memcpy(to.number, &bytes, sizeof bytes);
}

void Rows::put_bytes(int index, Kind kind, std::string_view value) {
  Value& to = at(index);
  to.kind = kind;
  to.bytes = value;
}

std::span<const Rows::Value> Rows::row(size_t number) const {
  return std::span(values_).subspan(number * width_, width_);
}

void Rows::clear() {
  values_.clear();
  width_ = count_ = 0;
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
      affected_ = number_of(touched_text(result_));
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
      case kInt8: return big_endian<int64_t>(bytes);
      case kInt4: return big_endian<int32_t>(bytes);
      case kInt2: return big_endian<int16_t>(bytes);
      case kBool: return bytes[0];
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
    for (const auto& result : *results) touched_.push_back(number_of(touched_text(result)));
    return std::span<const int64_t>(touched_);
  }

 private:
  PgConnection& connection_;
  PgConnection::Prepared& prepared_;
  Rows rows_;
  std::vector<int64_t> touched_;
};

}  // namespace

// The session

Result<std::unique_ptr<PgConnection>> PgConnection::open(const Options& options, Limits limits) {
  std::unique_ptr<PgConnection> made(new PgConnection(options, std::move(limits)));
  TRY(made->connect());
  return made;
}

PgConnection::PgConnection(const Options& options, Limits limits)
    : options_(options), limits_(std::move(limits)) {}

PgConnection::~PgConnection() = default;

Result<void> PgConnection::connect() {
  if (tries_ > 0 && Clock::now() < next_try_) {
    return error_of(sql::kBusy, "connect", "the server is away, it is tried again soon");
  }
  next_try_ = Clock::now() + pause_before(tries_++);
  const char* const names[] = {"dbname", "application_name", "client_encoding", nullptr};
  const char* const values[] = {options_.url.c_str(), "millrace", "UTF8", nullptr};
  connection_ = Handle(PQconnectStartParams(names, values, /*expand_dbname=*/1), PQfinish);
  if (!connection_) return error_of(sql::kBusy, "connect", "out of memory");
  // Its notices are for whoever types SQL.
  PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
  auto deadline = after(options_.connect_limit_ms);
  auto polling = PGRES_POLLING_WRITING;
  while (polling != PGRES_POLLING_OK) {
    if (polling == PGRES_POLLING_FAILED || PQstatus(connection_.get()) == CONNECTION_BAD) {
      return lose("connect");
    }
    TRY(wait(polling == PGRES_POLLING_WRITING, deadline, "connect"));
    polling = PQconnectPoll(connection_.get());
  }
  if (auto started = start_session(); !started.ok()) {
    connection_.reset();
    return started;
  }
  ++session_;
  tries_ = 0;
  return {};
}

Result<void> PgConnection::start_session() {
  constexpr int kOldest = 130000;  // has pg_xact_status of xid8
  if (int version = PQserverVersion(connection_.get()); version < kOldest) {
    return Error(ErrorKind::Unsupported, sql::kStatement,
                 fmt::format("the PostgreSQL server is of version {}, expected 13 or newer",
                             version / 10'000));
  }
  std::string_view encoding = PQparameterStatus(connection_.get(), "server_encoding");
  if (encoding != "UTF8") {
    return Error(ErrorKind::Unsupported, sql::kStatement,
                 fmt::format("the database's encoding is {}, expected UTF8: create it with "
                             "TEMPLATE template0 ENCODING 'UTF8'",
                             encoding));
  }
  if (PQsetnonblocking(connection_.get(), 1) != 0) return lose("connect");
  std::unique_ptr<char, void (*)(void*)> schema(
      PQescapeIdentifier(connection_.get(), options_.schema.data(), options_.schema.size()),
      PQfreemem);
  if (!schema) return lose("connect");
  int64_t limit = limits_.is_reader ? options_.reader_limit_ms : options_.writer_limit_ms;
  // A session whose client is gone holds no lock for longer than a statement may take.
  std::string settings = fmt::format(
      "SET search_path TO {}; SET statement_timeout TO {}; SET lock_timeout TO {}; "
      "SET idle_in_transaction_session_timeout TO {}; SET standard_conforming_strings TO on; ",
      schema.get(), limit, options_.lock_limit_ms, options_.writer_limit_ms);
  settings += limits_.is_reader
                  ? "SET default_transaction_read_only TO on; "
                    "SET default_transaction_isolation TO 'repeatable read'"
                  : "SET default_transaction_read_only TO off; SET synchronous_commit TO on; "
                    "SET default_transaction_isolation TO 'read committed'";
  TRY(ask(settings));
  if (PQenterPipelineMode(connection_.get()) != 1) return lose("connect");
  return {};
}

// The connection is gone, or is not to be used any more.
Error PgConnection::lose(std::string_view doing, std::string_view why) {
  std::string said(why.empty() ? PQerrorMessage(connection_.get()) : why);
  if (said.empty()) said = "the connection was lost";
  connection_.reset();
  lost_in_transaction_ = in_transaction_;
  in_transaction_ = false;
  return error_of(sql::kBusy, doing, said);
}

Result<void> PgConnection::be_ready(Verb verb) {
  if (is_cut()) return error_of(sql::kBusy, "read", kCutOff);
  if (connection_ && PQstatus(connection_.get()) == CONNECTION_OK) return {};
  if (connection_) (void)lose("connect");
  // What was done before in the transaction is gone: the rest must not be done either.
  if (lost_in_transaction_ && verb != Verb::Begin) {
    lost_in_transaction_ = verb == Verb::Other;
    return error_of(sql::kBusy, "go on", "the connection was lost in this transaction");
  }
  lost_in_transaction_ = false;
  return connect();
}

// Waiting

bool PgConnection::is_cut() const {
  return limits_.cut && Clock::now() >= limits_.cut->load(std::memory_order_relaxed);
}

Result<void> PgConnection::wait(bool for_writing, Moment deadline, std::string_view doing) {
  pollfd look{PQsocket(connection_.get()), POLLIN, 0};
  if (for_writing) look.events |= POLLOUT;
  for (;;) {
    if (is_cut()) return lose(doing, kCutOff);
    auto now = Clock::now();
    if (now >= deadline) return lose(doing, "took too long");
    auto left = std::chrono::ceil<milliseconds>(deadline - now);
    if (limits_.cut) left = std::min(left, kLook);
    int found = ::poll(&look, 1, static_cast<int>(left.count()));
    if (found > 0) return {};
    if (found < 0 && errno != EINTR) return lose(doing, strerror(errno));
  }
}

// Reads meanwhile: a server that cannot get rid of its answers takes nothing more.
Result<void> PgConnection::flush(Moment deadline, std::string_view doing) {
  for (;;) {
    int left = PQflush(connection_.get());
    if (left == 0) return {};
    if (left < 0) return lose(doing);
    TRY(wait(/*for_writing=*/true, deadline, doing));
    if (PQconsumeInput(connection_.get()) != 1) return lose(doing);
  }
}

// Null: the end of one query's results.
Result<ResultPtr> PgConnection::next_result(Moment deadline, std::string_view doing) {
  while (PQisBusy(connection_.get()) == 1) {
    TRY(flush(deadline, doing));
    TRY(wait(/*for_writing=*/false, deadline, doing));
    if (PQconsumeInput(connection_.get()) != 1) return lose(doing);
  }
  ResultPtr result(PQgetResult(connection_.get()));
  if (PQstatus(connection_.get()) == CONNECTION_BAD) return lose(doing);
  return result;
}

// Outside of pipeline mode: a script, or a query whose first value is the answer.
Result<std::string> PgConnection::ask(const std::string& query) {
  auto deadline = after(options_.writer_limit_ms) + kBeyondTheLimit;
  if (PQsendQuery(connection_.get(), query.c_str()) != 1) return lose(query);
  std::string answer;
  std::optional<Error> failed;
  for (;;) {
    TRY(auto result, next_result(deadline, query));
    if (!result) break;
    auto status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK && PQntuples(result.get()) > 0) {
      answer = PQgetvalue(result.get(), 0, 0);
    } else if (status == PGRES_FATAL_ERROR && !failed) {
      const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      failed = error_of(code_of(state ? state : ""), query, PQresultErrorMessage(result.get()));
    }
  }
  in_transaction_ = PQtransactionStatus(connection_.get()) != PQTRANS_IDLE;
  if (failed) return std::move(*failed);
  return answer;
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

Result<void> PgConnection::run(std::string_view script) {
  if (verb_of(script) != Verb::Other) {
    TRY(auto* statement, prepare(script));
    TRY(statement->execute());
    return {};
  }
  TRY(be_ready(Verb::Other));
  if (PQexitPipelineMode(connection_.get()) != 1) return lose(script);
  auto answer = ask(to_dialect(script));
  if (connection_ && PQenterPipelineMode(connection_.get()) != 1) return lose(script);
  if (!answer.ok()) return std::move(answer).error();
  return {};
}

bool PgConnection::in_transaction() const { return in_transaction_; }

bool PgConnection::parse(Prepared& prepared, std::span<const Rows::Value> row) {
  std::vector<Oid> types;
  prepared.kinds.clear();
  for (const auto& value : row) {
    types.push_back(type_of(value.kind));
    prepared.kinds.push_back(value.kind);
  }
  prepared.name = fmt::format("m{}", ++names_);
  return PQsendPrepare(connection_.get(), prepared.name.c_str(), prepared.text.c_str(),
                       static_cast<int>(types.size()), types.data()) == 1;
}

bool PgConnection::send(const Prepared& prepared, std::span<const Rows::Value> row) {
  constexpr size_t kMostParameters = 64;
  const char* values[kMostParameters];
  int lengths[kMostParameters];
  int formats[kMostParameters];
  ASSERT_MSG(row.size() <= kMostParameters, prepared.text);
  for (size_t i = 0; i < row.size(); ++i) {
    bool is_number = row[i].kind == Rows::Kind::Int;
    // A null pointer would be NULL.
    const char* bytes = row[i].bytes.data() ? row[i].bytes.data() : "";
    values[i] = is_number ? row[i].number : bytes;
    lengths[i] = static_cast<int>(is_number ? sizeof row[i].number : row[i].bytes.size());
    formats[i] = kBinary;
  }
  return PQsendQueryPrepared(connection_.get(), prepared.name.c_str(), static_cast<int>(row.size()),
                             values, lengths, formats, kBinary) == 1;
}

Result<std::vector<ResultPtr>> PgConnection::exchange(Prepared& prepared, const Rows& rows,
                                                      Verb verb) {
  auto* raw = connection_.get();
  int64_t limit = limits_.is_reader ? options_.reader_limit_ms : options_.writer_limit_ms;
  auto deadline = after(limit) + kBeyondTheLimit;
  auto kind_of = [](const Rows::Value& value) { return value.kind; };
  bool is_known =
      prepared.session == session_ && std::ranges::equal(rows.row(0), prepared.kinds, {}, kind_of);
  if (!is_known && !parse(prepared, rows.row(0))) return lose(prepared.text);
  for (size_t i = 0; i < rows.count(); ++i) {
    if (!send(prepared, rows.row(i))) return lose(prepared.text);
    if (i % kRowsPerFlush == kRowsPerFlush - 1) TRY(flush(deadline, prepared.text));
  }
  // By what the outcome can be asked for if its COMMIT is not answered.
  bool notes_transaction = verb == Verb::Begin && !limits_.is_reader;
  if (notes_transaction &&
      PQsendQueryParams(raw, "SELECT pg_current_xact_id()::text, pg_backend_pid()::text", 0,
                        nullptr, nullptr, nullptr, nullptr, 0) != 1) {
    return lose(prepared.text);
  }
  if (PQpipelineSync(raw) != 1) return lose(prepared.text);

  std::vector<ResultPtr> results;
  std::optional<Error> failed;
  bool is_parsed = is_known;
  for (;;) {
    TRY(auto result, next_result(deadline, prepared.text));
    if (!result) continue;
    auto status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) break;
    if (status == PGRES_FATAL_ERROR && !failed) {
      const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      failed =
          error_of(code_of(state ? state : ""), prepared.text, PQresultErrorMessage(result.get()));
    }
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) continue;
    if (!is_parsed) {
      prepared.session = session_;
      is_parsed = true;
    } else {
      results.push_back(std::move(result));
    }
  }
  in_transaction_ = PQtransactionStatus(raw) != PQTRANS_IDLE;
  if (failed) return std::move(*failed);
  if (notes_transaction) {
    transaction_ = PQgetvalue(results.back().get(), 0, 0);
    backend_ = PQgetvalue(results.back().get(), 0, 1);
    results.pop_back();
  }
  return results;
}

Result<std::vector<ResultPtr>> PgConnection::run(Prepared& prepared, const Rows& rows) {
  constexpr size_t kMostBytes = std::numeric_limits<int>::max() / 2;
  for (size_t i = 0; i < rows.count(); ++i) {
    for (const auto& value : rows.row(i)) {
      if (value.bytes.size() <= kMostBytes) continue;
      return error_of(sql::kConstraint, prepared.text,
                      fmt::format("a value of {} bytes, at most {} can be stored",
                                  value.bytes.size(), kMostBytes));
    }
  }
  Verb verb = verb_of(prepared.text);
  TRY(be_ready(verb));
  bool was_in_transaction = in_transaction_;
  auto results = exchange(prepared, rows, verb);
  bool is_lost = !connection_;
  // A server that was restarted is noticed by the first who asks it: nothing has been done yet.
  bool is_free = verb == Verb::Begin || limits_.is_reader;
  if (!results.ok() && is_lost && is_free && !was_in_transaction && be_ready(verb).ok()) {
    results = exchange(prepared, rows, verb);
  }
  if (verb != Verb::Commit || limits_.is_reader) return results;
  if (!results.ok() && is_lost && was_in_transaction) {
    TRY(settle(std::move(results).error()));
    results = std::vector<ResultPtr>();
    results->emplace_back(PQmakeEmptyPGresult(nullptr, PGRES_COMMAND_OK));
  }
  if (results.ok() && std::string_view(PQcmdStatus(results->front().get())) == "ROLLBACK") {
    return error_of(sql::kStatement, "COMMIT", "a statement had failed: it was rolled back");
  }
  return results;
}

// Nobody knows whether a commit whose answer was lost is there, but the server does.
Result<void> PgConnection::settle(Error lost) {
  lost_in_transaction_ = false;
  auto deadline = after(options_.settle_limit_ms);
  std::string said = "the server could not be asked";
  auto pause = [&] {
    std::this_thread::sleep_until(std::max(next_try_, Clock::now() + kFirstPause));
  };
  for (; Clock::now() < deadline; pause()) {
    Prepared status(
        fmt::format("SELECT coalesce(pg_xact_status('{}'::xid8), 'unknown')", transaction_));
    if (auto ready = be_ready(Verb::Other); !ready.ok()) {
      said = ready.error().message();
      continue;
    }
    Rows none;
    none.end_row();
    auto answer = exchange(status, none, Verb::Other);
    if (!answer.ok()) {
      said = answer.error().message();
      continue;
    }
    said = PQgetvalue(answer->front().get(), 0, 0);
    if (said == "committed") return {};
    if (said == "aborted") return lost;
    if (said == "unknown") break;  // too old to be known
    // The process that served us has not noticed yet that nobody listens.
    Prepared end(
        fmt::format("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                    "pid = {} AND backend_xid = '{}'::xid8::xid",
                    backend_, transaction_));
    (void)exchange(end, none, Verb::Other);
  }
  return error_of(sql::kSyncFailed, "COMMIT",
                  fmt::format("its outcome is not known ({}): {}", said, lost.message()));
}

}  // namespace millrace::store_postgres
