// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "engine/cluster/roster.h"
#include "engine/surroundings.h"

namespace millrace::engine {

// Asks the other servers for slots (kernel/permits.h): all that live, with one call to each, which
// waits there until there is a slot. Who offers what need not be known, and while nothing waits
// nobody is asked. A permit that does not arrive comes back to its home by itself.
//
// Thread-safe. Answers may come when this is gone.
class Borrower final : public SlotLoans {
 public:
  using Got = std::function<void(Result<std::vector<kernel::Permit>>)>;
  struct Outside {
    int64_t self = 0;  // epoch
    std::function<std::vector<ServerView>()> servers;
    std::function<int64_t()> mono_ms;
    // Neither waits. `got` is called once, on any thread, perhaps before this returns.
    std::function<void(const kernel::ServerRow& of, kernel::PermitAsk ask, Got got)> ask;
    std::function<void(const kernel::ServerRow& of, int64_t number)> give_back;
    std::function<void(std::vector<kernel::Permit>)> lent;  // for the partition
    std::function<void()> look;                             // wakes it
  };
  explicit Borrower(Outside outside);
  ~Borrower() override { stop(); }

  int64_t want(std::vector<kernel::Lack> lacks) override;
  void give_back(const kernel::Permit& permit) override;
  // Servers have come or gone.
  void look();
  // Nobody is asked and no answer is heard any more.
  void stop();

 private:
  struct Asked {
    uint64_t call = 0;  // that is open; 0: none
    std::vector<kernel::Lack> lacks;
    int64_t not_before_ms = 0;
  };
  // What answers know.
  struct Shared {
    std::mutex mutex;
    Outside outside;
    bool is_over = false;
    bool has_news = true;            // since all were asked
    std::map<int64_t, Asked> asked;  // by epoch
  };
  static void answered(Shared& shared, int64_t epoch, uint64_t call,
                       Result<std::vector<kernel::Permit>> permits);
  std::shared_ptr<Shared> shared_;
  std::vector<kernel::Lack> wanted_;
  int64_t next_ms_ = INT64_MAX;
  uint64_t last_call_ = 0;
};

}  // namespace millrace::engine
