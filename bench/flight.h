// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "store/committer.h"

namespace millrace::bench {

// A store with its committer, and a driver that keeps steps in flight through it. Any error ends
// the process.
class Flight {
 public:
  explicit Flight(const std::string& folder);  // a new one in SQLite
  // A new one in PostgreSQL.
  Flight(const std::string& url, const std::string& schema, bool row_security = false);

  // `total` steps, made by `make`, `in_flight` at a time: each step that comes back is followed
  // by the next. Returns `total`.
  int64_t run(int64_t total, int64_t in_flight,
              const std::function<std::unique_ptr<store::Step>()>& make);
  void checkpoint();

 private:
  explicit Flight(std::unique_ptr<sql::Store> store);
  std::unique_ptr<sql::Store> store_;
  std::mutex mutex_;
  std::condition_variable back_;
  int64_t returned_ = 0;
  std::unique_ptr<store::Committer> committer_;
};

// An empty store with the newest schema: the floor fills it by itself.
void make_store(const std::string& folder);
void make_store(const std::string& url, const std::string& schema);

}  // namespace millrace::bench
