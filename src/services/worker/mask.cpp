// SPDX-License-Identifier: Apache-2.0
#include "services/worker/mask.h"

#include <algorithm>

namespace millrace::worker {

// Breadth first: when a state is reached, all that are less deep are done.
SecretSet::SecretSet(std::vector<std::string> secrets) {
  std::vector<std::pair<std::string, uint32_t>> sorted;
  for (uint32_t index = 0; index < secrets.size(); ++index) {
    std::string& text = secrets[index];
    if (text.size() >= kShortestSecret) sorted.emplace_back(std::move(text), index);
  }
  std::ranges::sort(sorted);
  struct Todo {
    State state;
    size_t first, last;  // of `sorted`: those that begin with what the state stands for
  };
  std::deque<Todo> todo{{0, 0, sorted.size()}};
  for (; !todo.empty(); todo.pop_front()) {
    auto [state, first, last] = todo.front();
    size_t depth = states_[state].depth;
    for (; first < last && sorted[first].first.size() == depth; ++first) {
      if (!states_[state].is_secret) states_[state].index = sorted[first].second;
      states_[state].is_secret = true;
    }
    states_[state].first_child = static_cast<State>(states_.size());
    while (first < last) {
      char byte = sorted[first].first[depth];
      size_t end = first;
      while (end < last && sorted[end].first[depth] == byte) ++end;
      todo.push_back({static_cast<State>(states_.size()), first, end});
      states_.push_back({.byte = static_cast<unsigned char>(byte),
                         .depth = static_cast<uint32_t>(depth + 1),
                         .fail = state});  // its parent, until its turn comes
      ++states_[state].children;
      first = end;
    }
  }
  for (State state = 1; state < states_.size(); ++state) {
    Node& node = states_[state];
    State parent = std::exchange(node.fail, 0);
    if (parent != 0) node.fail = next(states_[parent].fail, static_cast<char>(node.byte));
    node.ends = node.is_secret ? state : states_[node.fail].ends;
    node.pending = node.children > 0 ? node.depth : states_[node.fail].pending;
  }
}

std::optional<SecretSet::State> SecretSet::child(State state, char byte) const {
  const Node& node = states_[state];
  auto children = std::span(states_).subspan(node.first_child, node.children);
  auto found =
      std::ranges::lower_bound(children, static_cast<unsigned char>(byte), {}, &Node::byte);
  if (found == children.end() || found->byte != static_cast<unsigned char>(byte)) return {};
  return node.first_child + static_cast<State>(found - children.begin());
}

SecretSet::State SecretSet::next(State state, char byte) const {
  for (;; state = states_[state].fail) {
    if (auto found = child(state, byte)) return *found;
    if (state == 0) return 0;
  }
}

std::optional<SecretSet::Match> SecretSet::match(State state) const {
  State ends = states_[state].ends;
  if (ends == 0) return {};
  return Match{states_[ends].depth, states_[ends].index};
}

bool SecretSet::contains(std::string_view text) const {
  State state = 0;
  for (char byte : text) {
    auto found = child(state, byte);
    if (!found) return false;
    state = *found;
  }
  return states_[state].is_secret;
}

std::string_view Masker::feed(std::string_view piece) {
  if (secrets_->empty()) return piece;
  held_ += piece;
  for (char byte : piece) {
    state_ = secrets_->next(state_, byte);
    ++seen_;
    if (auto match = secrets_->match(state_)) {
      cover({seen_ - static_cast<int64_t>(match->length), match->index}, seen_);
    }
  }
  decide(seen_ - static_cast<int64_t>(secrets_->pending(state_)));
  return out_;
}

std::string_view Masker::finish() {
  decide(seen_);
  return out_;
}

// Stretches that overlap or touch are one.
void Masker::cover(Occurrence occurrence, int64_t end) {
  Covered one{.begin = occurrence.begin, .end = end, .mask = {}};
  while (!covered_.empty() && covered_.back().end >= one.begin) {
    one.begin = std::min(one.begin, covered_.back().begin);
    if (covered_.back().mask) one.mask = covered_.back().mask;
    covered_.pop_back();
  }
  covered_.push_back(one);
  if (!hidden_is_full_) found_.push(occurrence);
}

// Tells of all before `end`: whatever may cover it has been found.
void Masker::decide(int64_t end) {
  given_ += static_cast<int64_t>(out_.size());
  out_.clear();
  int64_t held_from = decided_;
  auto give = [&](int64_t to) {
    out_.append(held_, static_cast<size_t>(decided_ - held_from),
                static_cast<size_t>(to - decided_));
    decided_ = to;
  };
  while (decided_ < end) {
    // One that ends here stays for the next, which may touch it, until there is a byte between.
    if (!covered_.empty() && covered_.front().end <= decided_) covered_.pop_front();
    if (covered_.empty() || covered_.front().begin >= end) {
      give(end);
      break;
    }
    Covered& next = covered_.front();
    if (next.begin > decided_) give(next.begin);
    if (!next.mask) {
      next.mask = given_ + static_cast<int64_t>(out_.size());
      out_ += kMask;
    }
    decided_ = std::min(next.end, end);
    note_hidden(next, decided_);
  }
  held_.erase(0, static_cast<size_t>(decided_ - held_from));
}

// What begins in it before `end`. Of a mask that there is no room for all of nothing is noted.
void Masker::note_hidden(const Covered& in, int64_t end) {
  for (; !found_.empty() && found_.top().begin < end; found_.pop()) {
    if (hidden_is_full_) continue;
    hidden_is_full_ = hidden_.size() >= kMostHidden;
    if (hidden_is_full_) {
      std::erase_if(hidden_, [&](const auto& one) { return one.mask == *in.mask; });
    } else {
      hidden_.push_back({*in.mask, found_.top().begin - in.begin, found_.top().secret});
    }
  }
}

std::string masked(const SecretSet& secrets, std::string_view text) {
  // Not an owner: the masker ends before this call does.
  Masker masker(std::shared_ptr<const SecretSet>(std::shared_ptr<const void>(), &secrets));
  std::string out(masker.feed(text));
  out += masker.finish();
  return out;
}

}  // namespace millrace::worker
