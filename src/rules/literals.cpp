// SPDX-License-Identifier: Apache-2.0
#include "rules/literals.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace millrace::rules {

Literals::Literals(std::vector<Entry> entries, bool within) {
  if (entries.empty()) return;
  for (Entry& entry : entries) {
    if (entry.text.size() > kLongest) entry.text.resize(kLongest);
  }
  std::ranges::sort(entries, {},
                    [](const Entry& entry) { return std::tie(entry.text, entry.number); });
  std::vector<std::string> texts;
  for (Entry& entry : entries) {
    longest_ = std::max(longest_, entry.text.size());
    if (texts.empty() || texts.back() != entry.text) {
      texts.push_back(std::move(entry.text));
      numbers_.emplace_back();
    }
    numbers_.back().push_back(entry.number);
  }
  // A state is the sorted texts that begin alike, and its children are those that go on alike.
  struct Range {
    uint32_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, static_cast<uint32_t>(texts.size()), 0}};
  label_ = std::string(1, '\0');
  parent_ = {0};
  for (State state = 0; state < ranges.size(); ++state) {
    auto [begin, end, depth] = ranges[state];
    children_.push_back(static_cast<State>(ranges.size()));
    text_.push_back(0);
    if (texts[begin].size() == depth) text_.back() = ++begin;
    while (begin < end) {
      char c = texts[begin][depth];
      uint32_t next = begin + 1;
      while (next < end && texts[next][depth] == c) ++next;
      ranges.push_back({begin, next, depth + 1});
      label_ += c;
      parent_.push_back(state);
      begin = next;
    }
  }
  children_.push_back(static_cast<State>(ranges.size()));
  constexpr State kFew = 8;
  if (children_[1] > kFew) {
    root_.resize(256);
    for (State state = 1; state < children_[1]; ++state) {
      root_[static_cast<unsigned char>(label_[state])] = state;
    }
  }
  if (within) link();
  parent_ = {};
}

void Literals::link() {
  fail_.resize(text_.size());
  shorter_.resize(text_.size());
  for (State state = children_[1]; state < text_.size(); ++state) {
    State fail = fail_[parent_[state]];
    State found = child(fail, label_[state]);
    while (found == 0 && fail != 0) {
      fail = fail_[fail];
      found = child(fail, label_[state]);
    }
    fail_[state] = found;
    shorter_[state] = text_[found] != 0 ? found : shorter_[found];
  }
}

Literals::State Literals::child(State state, char c) const {
  if (state == 0 && !root_.empty()) return root_[static_cast<unsigned char>(c)];
  State first = children_[state];
  size_t count = children_[state + 1] - first;
  if (count == 1) return label_[first] == c ? first : 0;
  if (count == 0) return 0;
  const char* labels = label_.data() + first;
  const void* found = std::memchr(labels, c, count);
  return found ? first + static_cast<State>(static_cast<const char*>(found) - labels) : 0;
}

void Literals::find_at_begin(std::string_view text, std::vector<uint32_t>& out) const {
  State state = 0;
  for (char c : text) {
    state = child(state, c);
    if (state == 0) return;
    if (text_[state] != 0) add_numbers(state, out);
  }
}

void Literals::find_within(std::string_view text, std::vector<uint32_t>& out) const {
  std::vector<bool> seen;  // by text
  State state = 0;
  for (char c : text) {
    State next = child(state, c);
    while (next == 0 && state != 0) {
      state = fail_[state];
      next = child(state, c);
    }
    state = next;
    // What is seen again had its shorter ones seen with it.
    State found = text_[state] != 0 ? state : shorter_[state];
    for (; found != 0; found = shorter_[found]) {
      if (seen.empty()) seen.resize(numbers_.size());
      if (seen[text_[found] - 1]) break;
      seen[text_[found] - 1] = true;
      add_numbers(found, out);
    }
  }
}

}  // namespace millrace::rules
