// SPDX-License-Identifier: Apache-2.0
#include "noted_store.h"

#include <fmt/format.h>

#include <functional>
#include <mutex>

#include "disk_log.h"
#include "store/row_reader.h"

namespace millrace::power {
namespace {

constexpr int64_t kSayings = 4;

Result<std::vector<std::string>> texts(sql::Connection& db, std::string_view query) {
  return store::query<std::string>(
      db, query, +[](store::RowReader read, std::string& text) { read >> text; });
}

}  // namespace

int64_t mark_of(Said said, int64_t number) {
  return number * kSayings + static_cast<int64_t>(said);
}
std::pair<Said, int64_t> read_mark(int64_t mark) {
  return {static_cast<Said>(mark % kSayings), mark / kSayings};
}

Result<uint64_t> digest_of(sql::Connection& db) {
  constexpr std::hash<std::string_view> kHash;
  uint64_t digest = 0;
  TRY(auto tables, texts(db, "SELECT name FROM sqlite_master WHERE type = 'table'"));
  for (const auto& table : tables) {
    TRY(auto columns, texts(db, "SELECT name FROM pragma_table_info('" + table + "')"));
    std::string row;
    for (const auto& column : columns) row += fmt::format(" || '|' || quote(\"{}\")", column);
    TRY(auto* statement, db.prepare(fmt::format("SELECT '{0}'{1} FROM \"{0}\"", table, row)));
    store::ResetAtExit reset(*statement);
    for (;;) {
      TRY(bool more, statement->step());
      if (!more) break;
      digest += kHash(statement->column_bytes(0));
    }
    digest += kHash(table);
  }
  return digest;
}

struct NotedStore::States {
  std::mutex mutex;
  std::vector<uint64_t> digests{0};
};

// All that it does goes to the inner one: only COMMIT is looked at.
class NotedStore::NotedConnection final : public sql::Connection {
 public:
  NotedConnection(std::unique_ptr<sql::Connection> inner, std::shared_ptr<States> states)
      : inner_(std::move(inner)), states_(std::move(states)) {}
  Result<sql::Statement*> prepare(std::string_view text) override { return inner_->prepare(text); }
  Result<std::unique_ptr<sql::Batch>> batch(std::string_view text) override {
    return inner_->batch(text);
  }
  Result<std::unique_ptr<sql::Batch>> ahead(std::string_view text) override {
    return inner_->ahead(text);
  }
  Result<void> await() override { return inner_->await(); }
  sql::Committed commit() override {
    if (auto rows = inner_->await(); !rows.ok()) return {std::move(rows), {}};
    sql::Committed done;
    auto noted = note([&] {
      done = inner_->commit();
      return done.rows.ok() && done.commit.ok();
    });
    if (!noted.ok()) done.commit = std::move(noted);
    return done;
  }
  Result<void> run(std::string_view script) override {
    if (script != "COMMIT") return inner_->run(script);
    Result<void> done;
    TRY(note([&] {
      done = inner_->run(script);
      return done.ok();
    }));
    return done;
  }
  Result<void> lock_numbering() override { return inner_->lock_numbering(); }
  void notify(const sql::Hint& hint) override { inner_->notify(hint); }
  bool in_transaction() const override { return inner_->in_transaction(); }
  int64_t log_bytes() const override { return inner_->log_bytes(); }
  Result<bool> give_back(int64_t pages) override { return inner_->give_back(pages); }
  Result<std::vector<std::string>> check_integrity() override { return inner_->check_integrity(); }

 private:
  // SQLite has one writer at a time: the lock is not waited for.
  template <typename Commit>
  Result<void> note(Commit commit) {
    TRY(uint64_t digest, digest_of(*inner_));
    std::lock_guard lock(states_->mutex);
    auto number = static_cast<int64_t>(states_->digests.size());
    states_->digests.push_back(digest);
    mark(mark_of(Said::Begun, number));
    if (commit()) mark(mark_of(Said::Durable, number));
    return {};
  }

  std::unique_ptr<sql::Connection> inner_;
  std::shared_ptr<States> states_;
};

NotedStore::NotedStore(std::unique_ptr<sql::Store> inner, std::string settings)
    : inner_(std::move(inner)),
      settings_(std::move(settings)),
      states_(std::make_shared<States>()) {}
NotedStore::~NotedStore() = default;

const std::vector<uint64_t>& NotedStore::states() const { return states_->digests; }

Result<std::unique_ptr<sql::Connection>> NotedStore::open_writer() {
  TRY(auto inner, inner_->open_writer());
  TRY(inner->run(settings_));
  return std::unique_ptr<sql::Connection>(
      std::make_unique<NotedConnection>(std::move(inner), states_));
}

}  // namespace millrace::power
