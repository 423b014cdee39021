// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace millrace::bench {

// The floor: SQLite as a small C program uses it. Any error ends the process.
class BareSqlite {
 public:
  using Statement = sqlite3_stmt*;
  explicit BareSqlite(const std::string& file) {
    check(sqlite3_open_v2(file.c_str(), &db_,
                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                          nullptr));
  }
  ~BareSqlite() {
    while (auto* stmt = sqlite3_next_stmt(db_, nullptr)) sqlite3_finalize(stmt);
    sqlite3_close_v2(db_);
  }
  BareSqlite(const BareSqlite&) = delete;
  BareSqlite& operator=(const BareSqlite&) = delete;

  void exec(const char* text) { check(sqlite3_exec(db_, text, nullptr, nullptr, nullptr)); }
  sqlite3_stmt* prepare(const char* text) {
    sqlite3_stmt* stmt = nullptr;
    check(sqlite3_prepare_v3(db_, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, nullptr));
    return stmt;
  }
  template <typename... Args>
  void run(sqlite3_stmt* stmt, const Args&... args) {
    int place = 0;
    (bind(stmt, ++place, args), ...);
    if (int rc = sqlite3_step(stmt); rc != SQLITE_DONE) check(rc);
    sqlite3_reset(stmt);
  }
  void begin() { run(begin_ ? begin_ : begin_ = prepare("BEGIN IMMEDIATE")); }
  void commit() { run(commit_ ? commit_ : commit_ = prepare("COMMIT")); }
  void checkpoint() { exec("PRAGMA wal_checkpoint(PASSIVE)"); }
  void check(int rc) {
    if (rc == SQLITE_OK) return;
    std::fprintf(stderr, "bare sqlite: %s\n", db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(rc));
    std::exit(1);
  }

 private:
  static void bind(sqlite3_stmt* stmt, int place, int64_t value) {
    sqlite3_bind_int64(stmt, place, value);
  }
  static void bind(sqlite3_stmt* stmt, int place, std::string_view text) {
    sqlite3_bind_text64(stmt, place, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  sqlite3* db_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

// An empty store with our schema in `folder`, with the settings of ours.
std::unique_ptr<BareSqlite> bare_sqlite(const std::string& folder);

}  // namespace millrace::bench
