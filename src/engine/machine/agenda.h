// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <unordered_set>

#include "base/ids.h"
#include "base/value.h"

namespace millrace::engine {

// Work that came up while a decision was made and belongs to it: an execution has ended and its
// workflow hears of it, which starts the next one, which ends at once ... One loop works it off
// (transitions/work_off.cpp), instead of functions that call each other in a circle.
struct Due {
  enum class What : uint8_t { Begin, Changed, GoOn };
  What what = What::GoOn;
  Of<ExecutionId> execution;  // the workflow that begins or goes on, the step that has changed
  Value value;                // Begin: the inputs. Changed: the result of a final one
};

// The workflow that is deepest in its tree moves first: what is below has come to rest before the
// one above hears of it. Within a depth in the order of arrival.
class Agenda {
 public:
  // `depth`: of the workflow that moves, 0 for one that is nobody's step.
  void add(int depth, Due due) {
    if (due.what == Due::What::GoOn && !going_on_.insert(due.execution.id).second) return;
    due_[depth].push_back(std::move(due));
    ++count_;
  }
  bool empty() const { return count_ == 0; }
  Due next() {
    auto deepest =
        std::ranges::find_if(due_, [](const auto& each) { return !each.second.empty(); });
    Due due = std::move(deepest->second.front());
    deepest->second.pop_front();
    --count_;
    if (due.what == Due::What::GoOn) going_on_.erase(due.execution.id);
    return due;
  }

 private:
  std::map<int, std::deque<Due>, std::greater<>> due_;  // one that is empty is used again
  size_t count_ = 0;
  std::unordered_set<ExecutionId> going_on_;  // once is enough
};

}  // namespace millrace::engine
