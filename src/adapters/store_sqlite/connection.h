// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "adapters/store_sqlite/hints.h"
#include "adapters/store_sqlite/log_marks.h"
#include "base/hash.h"
#include "store/sql.h"

struct sqlite3;
struct sqlite3_stmt;

namespace millrace::store_sqlite {

// `rc` as a stable code with SQLite's own words. `db` may be null.
Error error_of(sqlite3* db, int rc, std::string_view doing);

inline constexpr int64_t kFrameBytes = 4096 + 24;  // a page of the log and its header

using Moment = std::chrono::steady_clock::time_point;

class SqliteConnection final : public sql::Connection {
 public:
  // `flags`: SQLITE_OPEN_*. `vfs` empty: the system's.
  static Result<std::unique_ptr<SqliteConnection>> open(const std::string& file, int flags,
                                                        const std::string& vfs);
  ~SqliteConnection() override;
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  Result<sql::Statement*> prepare(std::string_view text) override;
  Result<std::unique_ptr<sql::Batch>> batch(std::string_view text) override;
  Result<void> run(std::string_view script) override;
  bool in_transaction() const override;
  void notify(const sql::Hint& hint) override;
  int64_t log_bytes() const override { return log_bytes_; }
  Result<bool> give_back(int64_t pages) override;
  Result<std::vector<std::string>> check_integrity() override;

  // Cuts off each query that runs longer, or that runs at the moment `cut`, which may be moved.
  void limit_queries(std::chrono::milliseconds limit,
                     std::shared_ptr<const std::atomic<Moment>> cut);
  bool has_limit() const { return limit_.count() > 0; }
  void query_begins() { deadline_ = std::chrono::steady_clock::now() + limit_; }
  Error cut_off(std::string_view query) const;
  // Where its commits are told.
  void tell(std::shared_ptr<Hints> hints) { hints_ = std::move(hints); }
  bool has_to_tell() const { return !to_tell_.empty(); }
  // A statement or a script has been run.
  void was_run(std::string_view text, bool done);
  // Keeps log_bytes() and the marks, and leaves checkpoints to Store::checkpoint().
  void watch_log(std::shared_ptr<LogMarks> marks);
  sqlite3* handle() { return db_; }

 private:
  explicit SqliteConnection(sqlite3* db);
  Result<int64_t> number_of(std::string_view pragma);

  sqlite3* db_;
  std::unordered_map<std::string, std::unique_ptr<class SqliteStatement>, StringHash,
                     std::equal_to<>>
      statements_;
  // Of the texts of batches, that of a group of their rows; empty: there is none.
  std::unordered_map<std::string, std::string, StringHash, std::equal_to<>> groups_;
  int64_t log_bytes_ = 0;
  std::shared_ptr<LogMarks> log_marks_;
  std::chrono::milliseconds limit_{0};
  Moment deadline_;
  std::shared_ptr<const std::atomic<Moment>> cut_;
  std::shared_ptr<Hints> hints_;
  std::vector<Hints::Told> to_tell_;  // with the commit of the open transaction
};

}  // namespace millrace::store_sqlite
