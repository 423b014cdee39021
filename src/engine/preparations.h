// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "kernel/work.h"

namespace millrace::engine {

// Keeps the word that a run is prepared behind the word that it is being prepared: a message that
// is tried again later is overtaken by those after it, and the first word, coming last, would take
// back a start that the worker was allowed. Thread-safe.
class Preparations {
 public:
  // The first word is on its way, until `ends`.
  void begins(const kernel::RunKey& run);
  void ends(const kernel::RunKey& run);
  // Calls `then` when no first word of the run is on its way: now, or in `ends`.
  void after(const kernel::RunKey& run, std::function<void()> then);

 private:
  std::mutex mutex_;
  std::map<kernel::RunKey, std::function<void()>> under_way_;
};

}  // namespace millrace::engine
