// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <limits>
#include <random>
#include <thread>

#include "base/log.h"
#include "base/time.h"

namespace millrace::store_postgres {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kFirstPause{50};
// How much longer than the server's own limit a statement is waited for.
constexpr milliseconds kBeyondTheLimit{2'000};
constexpr std::chrono::hours kScriptLimit{24};
// After a commit that was refused because of what it told: others are told nothing for so long.
constexpr std::chrono::seconds kSilence{60};

int64_t any_number() {
  std::random_device random;
  return (int64_t{random()} << 31 | int64_t{random()}) & std::numeric_limits<int64_t>::max();
}

Rows one_row(std::initializer_list<int64_t> numbers) {
  Rows rows;
  int index = 0;
  for (int64_t number : numbers) rows.put_int(++index, number);
  rows.end_row();
  return rows;
}

std::vector<ResultPtr> done() {
  std::vector<ResultPtr> results;
  results.emplace_back(PQmakeEmptyPGresult(nullptr, PGRES_COMMAND_OK));
  return results;
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

PgConnection::PgConnection(const Options& options, Session::Kind kind)
    : options_(options),
      kind_(std::move(kind)),
      pipeline_(options.row_security),
      writer_(any_number()),
      channel_(channel_of(options.schema)),
      notify_("SELECT pg_notify($1, $2)"),
      commit_("COMMIT"),
      lock_("SELECT pg_advisory_xact_lock($1)"),
      lock_shared_("SELECT pg_advisory_xact_lock_shared($1)"),
      end_still_(
          "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_stat_activity a ON "
          "a.pid = l.pid JOIN pg_database d ON d.oid = l.database WHERE d.datname = "
          "current_database() AND l.locktype = 'advisory' AND l.objsubid = 1 AND "
          "l.classid::bigint << 32 | l.objid::bigint = $1 AND l.granted AND a.wait_event = "
          "'ClientRead' AND a.query_start < now() - $2 * interval '1 millisecond'"),
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

// Sessions

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
  pipeline_.begin_session();
  tries_ = 0;
  return {};
}

bool PgConnection::is_cut() const {
  return kind_.cut && Clock::now() >= kind_.cut->load(std::memory_order_relaxed);
}

Result<void> PgConnection::be_ready(Verb verb) {
  // A transaction that somebody left: what it has read is old, and nobody waits for its locks.
  if (open_ && session_ && (is_cut() || verb == Verb::Begin)) {
    (void)session_->lose("begin", "left");
    open_ = false;
  }
  if (is_cut()) return error_of(sql::kBusy, "read", kCutOff);
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

void PgConnection::note_loss(const Error& error) {
  log_warn("store.connection_lost", {{"error", error.message()}});
  lost_in_transaction_ = std::exchange(open_, false);
  is_fresh_ = false;
  pipeline_.drop();
  forget_ahead();
}

Moment PgConnection::deadline() const {
  int64_t limit = kind_.is_reader ? options_.reader_limit_ms : options_.writer_limit_ms;
  return Clock::now() + milliseconds(limit) + kBeyondTheLimit;
}

// Statements

Result<PgStatement*> PgConnection::statement(std::string_view text) {
  auto found = statements_.find(text);
  if (found == statements_.end()) {
    auto made = std::make_unique<PgStatement>(*this, text, statements_.size());
    found = statements_.emplace(text, std::move(made)).first;
  }
  return found->second.get();
}

Result<sql::Statement*> PgConnection::prepare(std::string_view text) {
  TRY(auto* found, statement(text));
  return static_cast<sql::Statement*>(found);
}

Result<std::unique_ptr<sql::Batch>> PgConnection::batch(std::string_view text) {
  TRY(auto* found, statement(text));
  return std::unique_ptr<sql::Batch>(
      std::make_unique<PgBatch>(*this, *found, PgBatch::For::Writing));
}

Result<std::unique_ptr<sql::Batch>> PgConnection::ahead(std::string_view text) {
  if (!open_) return std::unique_ptr<sql::Batch>();
  TRY(auto* found, statement(text));
  ahead_.push_back(found);
  return std::unique_ptr<sql::Batch>(
      std::make_unique<PgBatch>(*this, *found, PgBatch::For::ReadingAhead));
}

void PgConnection::forget_ahead() {
  for (auto* each : std::exchange(ahead_, {})) each->forget_ahead();
}

// A schema's script may have much to do.
Result<void> PgConnection::run(std::string_view script) {
  if (verb_of(script) != Verb::Other) {
    TRY(auto* statement, prepare(script));
    TRY(statement->execute());
    return {};
  }
  TRY(be_ready(Verb::Other));
  while (pipeline_.calls() > 0) TRY(await());  // it may have to begin again
  std::string text = "SET LOCAL statement_timeout TO 0; " + to_dialect(script);
  auto has = [&](std::string_view word) { return script.find(word) != script.npos; };
  bool makes_tables = has("CREATE TABLE");
  if (makes_tables || has(" INDEX ")) text += ';' + keys_last_script();
  if (makes_tables && options_.row_security) text += ';' + row_security_script(true);
  auto answer = session_->ask(text, Clock::now() + kScriptLimit);
  if (session_->is_lost()) {
    note_loss(answer.error());
  } else {
    open_ = session_->in_transaction();
  }
  if (!answer.ok()) return std::move(answer).error();
  return {};
}

Result<void> PgConnection::put(Prepared& prepared, const Rows& rows, Pipeline::Take take) {
  is_judged_ |= static_cast<bool>(take);
  auto put = put_ahead(prepared, rows, std::move(take));
  is_fresh_ = false;
  return put;
}

Result<void> PgConnection::put_arrays(const Prepared& prepared, Prepared& arrays,
                                      const Rows& rows) {
  TRY(be_ready(Verb::Other));
  auto put = pipeline_.put_arrays(*session_, prepared, arrays, rows, deadline());
  if (!put.ok()) note_loss(put.error());
  is_fresh_ = false;
  return put;
}

Result<void> PgConnection::put_ahead(Prepared& prepared, const Rows& rows, Pipeline::Take take) {
  TRY(check_sizes(rows, prepared.text));
  TRY(be_ready(Verb::Other));
  auto put = pipeline_.put(*session_, prepared, rows, deadline(), std::move(take));
  if (!put.ok()) note_loss(put.error());
  return put;
}

Result<void> PgConnection::exchange() {
  auto exchanged = pipeline_.exchange(*session_, deadline());
  is_fresh_ = false;
  is_judged_ = false;
  if (!session_->is_lost()) open_ = session_->in_transaction();
  return exchanged;
}

Result<void> PgConnection::await() {
  if (pipeline_.calls() == 0) return {};
  TRY(be_ready(Verb::Other));
  bool was_fresh = is_fresh_;
  auto exchanged = exchange();
  if (!session_->is_lost()) return exchanged;
  if (was_fresh && !session_->was_too_slow() && !is_cut()) return begin_again(true);
  note_loss(exchanged.error());
  return exchanged;
}

PgConnection::Results PgConnection::run_once(Prepared& prepared, const Rows& rows) {
  std::vector<ResultPtr> results;
  auto take = [&results](std::vector<ResultPtr> answers) -> Result<void> {
    results = std::move(answers);
    return {};
  };
  TRY(pipeline_.put(*session_, prepared, rows, deadline(), take));
  TRY(exchange());
  return results;
}

PgConnection::Results PgConnection::run(Prepared& prepared, const Rows& rows) {
  auto with = [](Result<void> ended) -> Results {
    if (!ended.ok()) return std::move(ended).error();
    return done();
  };
  switch (verb_of(prepared.text)) {
    case Verb::Begin: return with(begin(prepared));
    case Verb::Commit: return with(kind_.is_reader ? end_reading(prepared) : end_writing());
    case Verb::Rollback: return with(kind_.is_reader ? end_reading(prepared) : roll_back(prepared));
    case Verb::Other: break;
  }
  TRY(check_sizes(rows, prepared.text));
  TRY(be_ready(Verb::Other));
  bool was_begun = is_fresh_;
  bool is_free = (was_begun || (kind_.is_reader && !open_ && pipeline_.calls() == 0)) && !is_cut();
  auto results = run_once(prepared, rows);
  // A server that was restarted is noticed by the first who asks it: nothing has been done yet.
  if (session_->is_lost() && !session_->was_too_slow() && is_free) {
    TRY(begin_again(was_begun));
    results = run_once(prepared, rows);
  }
  if (session_->is_lost()) note_loss(results.error());
  return results;
}

// Transactions

Result<void> PgConnection::begin(Prepared& prepared) {
  TRY(be_ready(Verb::Begin));
  hints_.clear();
  forget_ahead();
  begin_ = &prepared;
  numbers_ = false;
  if (auto put = put_begin(); !put.ok()) TRY(begin_again(true));
  // Whoever keeps all others out waits for them now.
  if (prepared.text != kBeginAlone) return {};
  auto begun = exchange();
  if (session_->is_lost() && !session_->was_too_slow()) {
    TRY(begin_again(true));
    begun = exchange();
  }
  if (session_->is_lost()) {
    note_loss(begun.error());
  } else if (!begun.ok() && begun.error().code() == sql::kBusy) {
    end_who_stand_still();
  }
  return begun;
}

// The server ends a transaction that stands still between two messages, not one whose message has
// come in part only: its client was stopped, or its machine, while it sent it.
void PgConnection::end_who_stand_still() {
  (void)run("ROLLBACK");
  auto ended = run_once(end_still_,
                        one_row({lock_number(options_.schema, "writers"), options_.idle_limit_ms}));
  if (!ended.ok()) return;
  int64_t count = number_in(ended->front(), 0, 0);
  if (count > 0) log_warn("store.stood_still", {{"sessions_ended", count}});
}

// With a writer's BEGIN go a lock: whoever claims shards waits for all that were begun before, and
// they for it; and a mark, by which it is known whether the commit was made.
Result<void> PgConnection::put_begin() {
  auto put = [&](Prepared& prepared, const Rows& rows) {
    return pipeline_.put(*session_, prepared, rows, deadline());
  };
  open_ = true;
  TRY(put(*begin_, Rows::none()));
  if (!kind_.is_reader) {
    bool is_alone = begin_->text == kBeginAlone;
    TRY(put(is_alone ? lock_ : lock_shared_, one_row({lock_number(options_.schema, "writers")})));
    TRY(put(leave_mark_, one_row({writer_, ++mark_, unix_ms()})));
  }
  if (numbers_) TRY(put(lock_, one_row({lock_number(options_.schema, "numbering")})));
  is_fresh_ = true;
  return {};
}

// On a new session.
Result<void> PgConnection::begin_again(bool was_begun) {
  open_ = false;
  session_.reset();
  forget_ahead();
  auto connected = connect();
  if (connected.ok()) return was_begun ? put_begin() : Result<void>();
  lost_in_transaction_ = was_begun;
  is_fresh_ = false;
  return connected;
}

Result<void> PgConnection::lock_numbering() {
  numbers_ = true;
  return put_ahead(lock_, one_row({lock_number(options_.schema, "numbering")}), {});
}

void PgConnection::notify(const sql::Hint& hint) {
  ASSERT(hint.topic.size() + hint.payload.size() <= sql::kLongestHint);
  if (open_) hints_.push_back(fmt::format("{} {}", hint.topic, hint.payload));
}

// A reader has nothing to lose by its end, and waits for nothing.
Result<void> PgConnection::end_reading(Prepared& prepared) {
  forget_ahead();
  TRY(be_ready(verb_of(prepared.text)));
  auto put = pipeline_.put(*session_, prepared, Rows::none(), deadline());
  if (put.ok()) put = pipeline_.send_off(*session_, deadline());
  if (verb_of(prepared.text) == Verb::Rollback) pipeline_.forget_tenants();
  is_fresh_ = false;
  open_ = false;
  return put;
}

Result<void> PgConnection::roll_back(Prepared& prepared) {
  hints_.clear();
  TRY(be_ready(Verb::Rollback));
  // In a message of its own: behind an error the rest of a message is not run.
  (void)await();
  lost_in_transaction_ = false;
  if (session_->is_lost()) return {};
  auto rolled_back = run_once(prepared, Rows::none());
  pipeline_.forget_tenants();
  if (rolled_back.ok()) return {};
  if (session_->is_lost()) open_ = false;
  return std::move(rolled_back).error();
}

sql::Committed PgConnection::commit() {
  // How many rows were touched must be known before.
  if (is_judged_) {
    if (auto rows = await(); !rows.ok()) return {std::move(rows), {}};
  }
  size_t before = pipeline_.calls();
  auto ended = end_writing();
  bool is_of_rows = !ended.ok() && session_ && !session_->is_lost() && before > 0 &&
                    pipeline_.failed_call() < before;
  if (is_of_rows) return {std::move(ended), {}};
  return {{}, std::move(ended)};
}

Result<void> PgConnection::end_writing() {
  TRY(be_ready(Verb::Commit));
  bool was_open = open_;
  bool tells = !hints_.empty() && Clock::now() >= tells_from_;
  size_t before = pipeline_.calls();
  std::string tag;
  auto send = [&]() -> Result<void> {
    if (tells) TRY(put_hints());
    TRY(pipeline_.put(*session_, commit_, Rows::none(), deadline(), [&tag](auto answers) {
      tag = PQcmdStatus(answers[0].get());
      return Result<void>();
    }));
    return exchange();
  };
  auto ended = send();
  hints_.clear();
  if (session_->is_lost()) {
    note_loss(ended.error());
    return was_open ? settle(ended.error()) : ended;
  }
  // A full queue of notifications, which somebody does not empty, must not keep rows from being
  // written.
  if (tells && !ended.ok() && ended.error().code() == sql::kConstraint &&
      pipeline_.failed_call() >= before) {
    tells_from_ = Clock::now() + kSilence;
    log_warn("store.others_not_told", {{"error", ended.error().message()}});
  }
  if (!ended.ok() || tag == "ROLLBACK") pipeline_.forget_tenants();
  // So the server answers a COMMIT behind a statement that failed.
  if (ended.ok() && tag == "ROLLBACK") {
    return error_of(sql::kStatement, "COMMIT", "a statement had failed: it was rolled back");
  }
  return ended;
}

Result<void> PgConnection::put_hints() {
  Rows told;
  for (const auto& hint : hints_) {
    told.put_bytes(1, Rows::Kind::Text, channel_);
    told.put_bytes(2, Rows::Kind::Text, hint);
    told.end_row();
  }
  return pipeline_.put(*session_, notify_, told, deadline());
}

// Waits for a transaction of ours that may still be under way: it holds the mark's row.
Result<bool> PgConnection::mark_is_there() {
  auto found = run_once(look_at_mark_, one_row({writer_, unix_ms()}));
  if (!found.ok()) return std::move(found).error();
  return number_in(found->front(), 0, 0) == mark_;
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
