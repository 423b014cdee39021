// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/connection.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "adapters/store_sqlite/gathering_vfs.h"
#include "adapters/store_sqlite/grouped_insert.h"

namespace millrace::store_sqlite {
namespace {

constexpr int kBusyTimeoutMs = 5000;
// How many steps of SQLite's machine pass between two looks at the clock: some 20 us.
constexpr int kStepsPerLook = 250;  // few pages: each may come from a slow disk

// SQLite's dialect: type names, and tables that live in their primary key.
std::string to_dialect(std::string_view script) {
  std::string out(script);
  auto replace = [&](std::string_view from, std::string_view to) {
    for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size()) {
      out.replace(at, from.size(), to);
    }
  };
  replace("BIGINT_KEY", "INTEGER");
  replace("BIGINT", "INTEGER");
  replace(" BYTES ", " BLOB ");
  replace("/*norowid*/", "WITHOUT ROWID");
  return out;
}

// True when a file of the database last failed for want of space, and none for another reason.
// SQLite itself says SQLITE_FULL only for ENOSPC of a write, and keeps no errno of a COMMIT.
bool space_is_missing(sqlite3* db) {
  int of_main = 0;
  int of_log = 0;
  sqlite3_file* log = nullptr;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &of_main);
  sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (log && log->pMethods) log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &of_log);
  auto is_space = [](int error) { return error == ENOSPC || error == EDQUOT; };
  return of_main != EIO && of_log != EIO && (is_space(of_main) || is_space(of_log));
}

std::string_view code_of(sqlite3* db, int rc) {
  switch (rc & 0xff) {
    case SQLITE_FULL: return sql::kFull;
    case SQLITE_IOERR:
      if (rc == SQLITE_IOERR_NOMEM) return sql::kBusy;
      if (rc == SQLITE_IOERR_SHMSIZE) return sql::kFull;  // growing the -shm file
      return db && space_is_missing(db) ? sql::kFull : sql::kSyncFailed;
    case SQLITE_INTERRUPT:  // a query over its limit
    case SQLITE_PROTOCOL:   // readers and checkpoints in each other's way
    case SQLITE_SCHEMA:
    case SQLITE_ABORT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_NOMEM: return sql::kBusy;
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH: return sql::kConstraint;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return sql::kDamaged;
    default: return sql::kStatement;
  }
}

}  // namespace

Error error_of(sqlite3* db, int rc, std::string_view doing) {
  if (db) rc = sqlite3_extended_errcode(db);
  std::string_view code = code_of(db, rc);
  bool internal = code == sql::kConstraint || code == sql::kDamaged || code == sql::kStatement;
  return Error(internal ? ErrorKind::Internal : ErrorKind::Unavailable, code,
               fmt::format("sqlite: {}: {} ({})", doing.substr(0, 80),
                           db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc));
}

class SqliteStatement final : public sql::Statement {
 public:
  SqliteStatement(SqliteConnection& connection, sqlite3_stmt* stmt)
      : connection_(connection), db_(connection.handle()), stmt_(stmt) {
    // In SQLite `$N` is a name, numbered by first appearance: map N to its place.
    int count = sqlite3_bind_parameter_count(stmt);
    place_of_.resize(static_cast<size_t>(count) + 1);
    for (int place = 1; place <= count; ++place) {
      const char* name = sqlite3_bind_parameter_name(stmt, place);
      size_t number = 0;
      if (name) std::from_chars(name + 1, name + std::char_traits<char>::length(name), number);
      ASSERT_MSG(number >= 1 && number < place_of_.size(), sqlite3_sql(stmt));
      place_of_[number] = place;
    }
  }
  ~SqliteStatement() override { sqlite3_finalize(stmt_); }

