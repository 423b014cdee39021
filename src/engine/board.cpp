// SPDX-License-Identifier: Apache-2.0
#include "engine/board.h"

namespace millrace::engine {

void Board::watch(int64_t number, Of<ExecutionId> execution, Reply<kernel::ExecutionRow> reply) {
  std::lock_guard lock(mutex_);
  entries_.emplace(number, std::pair(execution, std::move(reply)));
  by_execution_.emplace(execution, number);
}

void Board::forget(int64_t number) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(number);
  if (found == entries_.end()) return;
  auto [first, last] = by_execution_.equal_range(found->second.first);
  for (auto it = first; it != last; ++it) {
    if (it->second != number) continue;
    by_execution_.erase(it);
    break;
  }
  entries_.erase(found);
}

bool Board::waits_for(Of<ExecutionId> execution) {
  std::lock_guard lock(mutex_);
  return by_execution_.contains(execution);
}

void Board::ended(const kernel::ExecutionRow& row) {
  std::vector<Reply<kernel::ExecutionRow>> replies;
  {
    std::lock_guard lock(mutex_);
    auto [first, last] = by_execution_.equal_range(Of{row.tenant, row.id});
    for (auto it = first; it != last; ++it) {
      auto found = entries_.find(it->second);
      replies.push_back(std::move(found->second.second));
      entries_.erase(found);
    }
    by_execution_.erase(first, last);
  }
  for (auto& reply : replies) reply(row);
}

int64_t Listeners::on_change(std::function<void()> changed) {
  std::lock_guard lock(mutex_);
  change_.emplace(next_, std::move(changed));
  return next_++;
}

int64_t Listeners::on_output(Of<ExecutionId> execution,
                             std::function<void(const kernel::OutputChunk&)> chunk) {
  std::lock_guard lock(mutex_);
  if (auto tails = tails_.find(execution); tails != tails_.end()) {
    for (const auto& tail : tails->second) {
      if (!tail.bytes.empty()) chunk(tail);
    }
  }
  output_.emplace(next_, Output{execution, std::move(chunk)});
  return next_++;
}

void Listeners::forget(int64_t subscription) {
  std::lock_guard lock(mutex_);
  change_.erase(subscription);
  output_.erase(subscription);
}

void Listeners::changed() {
  std::lock_guard lock(mutex_);
  for (auto& [id, callback] : change_) callback();
}

void Listeners::keep(const kernel::OutputChunk& chunk) {
  auto& tails = tails_[Of{chunk.tenant, chunk.key.execution}];
  if (chunk.key < tails[0].key) return;  // an attempt of the past
  if (tails[0].key < chunk.key) {
    for (auto stream : {kernel::Stream::Stdout, kernel::Stream::Stderr}) {
      tails[static_cast<size_t>(stream)] = {chunk.tenant, chunk.key, stream, 0, {}};
    }
  }
  auto& tail = tails[static_cast<size_t>(chunk.stream)];
  int64_t have = tail.offset + static_cast<int64_t>(tail.bytes.size());
  int64_t end = chunk.offset + static_cast<int64_t>(chunk.bytes.size());
  if (end <= have) return;  // a tail that was sent again
  if (chunk.offset > have) {
    tail.offset = have = chunk.offset;
    tail.bytes.clear();
  }
  tail.bytes.append(chunk.bytes, static_cast<size_t>(have - chunk.offset));
  if (tail.bytes.size() > 2 * kTail) {
    auto old = tail.bytes.size() - kTail;
    tail.bytes.erase(0, old);
    tail.offset += static_cast<int64_t>(old);
  }
}

void Listeners::ended(Of<ExecutionId> execution) {
  std::lock_guard lock(mutex_);
  tails_.erase(execution);
}

void Listeners::output(const kernel::OutputChunk& chunk) {
  std::lock_guard lock(mutex_);
  keep(chunk);
  Of execution{chunk.tenant, chunk.key.execution};
  for (auto& [id, listener] : output_) {
    if (listener.execution == execution) listener.chunk(chunk);
  }
}

}  // namespace millrace::engine
