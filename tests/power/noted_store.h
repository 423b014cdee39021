// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/sql.h"

namespace millrace::power {

// What a mark in the record of the disk says, and of which number.
enum class Said : uint8_t {
  Begun,      // a commit was asked for
  Durable,    // ... and is over
  Answered,   // a client was told of its work
  Withdrawn,  // what clients were told until now may go: it is old
};
int64_t mark_of(Said said, int64_t number);
std::pair<Said, int64_t> read_mark(int64_t mark);

// A number for all rows of all tables, in whatever order they stand.
Result<uint64_t> digest_of(sql::Connection& db);

// A store that marks its commits, and keeps for each what is in the store with it.
class NotedStore final : public sql::Store {
 public:
  // `settings`: of each writer, behind those of the store itself.
  NotedStore(std::unique_ptr<sql::Store> inner, std::string settings);
  ~NotedStore() override;
  // The digest behind each commit; the first one is of the empty store. Once nobody writes.
  const std::vector<uint64_t>& states() const;

  Result<std::unique_ptr<sql::Connection>> open_writer() override;
  Result<std::unique_ptr<sql::Connection>> open_reader() override { return inner_->open_reader(); }
  void cut_reads(std::chrono::steady_clock::time_point at) override { inner_->cut_reads(at); }
  Result<void> backup(const std::string& target) override { return inner_->backup(target); }
  Result<int64_t> checkpoint() override { return inner_->checkpoint(); }
  Result<bool> empty_log() override { return inner_->empty_log(); }
  Result<std::unique_ptr<sql::Listening>> listen(sql::Listener listener) override {
    return inner_->listen(std::move(listener));
  }

 private:
  struct States;
  class NotedConnection;
  std::unique_ptr<sql::Store> inner_;
  const std::string settings_;
  const std::shared_ptr<States> states_;
};

}  // namespace millrace::power
