// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "store/sql.h"

namespace millrace::power {

// What a client was told of the store: this query, with this number as $1, counts something. There
// are few queries.
struct Promise {
  std::string query;
  int64_t number = 0;
};

class Promises {
 public:
  // It is said: from now on it holds.
  void make(std::string query, int64_t number);
  // Retention may take what was promised until now.
  void withdraw();
  const std::vector<Promise>& all() const { return all_; }

 private:
  std::mutex mutex_;
  std::vector<Promise> all_;
};

// What is wrong with the rows of a store; empty: nothing.
using Look = std::function<Result<std::string>(sql::Connection& db)>;
Result<std::string> doctor_finds(sql::Connection& db);

// Says of the store in a folder whether a power cut may leave it so: SQLite opens it and finds it
// whole, as does whoever looks at its rows; it is what was committed last, or what was being
// committed; and what clients were told holds. The pages that SQLite finds are read of every image.
// What they mean is asked once of all images that have the same ones, through a store of ours that
// must also take another commit.
class StoreJudge {
 public:
  struct Load {
    std::vector<uint64_t> states;  // behind each commit (NotedStore)
    std::vector<Promise> promises;
    Look look = doctor_finds;  // besides, once somebody has claimed the shards
  };
  explicit StoreJudge(Load load) : load_(std::move(load)) {}
  std::string judge(const std::string& folder, std::span<const int64_t> marks);
  size_t different() const { return known_.size(); }

 private:
  struct Content {
    std::string wrong;
    uint64_t digest = 0;
    std::vector<bool> kept;  // which promises
  };
  Content examine(const std::string& folder) const;
  Result<void> ask(sql::Connection& db, Content& content) const;

  const Load load_;
  std::map<std::pair<size_t, size_t>, Content> known_;  // by the hash and the size of the pages
  int64_t images_ = 0;
};

}  // namespace millrace::power
