// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include <gtest/gtest.h>

// Work of n, 2n and 4n takes at most 2.2 times as long per doubling. CPU time of this thread, the
// least of many rounds: what else the machine does makes a round longer, never shorter.
namespace millrace::cost {

inline double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The least of the rounds so far; `work` is to be linear in what it was made for.
template <typename Work>
double least(Work& work, int rounds) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    double start = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - start);
  }
  return best;
}

inline constexpr double kMostPerDoubling = 2.2;

// `make(n)` makes an input of size n and gives the work on it, a callable. What is over a second at
// 4n is a failure without a second round: it is no fault of the machine then.
template <typename Make>
void grows_no_faster(const std::string& what, size_t n, Make make) {
  auto one = make(n);
  auto two = make(n * 2);
  auto four = make(n * 4);
  constexpr double kFar = 1.0;
  double t4 = least(four, 1);
  ASSERT_LT(t4, kFar * 20) << what << " takes " << t4 << " s for " << n * 4;
  // The page faults and caches of the first round count for nothing.
  double t1 = 0, t2 = 0;
  for (int tries = 0; tries < 5; ++tries) {
    int rounds = t4 > 0.2 ? 3 : 12;
    double first = least(one, rounds), second = least(two, rounds), third = least(four, rounds);
    t1 = tries == 0 ? first : std::min(t1, first);
    t2 = tries == 0 ? second : std::min(t2, second);
    t4 = std::min(t4, third);
    // Less than a clock tells.
    if (t4 < 2e-3) return;
    if (t2 <= t1 * kMostPerDoubling && t4 <= t2 * kMostPerDoubling) return;
    // What four times the work takes less than 4.84 times the time for is linear with a bump.
    if (t4 <= t1 * kMostPerDoubling * kMostPerDoubling) return;
  }
  ADD_FAILURE() << what << ": " << t1 * 1e3 << " ms for " << n << ", " << t2 * 1e3
                << " ms for twice, " << t4 * 1e3 << " ms for four times as much";
}

}  // namespace millrace::cost
