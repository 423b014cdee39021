// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <thread>

#include "adapters/store_postgres/store_postgres.h"
#include "base/files.h"
#include "store/sql.h"

namespace millrace::store_postgres {

// Listens to a schema on a session and a thread of its own. A session that is lost, or that does
// not answer when it is asked once a minute, is made again, after pauses that grow to 2 s.
class Ear final : public sql::Listening {
 public:
  static Result<std::unique_ptr<sql::Listening>> open(const Options& options,
                                                      sql::Listener listener);
  ~Ear() override;

 private:
  Ear(Options options, sql::Listener listener, Fd stop);
  void run();
  Result<std::unique_ptr<class Session>> connect() const;
  Result<void> follow(Session& session) const;
  bool stops(std::chrono::milliseconds within) const;

  const Options options_;
  const sql::Listener listener_;
  const Fd stop_;  // eventfd: can be read when it is to end
  std::thread thread_;
};

}  // namespace millrace::store_postgres
