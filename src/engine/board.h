// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <unordered_map>

#include "engine/machine/reply.h"
#include "kernel/rows.h"

namespace millrace::engine {

// Who waits for which execution to become final. A waiter that is slow or gone costs nothing: it
// is one entry here until the end or its deadline. Thread-safe.
class Board {
 public:
  void watch(int64_t number, Of<ExecutionId> execution, Reply<kernel::ExecutionRow> reply);
  void forget(int64_t number);
  bool waits_for(Of<ExecutionId> execution);
  // Answers and removes all who wait for this execution.
  void ended(const kernel::ExecutionRow& row);

 private:
  std::mutex mutex_;
  std::unordered_map<int64_t, std::pair<Of<ExecutionId>, Reply<kernel::ExecutionRow>>> entries_;
  std::unordered_multimap<Of<ExecutionId>, int64_t> by_execution_;
};

// Who wants to hear of changes and of live output. Keeps the last bytes of every run under way, so
// that a listener who comes late begins with them. Thread-safe; callbacks run under the lock of
// this object and must be quick.
class Listeners {
 public:
  int64_t on_change(std::function<void()> changed);
  int64_t on_output(Of<ExecutionId> execution,
                    std::function<void(const kernel::OutputChunk&)> chunk);
  void forget(int64_t subscription);
  void changed();
  void output(const kernel::OutputChunk& chunk);
  // The output of a final execution is in the store.
  void ended(Of<ExecutionId> execution);

 private:
  static constexpr size_t kTail = 64 << 10;  // per stream
  // The newest attempt's last bytes of stdout and stderr; `offset` of each is that of its first.
  using Tails = std::array<kernel::OutputChunk, 2>;
  void keep(const kernel::OutputChunk& chunk);

  struct Output {
    Of<ExecutionId> execution;
    std::function<void(const kernel::OutputChunk&)> chunk;
  };
  std::mutex mutex_;
  int64_t next_ = 1;
  std::map<int64_t, std::function<void()>> change_;
  std::map<int64_t, Output> output_;
  std::unordered_map<Of<ExecutionId>, Tails> tails_;
};

}  // namespace millrace::engine
