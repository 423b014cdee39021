// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bare_sqlite.h"

namespace millrace::bench {

// The floor of everything that stores webhooks and runs: the same rows as ours, with the same
// schema and indexes, in bare calls of the database's own library: `Db` is BareSqlite or
// BarePostgres.
template <typename Db>
class BareRowsIn {
 public:
  explicit BareRowsIn(std::unique_ptr<Db> db);

  // The rows of `total` webhooks, `per_commit` in each commit. A matched one has an enforcement,
  // an execution, its queue row and their changes; another only dedupe, event and one change.
  // Returns `total`; `commit_us`, if given, gets the duration of each commit.
  int64_t webhooks(int64_t total, int64_t per_commit, std::string_view payload, bool matched,
                   std::vector<double>* commit_us = nullptr);
  // The rows of `total` workflows of three pure steps each that publish one value on, `per_commit`
  // in each commit.
  int64_t workflows(int64_t total, int64_t per_commit);
  // One matched webhook whose execution starts at once, `work`, and its end: two commits.
  void run(std::string_view payload, const std::function<void()>& work);
  // So many runs that have ended, stored in large commits.
  void history(int64_t count, std::string_view payload);
  void checkpoint() { db_->checkpoint(); }

 private:
  enum class Start : uint8_t { None, Queued, AtOnce };
  void webhook(int64_t n, std::string_view payload, Start start);
  void finish(int64_t n);
  void workflow(int64_t n);
  void execution(int64_t id, int64_t parent, std::string_view action, std::string_view task,
                 std::string_view parameters, std::string_view result);

  using Statement = typename Db::Statement;
  std::unique_ptr<Db> db_;
  Statement dedupe_, event_, enforcement_, execution_, queue_, feed_, finish_, step_, head_, piece_,
      run_, output_;
  int64_t n_ = 0;
  int64_t seq_ = 0;
};

// In a new store in `folder`.
class BareRows : public BareRowsIn<BareSqlite> {
 public:
  explicit BareRows(const std::string& folder) : BareRowsIn(bare_sqlite(folder)) {}
};

// GitHub names a delivery by a random UUID: so do both sides, from the same sequence.
std::string delivery(int64_t n);

}  // namespace millrace::bench
