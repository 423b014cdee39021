// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/sql.h"

namespace millrace::store_sqlite {

// Who listens to a store: within its process, for no other server writes to the file. Thread-safe.
class Hints : public std::enable_shared_from_this<Hints> {
 public:
  struct Told {
    std::string topic;
    std::string payload;
  };
  std::unique_ptr<sql::Listening> add(sql::Listener listener);
  // On the thread that has committed.
  void tell(const std::vector<Told>& told);

 private:
  class Place;
  std::mutex mutex_;  // held while they are called: who leaves waits for that
  std::list<sql::Listener> listeners_;
};

}  // namespace millrace::store_sqlite
