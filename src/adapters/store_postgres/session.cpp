// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/session.h"

#include <endian.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "adapters/store_postgres/dialect.h"

namespace millrace::store_postgres {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr int kBinary = 1;
constexpr size_t kMostParameters = 64;
// While a reader waits it looks this often whether reads are cut off.
constexpr milliseconds kLook{50};

Oid type_of(Rows::Kind kind) {
  switch (kind) {
    case Rows::Kind::Int: return kInt8Oid;
    case Rows::Kind::Blob: return kByteaOid;
    case Rows::Kind::IntArray: return kInt8ArrayOid;
    case Rows::Kind::TextArray: return kTextArrayOid;
    case Rows::Kind::BlobArray: return kByteaArrayOid;
    case Rows::Kind::Text:
    case Rows::Kind::None: return kTextOid;
  }
  return kTextOid;
}

// Its SQLSTATE. A row that row level security refuses and a right that is missing have the same
// one; the first is said as what it is to PostgreSQL too: a row that a check does not let pass.
std::string state_of(const pg_result* result) {
  auto field = [&](int which) {
    const char* found = PQresultErrorField(result, which);
    return std::string_view(found ? found : "");
  };
  auto state = field(PG_DIAG_SQLSTATE);
  bool is_refused_row =
      state == "42501" && field(PG_DIAG_SOURCE_FUNCTION) == "ExecWithCheckOptions";
  return std::string(is_refused_row ? kRefusedRow : state);
}

// A statement is planned once per session, often while the tables are empty, and its plan must stay
// right when they have grown: by the index that it was written for (store/README.md), whatever the
// statistics say. What cannot be done by an index is still done; such a plan looks so dear that it
// would be compiled. Who reads everything is planned for what is there.
constexpr std::string_view kSteadyPlans =
    "; SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off; "
    "SET enable_bitmapscan TO off; SET enable_hashjoin TO off; SET enable_mergejoin TO off; "
    "SET jit TO off";

// What libpq is told of the server. What stands before `dbname` the URL may say otherwise.
struct Parameters {
  explicit Parameters(const Options& options)
      // libpq counts whole seconds, for each host of the URL and for each of its addresses.
      : seconds(std::to_string(std::max<int64_t>(options.connect_limit_ms / 1000, 2))) {
    auto add = [&, at = 0](const char* name, const char* value) mutable {
      names[at] = name;
      values[at++] = value;
    };
    add("target_session_attrs", "read-write");
    add("connect_timeout", seconds.c_str());
    add("sslmode", options.needs_tls ? "require" : "prefer");
    // A session that waits for the server alone finds out by these that it is gone.
    add("keepalives_idle", "30");
    add("keepalives_interval", "10");
    add("keepalives_count", "3");
    add("dbname", options.url.c_str());
    add("application_name", "millrace");
    add("client_encoding", "UTF8");
  }
  const std::string seconds;
  const char* names[10] = {};
  const char* values[10] = {};
};

}  // namespace

