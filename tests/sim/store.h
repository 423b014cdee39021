// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/sql.h"

namespace millrace::sim {

// What goes wrong with the statements of a server.
struct StoreFault {
  bool of_writer = false;  // else of readers
  std::string text;        // a part of the statement
  int times = 1;           // how often; -1: until it heals
  std::string_view code = sql::kBusy;
  int64_t bound = 0;           // only when this number is bound to it; 0: whatever is
  bool stays = false;          // also when the store heals
  bool although_done = false;  // it is done, but whoever asked is told that it failed
};

// The one SQLite store of a simulation process, in memory. Connections are made once and lent out:
// a server that crashes gives its back with what was not committed rolled back. `clear` is a new
// and empty store. In one thread.
class SimStore final : public sql::Store {
 public:
  static Result<std::unique_ptr<SimStore>> open();
  ~SimStore() override;

  Result<std::unique_ptr<sql::Connection>> open_writer() override;
  Result<std::unique_ptr<sql::Connection>> open_reader() override;
  void cut_reads(std::chrono::steady_clock::time_point) override {}
  Result<void> backup(const std::string&) override { return {}; }
  Result<int64_t> checkpoint() override { return int64_t{0}; }
  Result<std::unique_ptr<sql::Listening>> listen(sql::Listener listener) override {
    return inner_->listen(std::move(listener));
  }

  // Knows no faults.
  sql::Connection& inspector() { return *inspector_; }
  void clear();

  void add(StoreFault fault) { faults_.push_back(std::move(fault)); }
  void heal() {
    std::erase_if(faults_, [](const auto& fault) { return !fault.stays; });
  }
  void heal_all() { faults_.clear(); }
  bool is_ill() const { return !faults_.empty(); }
  int64_t struck() const { return struck_; }

 private:
  class FaultStatement;
  class FaultConnection;
  class Lent;
  const StoreFault* strike(bool writer, const std::string& text, const std::vector<int64_t>& bound);
  std::unique_ptr<FaultConnection> wrap(bool writer, std::unique_ptr<sql::Connection> inner);
  std::unique_ptr<sql::Connection> lend(bool writer);

  SimStore();
  std::unique_ptr<sql::Store> inner_;
  std::unique_ptr<sql::Connection> inspector_;
  std::vector<std::string> tables_;
  std::vector<std::unique_ptr<FaultConnection>> made_;
  std::vector<StoreFault> faults_;
  StoreFault struck_fault_;
  int64_t struck_ = 0;
};

}  // namespace millrace::sim
