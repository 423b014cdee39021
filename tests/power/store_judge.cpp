// SPDX-License-Identifier: Apache-2.0
#include "store_judge.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>

#include "adapters/store_sqlite/store_sqlite.h"
#include "disk_log.h"
#include "noted_store.h"
#include "store/doctor.h"
#include "store/migrate.h"
#include "store/row_reader.h"
#include "store/test_support.h"

namespace millrace::power {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kAlsoExamined = 100;  // of the images whose pages are known, one of so many

// The files of the store, for whoever changes them.
class Copy {
 public:
  explicit Copy(const std::string& folder) {
    for (const char* name : {"millrace.db", "millrace.db-wal", "millrace.db-journal"}) {
      if (fs::exists(folder + "/" + name)) fs::copy(folder + "/" + name, place_.path());
    }
  }
  const std::string& path() const { return place_.path(); }

 private:
  store::testing::TempFolder place_;
};

// All pages as SQLite finds them, those in the log included. The files stay as they are.
struct Pages {
  std::pair<size_t, size_t> hash;
  std::string wrong;
};
Pages pages_in(const std::string& folder) {
  sqlite3* db = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  int rc = sqlite3_open_v2((folder + "/millrace.db").c_str(), &db, flags, nullptr);
  std::unique_ptr<sqlite3, int (*)(sqlite3*)> closes(db, sqlite3_close);
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // Alone with the file: what SQLite knows of the log stays in memory.
  constexpr const char* kAlone =
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA mmap_size=268435456; PRAGMA cache_size=8";
  if (rc == SQLITE_OK) rc = sqlite3_exec(db, kAlone, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return {{}, std::string("SQLite: ") + sqlite3_errmsg(db)};
  sqlite3_int64 size = 0;
  std::unique_ptr<unsigned char, void (*)(void*)> bytes(sqlite3_serialize(db, "main", &size, 0),
                                                        sqlite3_free);
  if (size != 0 && !bytes) return {{}, std::string("its pages: ") + sqlite3_errmsg(db)};
  std::string_view all(reinterpret_cast<const char*>(bytes.get()), static_cast<size_t>(size));
  return {{std::hash<std::string_view>()(all), all.size()}, ""};
}

// A commit, and the log moved behind it: it works on whatever the cut has left in the log.
Result<void> write_on(sql::Store& store, sql::Connection& writer) {
  TRY(
      writer.run("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS after_the_cut (n INTEGER);"
                 "INSERT INTO after_the_cut VALUES (1); COMMIT"));
  TRY(store.checkpoint());
  TRY(writer.run("BEGIN IMMEDIATE; INSERT INTO after_the_cut VALUES (2); COMMIT"));
  TRY(auto found, writer.check_integrity());
  if (found.empty()) return {};
  return Error(ErrorKind::Internal, sql::kDamaged, "after another commit: " + found.front());
}

}  // namespace

void Promises::make(std::string query, int64_t number) {
  std::lock_guard lock(mutex_);
  all_.push_back({std::move(query), number});
  mark(mark_of(Said::Answered, static_cast<int64_t>(all_.size())));
}

void Promises::withdraw() {
  std::lock_guard lock(mutex_);
  mark(mark_of(Said::Withdrawn, static_cast<int64_t>(all_.size())));
}

Result<std::string> doctor_finds(sql::Connection& db) {
  TRY(auto findings, store::examine(db, {.check_bytes = false}));
  for (const auto& each : findings) {
    if (each.severity != store::Severity::Broken) continue;
    return fmt::format("{} {}: {}", each.promise, each.entity, each.message);
  }
  return std::string();
}

// What it means to us, once there is a schema and somebody has claimed its shards.
Result<void> StoreJudge::ask(sql::Connection& db, Content& content) const {
  TRY(int64_t version, store::schema_version(db));
  if (version != store::newest_schema_version()) return {};
  TRY(int64_t shards, store::query_int(db, "SELECT count(*) FROM shard"));
  if (shards == 0) return {};
  for (const auto& [query, number] : load_.promises) {
    TRY(int64_t count, store::query_int(db, query, number));
    content.kept.push_back(count > 0);
  }
  TRY(content.wrong, load_.look(db));
  return {};
}

StoreJudge::Content StoreJudge::examine(const std::string& folder) const {
  Content content;
  auto looked = [&]() -> Result<void> {
    Copy copy(folder);
    TRY(auto store, store_sqlite::open(copy.path()));
    TRY(auto writer, store->open_writer());
    TRY(auto found, writer->check_integrity());
    if (!found.empty()) {
      content.wrong = "integrity_check: " + found.front();
      return {};
    }
    TRY(content.digest, digest_of(*writer));
    TRY(ask(*writer, content));
    return write_on(*store, *writer);
  }();
  if (!looked.ok()) content.wrong = looked.error().describe();
  content.kept.resize(load_.promises.size());
  return content;
}

std::string StoreJudge::judge(const std::string& folder, std::span<const int64_t> marks) {
  int64_t last[4] = {};
  for (int64_t mark : marks) {
    auto [said, number] = read_mark(mark);
    last[static_cast<size_t>(said)] = number;
  }
  auto [begun, durable, answered, withdrawn] = last;
  std::string file = folder + "/millrace.db";
  bool is_empty = !fs::exists(file) || fs::file_size(file) == 0;
  if (is_empty && !fs::exists(file + "-wal")) {
    return durable == 0 ? "" : fmt::format("commit {} was durable, there is no store", durable);
  }
  // SQLite rolls back by itself what a journal has, and begins an empty file.
  bool changes = is_empty || fs::exists(file + "-journal");
  auto pages = changes ? pages_in(Copy(folder).path()) : pages_in(folder);
  if (!pages.wrong.empty()) return pages.wrong;
  auto [known, is_new] = known_.try_emplace(pages.hash);
  Content& content = known->second;
  bool again = !is_new && ++images_ % kAlsoExamined == 0;
  if (is_new) content = examine(folder);
  if (again) {
    auto seen = examine(folder);
    if (!seen.wrong.empty()) return seen.wrong;
    if (seen.digest != content.digest) return "our store does not find what SQLite finds";
  }
  if (!content.wrong.empty()) return content.wrong;

  auto is = [&](int64_t state) {
    return load_.states[static_cast<size_t>(state)] == content.digest;
  };
  if (!is(durable) && !is(begun)) {
    std::string what = "nothing that was ever committed";
    for (size_t i = 0; i < load_.states.size(); ++i) {
      if (is(static_cast<int64_t>(i))) what = fmt::format("as behind commit {}", i);
    }
    return fmt::format("commit {} is durable, {} was begun: the store is {}", durable, begun, what);
  }
  for (int64_t i = withdrawn; i < answered; ++i) {
    if (content.kept[static_cast<size_t>(i)]) continue;
    const auto& [query, number] = load_.promises[static_cast<size_t>(i)];
    return fmt::format("promise {} does not hold: {}, {}", i, query, number);
  }
  return "";
}

}  // namespace millrace::power
