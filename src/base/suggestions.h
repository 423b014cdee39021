// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace {

// While one lives, did_you_mean() on its thread gives nothing: the nearest name costs a look at all
// names, and behind the first hundred problems nobody reads it.
class WithoutSuggestions {
 public:
  WithoutSuggestions() { ++count(); }
  ~WithoutSuggestions() { --count(); }
  WithoutSuggestions(const WithoutSuggestions&) = delete;

  static bool now() { return count() > 0; }

 private:
  static int& count() {
    thread_local int count = 0;
    return count;
  }
};

}  // namespace millrace
