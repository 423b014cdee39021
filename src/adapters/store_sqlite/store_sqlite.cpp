// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/store_sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <charconv>
#include <unordered_map>
#include <vector>

namespace millrace::store_sqlite {
namespace {

constexpr int kBusyTimeoutMs = 5000;
// SQLite checkpoints by itself only as a last bound on the log; the sweep does it before that.
constexpr int kAutoCheckpointPages = 16384;  // 64 MiB of 4 KiB pages

Error error_of(sqlite3* db, int rc, std::string_view doing) {
  int extended = db ? sqlite3_extended_errcode(db) : rc;
  std::string text = fmt::format("sqlite: {}: {} ({})", doing,
                                 db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), extended);
  switch (rc & 0xff) {
    case SQLITE_FULL: return Error(ErrorKind::Unavailable, sql::kFull, std::move(text));
    case SQLITE_IOERR:
      // ENOSPC in a WAL write surfaces as an I/O error of the write kind, never of the sync kind.
      if (db && sqlite3_system_errno(db) == ENOSPC) {
        return Error(ErrorKind::Unavailable, sql::kFull, std::move(text));
      }
      return Error(ErrorKind::Unavailable, sql::kSyncFailed, std::move(text));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
    case SQLITE_CANTOPEN: return Error(ErrorKind::Unavailable, sql::kBusy, std::move(text));
    case SQLITE_CONSTRAINT: return Error(ErrorKind::Internal, sql::kConstraint, std::move(text));
    default: return Error(ErrorKind::Internal, sql::kDamaged, std::move(text));
  }
}

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

class SqliteStatement final : public sql::Statement {
 public:
  SqliteStatement(sqlite3* db, sqlite3_stmt* stmt) : db_(db), stmt_(stmt) {
    // In SQLite `$N` is a name, numbered by first appearance: map N to its place.
    int count = sqlite3_bind_parameter_count(stmt);
    for (int place = 1; place <= count; ++place) {
      const char* name = sqlite3_bind_parameter_name(stmt, place);
      int number = 0;
      if (name) std::from_chars(name + 1, name + std::char_traits<char>::length(name), number);
      ASSERT(number >= 1);
      if (static_cast<size_t>(number) >= place_of_.size()) {
        place_of_.resize(static_cast<size_t>(number) + 1);
      }
      place_of_[static_cast<size_t>(number)] = place;
    }
  }
  ~SqliteStatement() override { sqlite3_finalize(stmt_); }

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
    int rc = sqlite3_step(stmt_);
    if (rc == SQLITE_ROW) return true;
    if (rc == SQLITE_DONE) return false;
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
  sqlite3* db_;
  sqlite3_stmt* stmt_;
  std::vector<int> place_of_;
};

class SqliteConnection final : public sql::Connection {
 public:
  explicit SqliteConnection(sqlite3* db) : db_(db) {}
  ~SqliteConnection() override {
    statements_.clear();
    sqlite3_close_v2(db_);
  }

  Result<sql::Statement*> prepare(std::string_view text) override {
    if (auto found = statements_.find(text.data());
        found != statements_.end() && found->second.size == text.size()) {
      return static_cast<sql::Statement*>(found->second.statement.get());
    }
    sqlite3_stmt* stmt = nullptr;
    int rc = sqlite3_prepare_v3(db_, text.data(), static_cast<int>(text.size()),
                                SQLITE_PREPARE_PERSISTENT, &stmt, nullptr);
    if (rc != SQLITE_OK) return error_of(db_, rc, text);
    auto statement = std::make_unique<SqliteStatement>(db_, stmt);
    sql::Statement* raw = statement.get();
    statements_.insert_or_assign(text.data(), Prepared{text.size(), std::move(statement)});
    return raw;
  }

  Result<void> run(std::string_view script) override {
    std::string text = to_dialect(script);
    int rc = sqlite3_exec(db_, text.c_str(), nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) return error_of(db_, rc, text.substr(0, 60));
    return {};
  }

  bool in_transaction() const override { return sqlite3_get_autocommit(db_) == 0; }
  sqlite3* handle() { return db_; }

 private:
  struct Prepared {
    size_t size;
    std::unique_ptr<SqliteStatement> statement;
  };
  sqlite3* db_;
  // By the address of the literal: no hashing of SQL text on the hot path.
  std::unordered_map<const char*, Prepared> statements_;
};

Result<std::unique_ptr<SqliteConnection>> open_connection(const std::string& file, int flags) {
  sqlite3* db = nullptr;
  int rc = sqlite3_open_v2(file.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  if (rc != SQLITE_OK) {
    Error error = error_of(db, rc, "cannot open " + file);
    sqlite3_close_v2(db);
    return error;
  }
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  sqlite3_extended_result_codes(db, 0);
  return std::make_unique<SqliteConnection>(db);
}

class SqliteStore final : public sql::Store {
 public:
  explicit SqliteStore(std::string file) : file_(std::move(file)) {}

  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    TRY(auto connection, open_connection(file_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    TRY(
        connection->run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                        "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-32768;"
                        "PRAGMA journal_size_limit=67108864"));
    TRY(connection->run(fmt::format("PRAGMA wal_autocheckpoint={}", kAutoCheckpointPages)));
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }

  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    TRY(auto connection, open_connection(file_, SQLITE_OPEN_READONLY));
    TRY(connection->run("PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8192; PRAGMA query_only=1"));
    return std::unique_ptr<sql::Connection>(std::move(connection));
  }

  Result<void> backup(const std::string& target) override {
    TRY(auto source, open_connection(file_, SQLITE_OPEN_READONLY));
    TRY(auto copy, open_connection(target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    sqlite3_backup* job = sqlite3_backup_init(copy->handle(), "main", source->handle(), "main");
    if (!job) return error_of(copy->handle(), sqlite3_errcode(copy->handle()), "backup");
    // One step: a read transaction on a WAL database blocks no writer.
    int rc = sqlite3_backup_step(job, -1);
    sqlite3_backup_finish(job);
    if (rc != SQLITE_DONE) return error_of(copy->handle(), rc, "backup to " + target);
    return {};
  }

  Result<int64_t> checkpoint() override {
    if (!checkpointer_) {
      TRY(checkpointer_, open_connection(file_, SQLITE_OPEN_READWRITE));
    }
    int log_pages = 0;
    int moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(checkpointer_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                       &log_pages, &moved);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
      return error_of(checkpointer_->handle(), rc, "checkpoint");
    }
    return static_cast<int64_t>(log_pages) * 4096;
  }

 private:
  std::string file_;
  std::unique_ptr<SqliteConnection> checkpointer_;  // of the one thread that calls checkpoint()
};

}  // namespace

Result<std::unique_ptr<sql::Store>> open(const std::string& folder) {
  auto store = std::make_unique<SqliteStore>(folder + "/millrace.db");
  TRY(auto probe, store->open_writer());  // creates the file, switches it to WAL
  return std::unique_ptr<sql::Store>(std::move(store));
}

Result<std::unique_ptr<sql::Connection>> open_file_reader(const std::string& file) {
  TRY(auto connection, open_connection(file, SQLITE_OPEN_READONLY));
  return std::unique_ptr<sql::Connection>(std::move(connection));
}

}  // namespace millrace::store_sqlite
