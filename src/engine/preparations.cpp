// SPDX-License-Identifier: Apache-2.0
#include "engine/preparations.h"

namespace millrace::engine {

void Preparations::begins(const kernel::RunKey& run) {
  std::lock_guard lock(mutex_);
  under_way_.try_emplace(run);
}

void Preparations::ends(const kernel::RunKey& run) {
  std::function<void()> then;
  {
    std::lock_guard lock(mutex_);
    if (auto node = under_way_.extract(run)) then = std::move(node.mapped());
  }
  if (then) then();
}

void Preparations::after(const kernel::RunKey& run, std::function<void()> then) {
  {
    std::lock_guard lock(mutex_);
    if (auto found = under_way_.find(run); found != under_way_.end()) {
      found->second = std::move(then);
      return;
    }
  }
  then();
}

}  // namespace millrace::engine