  // What SQLite cannot bind (longer than its limit) stays NULL and fails at NOT NULL.
  void bind_int(int index, int64_t value) override {
    sqlite3_bind_int64(stmt_, place(index), value);
  }
  void bind_text(int index, std::string_view value) override {
    // A null pointer would bind NULL.
    const char* data = value.data() ? value.data() : "";
    sqlite3_bind_text64(stmt_, place(index), data, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  void bind_blob(int index, std::string_view value) override {
    const char* data = value.data() ? value.data() : "";
    sqlite3_bind_blob64(stmt_, place(index), data, value.size(), SQLITE_STATIC);
  }
  Result<bool> step() override {
    if (connection_.has_limit() && !sqlite3_stmt_busy(stmt_)) connection_.query_begins();
    int rc = sqlite3_step(stmt_);
    if (rc == SQLITE_ROW) return true;
    if (connection_.has_to_tell()) connection_.was_run(sqlite3_sql(stmt_), rc == SQLITE_DONE);
    if (rc == SQLITE_DONE) return false;
    if (rc == SQLITE_INTERRUPT) return connection_.cut_off(sqlite3_sql(stmt_));
    return error_of(db_, rc, sqlite3_sql(stmt_));
  }
  void reset() override { sqlite3_reset(stmt_); }
  int64_t affected() const override { return sqlite3_changes64(db_); }
  int64_t column_int(int column) const override { return sqlite3_column_int64(stmt_, column); }
  std::string_view column_bytes(int column) const override {
    const void* data = sqlite3_column_blob(stmt_, column);
    int size = sqlite3_column_bytes(stmt_, column);
    return data ? std::string_view(static_cast<const char*>(data), static_cast<size_t>(size))
                : std::string_view();
  }

 private:
  int place(int index) const {
    ASSERT(static_cast<size_t>(index) < place_of_.size());
    return place_of_[static_cast<size_t>(index)];
  }
  SqliteConnection& connection_;
  sqlite3* db_;
  sqlite3_stmt* stmt_;
  std::vector<int> place_of_;
};

SqliteConnection::SqliteConnection(sqlite3* db) : db_(db) {
  sqlite3_busy_timeout(db_, kBusyTimeoutMs);
}

SqliteConnection::~SqliteConnection() {
  statements_.clear();
  sqlite3_close_v2(db_);
}

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const std::string& file, int flags,
                                                                 const std::string& vfs) {
  // SQLite counts its memory under one lock, at every allocation of every thread: nobody asks.
  [[maybe_unused]] static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3* db = nullptr;
  int rc =
      sqlite3_open_v2(file.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, gathering_vfs(vfs).c_str());
  if (rc != SQLITE_OK) {
    Error error = error_of(db, rc, "cannot open " + file);
    sqlite3_close_v2(db);
    return error;
  }
  return std::unique_ptr<SqliteConnection>(new SqliteConnection(db));
}

Result<sql::Statement*> SqliteConnection::prepare(std::string_view text) {
  auto found = statements_.find(text);
  if (found != statements_.end()) return static_cast<sql::Statement*>(found->second.get());
  sqlite3_stmt* stmt = nullptr;
  int rc = sqlite3_prepare_v3(db_, text.data(), static_cast<int>(text.size()),
                              SQLITE_PREPARE_PERSISTENT, &stmt, nullptr);
  if (rc != SQLITE_OK) return error_of(db_, rc, text);
  auto statement = std::make_unique<SqliteStatement>(*this, stmt);
  sql::Statement* raw = statement.get();
  statements_.emplace(text, std::move(statement));
  return raw;
}

Result<std::unique_ptr<sql::Batch>> SqliteConnection::batch(std::string_view text) {
  auto known = groups_.find(text);
  if (known == groups_.end()) {
    known = groups_.emplace(text, GroupedInsert::group_text(text)).first;
  }
  if (known->second.empty()) return sql::Connection::batch(text);
  TRY(auto* one, prepare(text));
  TRY(auto* group, prepare(known->second));
  return std::unique_ptr<sql::Batch>(std::make_unique<GroupedInsert>(*one, *group));
}

Result<void> SqliteConnection::run(std::string_view script) {
  std::string text = to_dialect(script);
  int rc = sqlite3_exec(db_, text.c_str(), nullptr, nullptr, nullptr);
  if (has_to_tell()) was_run(script, rc == SQLITE_OK);
  if (rc != SQLITE_OK) return error_of(db_, rc, text);
  return {};
}

bool SqliteConnection::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

void SqliteConnection::notify(const sql::Hint& hint) {
  ASSERT(hint.topic.size() + hint.payload.size() <= sql::kLongestHint);
  if (in_transaction()) to_tell_.push_back({std::string(hint.topic), std::string(hint.payload)});
}

void SqliteConnection::was_run(std::string_view text, bool done) {
  if (in_transaction()) return;
  auto told = std::exchange(to_tell_, {});
  if (done && hints_ && text == "COMMIT") hints_->tell(told);
}

Result<int64_t> SqliteConnection::number_of(std::string_view pragma) {
  TRY(auto* statement, prepare(pragma));
  auto row = statement->step();
  int64_t number = row.ok() && *row ? statement->column_int(0) : 0;
  statement->reset();
  if (!row.ok()) return std::move(row).error();
  return number;
}

Result<bool> SqliteConnection::give_back(int64_t pages) {
  constexpr int64_t kIncremental = 2;
  constexpr int64_t kKept = 256;          // pages; and of a large file
  constexpr int64_t kKeptPartOfAll = 10;  // a tenth: what was freed is soon needed again
  TRY(int64_t mode, number_of("PRAGMA auto_vacuum"));
  if (mode != kIncremental) return false;
  TRY(int64_t all, number_of("PRAGMA page_count"));
  TRY(int64_t free, number_of("PRAGMA freelist_count"));
  int64_t surplus = free - std::max(kKept, all / kKeptPartOfAll);
  if (surplus <= 0) return false;
  TRY(run(fmt::format("PRAGMA incremental_vacuum({})", std::min(pages, surplus))));
  TRY(int64_t left, number_of("PRAGMA freelist_count"));
  return left < free;
}

Result<std::vector<std::string>> SqliteConnection::check_integrity() {
  TRY(auto* check, prepare("PRAGMA integrity_check(20)"));
  std::vector<std::string> found;
  for (;;) {
    auto more = check->step();
    if (more.ok() && *more) {
      found.emplace_back(check->column_bytes(0));
      continue;
    }
    check->reset();
    if (!more.ok()) return std::move(more).error();
    break;
  }
  if (found == std::vector<std::string>{"ok"}) found.clear();
  return found;
}

void SqliteConnection::limit_queries(std::chrono::milliseconds limit,
                                     std::shared_ptr<const std::atomic<Moment>> cut) {
  limit_ = limit;
  cut_ = std::move(cut);
  auto is_over = [](void* connection) {
    auto& self = *static_cast<SqliteConnection*>(connection);
    Moment now = std::chrono::steady_clock::now();
    return now > self.deadline_ || now >= self.cut_->load(std::memory_order_relaxed) ? 1 : 0;
  };
  sqlite3_progress_handler(db_, kStepsPerLook, is_over, this);
}

Error SqliteConnection::cut_off(std::string_view query) const {
  std::string why = std::chrono::steady_clock::now() > deadline_
                        ? fmt::format("took longer than {} ms", limit_.count())
                        : std::string("cut off, the server is stopping");
  return Error(ErrorKind::Unavailable, sql::kBusy,
               fmt::format("sqlite: {}: {}", query.substr(0, 80), why));
}

void SqliteConnection::watch_log(std::shared_ptr<LogMarks> marks) {
  log_marks_ = std::move(marks);
  // The hook of the last caller counts: this one also switches SQLite's own checkpoints off.
  auto note = [](void* self, sqlite3*, const char*, int frames) {
    auto& connection = *static_cast<SqliteConnection*>(self);
    connection.log_bytes_ = int64_t{frames} * kFrameBytes;
    connection.log_marks_->grew_to(frames);
    return SQLITE_OK;
  };
  sqlite3_wal_hook(db_, note, this);
}

}  // namespace millrace::store_sqlite
