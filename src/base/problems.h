// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millrace {

// No answer tells more problems than this, nor longer texts: an input of a megabyte must not become
// an answer of hundreds.
inline constexpr size_t kMostProblems = 100;
inline constexpr size_t kLongestProblem = 1024;  // bytes of a path, and of a message

// `text`, or its beginning with "..." where it is longer than `most` bytes; a character stays
// whole.
std::string shortened(std::string text, size_t most = kLongestProblem);

// Gathers problems up to these limits. Who looks for costly details (the nearest name) asks full()
// before.
class Problems {
 public:
  void add(std::string path, std::string message) {
    if (full()) return;
    list_.push_back({shortened(std::move(path)), shortened(std::move(message))});
  }
  bool full() const { return list_.size() >= kMostProblems; }
  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  std::vector<Problem> take() && { return std::move(list_); }

 private:
  std::vector<Problem> list_;
};

// The same for a list that is already there.
std::vector<Problem> limited(std::vector<Problem> problems);

}  // namespace millrace
