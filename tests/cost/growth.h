// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

// Work of n, 2n and 4n costs at most 2.2 times as much per doubling: instructions where the machine
// counts them, each doubling; else CPU time of this thread, over both. The least of many rounds:
// what else the machine does makes a round longer, never shorter.
namespace millrace::cost {

inline double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Counts this thread's instructions; few virtual machines have such a counter.
class Instructions {
 public:
  Instructions() {
    perf_event_attr what{};
    what.type = PERF_TYPE_HARDWARE;
    what.size = sizeof what;
    what.config = PERF_COUNT_HW_INSTRUCTIONS;
    what.exclude_kernel = 1;
    what.exclude_hv = 1;
    counter_ = static_cast<int>(::syscall(SYS_perf_event_open, &what, 0, -1, -1, 0));
  }
  ~Instructions() {
    if (counter_ >= 0) ::close(counter_);
  }
  Instructions(const Instructions&) = delete;
  Instructions& operator=(const Instructions&) = delete;
  bool there() const { return counter_ >= 0; }
  double so_far() const {
    uint64_t count = 0;
    bool read = ::read(counter_, &count, sizeof count) == sizeof count;
    EXPECT_TRUE(read) << "the counter of instructions cannot be read";
    return static_cast<double>(count);
  }

 private:
  int counter_ = -1;
};

inline const Instructions& instructions() {
  static thread_local const Instructions of_this_thread;
  return of_this_thread;
}
inline bool counts() { return instructions().there(); }

// In instructions or seconds: only their ratios mean something.
inline double spent() { return counts() ? instructions().so_far() : cpu_seconds(); }

template <typename Work>
double cost_of(Work& work) {
  double start = spent();
  work();
  return spent() - start;
}

inline constexpr double kMostPerDoubling = 2.2;
inline constexpr double kMostPerDoublingOfTime = 2.4;  // n log n alone comes to 2.16

// `make(n)` makes an input of size n and gives the work on it, a callable. Short work is done more
// often; what takes over 20 s at 4n is a failure without a second round: it is no fault of the
// machine then.
template <typename Make>
void grows_no_faster(const std::string& what, size_t n, Make make) {
  constexpr double kSecondsATry = 0.1;
  constexpr int kMostTries = 12;
  std::array works{make(n), make(n * 2), make(n * 4)};
  // The page faults and caches of the first round count for nothing.
  double start = cpu_seconds();
  works[2]();
  double longest = cpu_seconds() - start;
  ASSERT_LT(longest, 20) << what << " takes " << longest << " s for " << n * 4;
  int rounds = std::clamp(static_cast<int>(kSecondsATry / (longest + 1e-6)), 3, 1000);
  std::array least{1e18, 1e18, 1e18};
  for (int tries = 0; tries < kMostTries; ++tries) {
    for (int i = 0; i < rounds * 3; ++i) {
      auto size = static_cast<size_t>(i % 3);
      least[size] = std::min(least[size], cost_of(works[size]));
    }
    bool twice = least[1] <= least[0] * kMostPerDoubling;
    bool again = least[2] <= least[1] * kMostPerDoubling;
    // Of time both doublings together: what outgrows a cache makes one of them dearer.
    bool both = !counts() && least[2] <= least[0] * kMostPerDoublingOfTime * kMostPerDoublingOfTime;
    if ((twice && again) || both) return;
  }
  ADD_FAILURE() << what << ": twice " << n << " costs " << least[1] / least[0]
                << " times as much, and twice that " << least[2] / least[1] << " times";
}

}  // namespace millrace::cost