milliseconds pause_before(int tries) {
  constexpr milliseconds kFirst{50};
  constexpr milliseconds kLongest{2'000};
  thread_local std::minstd_rand random{std::random_device{}()};
  auto whole = std::min(kLongest, kFirst * (1 << std::min(tries, 10)));
  return milliseconds(
      std::uniform_int_distribution<int64_t>(whole.count() / 2, whole.count())(random));
}

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

void Rows::end_row() {
  ++count_;
  if (count_ == 1) return;
  auto kind_of = [](const Value& value) { return value.kind; };
  ASSERT_MSG(std::ranges::equal(row(0), row(count_ - 1), {}, kind_of, kind_of),
             "a parameter of another kind than in the row before");
}

std::span<const Rows::Value> Rows::row(size_t number) const {
  return std::span(values_).subspan(number * width_, width_);
}

void Rows::clear() {
  values_.clear();
  width_ = count_ = 0;
}

Session::Session(pg_conn* raw, Kind kind) : raw_(raw, PQfinish), kind_(std::move(kind)) {}

Session::~Session() = default;

bool Session::may_come(const Options& options, const Error& why) {
  Parameters parameters(options);
  auto answer = PQpingParams(parameters.names, parameters.values, /*expand_dbname=*/1);
  return answer == PQPING_NO_RESPONSE || answer == PQPING_REJECT ||
         why.message().find("session is read-only") != std::string::npos;
}

Result<std::unique_ptr<Session>> Session::open(const Options& options, const Kind& kind) {
  Parameters parameters(options);
  std::unique_ptr<Session> session(new Session(
      PQconnectdbParams(parameters.names, parameters.values, /*expand_dbname=*/1), kind));
  auto* raw = session->raw_.get();
  if (!raw) return error_of(sql::kAway, "connect", "out of memory");
  if (PQstatus(raw) != CONNECTION_OK) return error_of(sql::kAway, "connect", PQerrorMessage(raw));
  // Its notices are for whoever types SQL.
  PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
  TRY(session->equip(options));
  return session;
}

Result<void> Session::equip(const Options& options) {
  auto* raw = raw_.get();
  constexpr int kOldest = 130000;
  constexpr int kLooksAfterClients = 140000;
  int version = PQserverVersion(raw);
  if (version < kOldest) {
    return Error(ErrorKind::Unsupported, sql::kStatement,
                 fmt::format("the PostgreSQL server is of version {}, expected 13 or newer",
                             version / 10'000));
  }
  std::string_view encoding = PQparameterStatus(raw, "server_encoding");
  if (encoding != "UTF8") {
    return Error(ErrorKind::Unsupported, sql::kStatement,
                 fmt::format("the database's encoding is {}, expected UTF8: create it with "
                             "TEMPLATE template0 ENCODING 'UTF8'",
                             encoding));
  }
  if (PQsetnonblocking(raw, 1) != 0) return lose("connect");
  std::unique_ptr<char, void (*)(void*)> schema(
      PQescapeIdentifier(raw, options.schema.data(), options.schema.size()), PQfreemem);
  if (!schema) return lose("connect");
  int64_t limit = kind_.is_reader ? options.reader_limit_ms : options.writer_limit_ms;
  std::string settings = fmt::format(
      "SET search_path TO {}; SET statement_timeout TO {}; SET lock_timeout TO {}; "
      "SET idle_in_transaction_session_timeout TO {}; SET standard_conforming_strings TO on; ",
      schema.get(), limit, options.lock_limit_ms, options.idle_limit_ms);
  settings += kind_.is_reader ? "SET default_transaction_read_only TO on; "
                                "SET default_transaction_isolation TO 'repeatable read'"
                              : "SET default_transaction_read_only TO off; "
                                "SET synchronous_commit TO on; "
                                "SET default_transaction_isolation TO 'read committed'";
  if (!kind_.reads_much) settings += kSteadyPlans;
  // A query whose client has gone ends, too.
  if (version >= kLooksAfterClients) settings += "; SET client_connection_check_interval TO 5000";
  TRY(ask(settings, Clock::now() + milliseconds(options.connect_limit_ms)));
  return {};
}

Error Session::lose(std::string_view doing, std::string_view why) {
  std::string said(why.empty() && raw_ ? PQerrorMessage(raw_.get()) : why);
  if (said.empty()) said = "the connection was lost";
  if (lost_ == Lost::No) lost_ = Lost::Yes;
  raw_.reset();
  in_transaction_ = false;
  return error_of(sql::kAway, doing, said);
}

// Waiting

bool Session::is_cut() const {
  return kind_.cut && Clock::now() >= kind_.cut->load(std::memory_order_relaxed);
}

Result<void> Session::wait(bool for_writing, Moment deadline, std::string_view doing) {
  pollfd look{PQsocket(raw_.get()), POLLIN, 0};
  if (for_writing) look.events |= POLLOUT;
  for (;;) {
    auto busy = [&](std::string_view why) {
      (void)lose(doing, why);
      return error_of(sql::kBusy, doing, why);
    };
    if (is_cut()) return busy(kCutOff);
    auto now = Clock::now();
    if (now >= deadline) {
      lost_ = Lost::TooSlow;
      return busy("took too long");
    }
    auto left = std::chrono::ceil<milliseconds>(deadline - now);
    if (kind_.cut) left = std::min(left, kLook);
    int found = ::poll(&look, 1, static_cast<int>(left.count()));
    if (found > 0) return {};
    if (found < 0 && errno != EINTR) return lose(doing, strerror(errno));
  }
}

// Reads meanwhile: a server that cannot get rid of its answers takes nothing more.
Result<void> Session::flush(Moment deadline, std::string_view doing) {
  for (;;) {
    int left = PQflush(raw_.get());
    if (left == 0) return {};
    if (left < 0) return lose(doing);
    TRY(wait(/*for_writing=*/true, deadline, doing));
    if (PQconsumeInput(raw_.get()) != 1) return lose(doing);
  }
}

// Null: the end of one query's results.
Result<ResultPtr> Session::next_result(Moment deadline, std::string_view doing) {
  while (PQisBusy(raw_.get()) == 1) {
    TRY(flush(deadline, doing));
    TRY(wait(/*for_writing=*/false, deadline, doing));
    if (PQconsumeInput(raw_.get()) != 1) return lose(doing);
  }
  ResultPtr result(PQgetResult(raw_.get()));
  if (PQstatus(raw_.get()) == CONNECTION_BAD) return lose(doing);
  return result;
}

void Session::note_transaction() {
  in_transaction_ = PQtransactionStatus(raw_.get()) != PQTRANS_IDLE;
}

// Messages

Result<std::string> Session::ask(const std::string& script, Moment deadline) {
  if (sent_off_ > 0) TRY(exchange(deadline, script));
  auto* raw = raw_.get();
  bool may_ask = PQpipelineStatus(raw) == PQ_PIPELINE_OFF || PQexitPipelineMode(raw) == 1;
  if (!may_ask || PQsendQuery(raw, script.c_str()) != 1) return lose(script);
  std::string answer;
  std::optional<Error> failed;
  for (;;) {
    TRY(auto result, next_result(deadline, script));
    if (!result) break;
    auto status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK && PQntuples(result.get()) > 0) {
      answer = PQgetvalue(result.get(), 0, 0);
    } else if (status == PGRES_FATAL_ERROR && !failed) {
      failed =
          error_of(code_of(state_of(result.get())), script, PQresultErrorMessage(result.get()));
    }
  }
  note_transaction();
  if (PQenterPipelineMode(raw) != 1) return lose(script);
  if (failed) return std::move(*failed);
  return answer;
}

Result<void> Session::hear(int wake, Moment until, std::vector<std::string>& heard) {
  auto* raw = raw_.get();
  auto take = [&] {
    using Free = std::unique_ptr<PGnotify, void (*)(void*)>;
    while (Free note{PQnotifies(raw), PQfreemem}) heard.emplace_back(note->extra);
  };
  take();  // what came with an answer
  if (!heard.empty()) return {};
  pollfd looks[] = {{PQsocket(raw), POLLIN, 0}, {wake, POLLIN, 0}};
  auto left = std::max(std::chrono::ceil<milliseconds>(until - Clock::now()), milliseconds(0));
  if (::poll(looks, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) {
    return lose("listen", strerror(errno));
  }
  if (PQconsumeInput(raw) != 1) return lose("listen");
  take();
  return {};
}

bool Session::add_parse(const std::string& name, const std::string& text,
                        std::span<const Rows::Kind> kinds) {
  std::vector<Oid> types;
  std::ranges::transform(kinds, std::back_inserter(types), type_of);
  return PQsendPrepare(raw_.get(), name.c_str(), text.c_str(), static_cast<int>(types.size()),
                       types.data()) == 1;
}

bool Session::add_run(const std::string& name, std::span<const Rows::Value> row) {
  const char* values[kMostParameters];
  int lengths[kMostParameters];
  int formats[kMostParameters];
  ASSERT_MSG(row.size() <= kMostParameters, "a statement of too many parameters");
  for (size_t i = 0; i < row.size(); ++i) {
    bool is_number = row[i].kind == Rows::Kind::Int;
    // A null pointer would be NULL.
    const char* bytes = row[i].bytes.data() ? row[i].bytes.data() : "";
    values[i] = is_number ? row[i].number : bytes;
    lengths[i] = static_cast<int>(is_number ? sizeof row[i].number : row[i].bytes.size());
    formats[i] = kBinary;
  }
  return PQsendQueryPrepared(raw_.get(), name.c_str(), static_cast<int>(row.size()), values,
                             lengths, formats, kBinary) == 1;
}

Result<Replies> Session::exchange(Moment deadline, std::string_view doing) {
  if (PQpipelineSync(raw_.get()) != 1) return lose(doing);
  Replies replies;
  for (;;) {
    TRY(auto result, next_result(deadline, doing));
    if (!result) continue;
    auto status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) {
      if (sent_off_ == 0) break;
      --sent_off_;
      replies = {};
    } else if (status == PGRES_FATAL_ERROR && !replies.failed) {
      replies.failed = true;
      replies.sqlstate = state_of(result.get());
      replies.said = PQresultErrorMessage(result.get());
      if (replies.sqlstate == kRefusedRow) {
        replies.said += "its tenant is none that the statement named (store.row_security)";
      }
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
      replies.results.push_back(std::move(result));
    }
  }
  note_transaction();
  return replies;
}

Result<void> Session::send_off(Moment deadline) {
  if (PQpipelineSync(raw_.get()) != 1) return lose("send");
  ++sent_off_;
  in_transaction_ = false;
  return flush(deadline, "send");
}

}  // namespace millrace::store_postgres
