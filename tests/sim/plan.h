// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::sim {

// One thing that happens in a simulated world. What exactly (whom it strikes, how much of it) comes
// from the operation's own number, so that leaving one out changes no other.
enum class OpKind : uint8_t {
  // what clients ask
  Ingest,
  Replay,
  Run,
  Cancel,
  Pause,
  Resume,
  Rerun,
  Resolve,
  Answer,
  WriteRule,
  DeleteRule,
  Webhook,
  WriteKey,
  Token,
  Reload,
  Uninstall,
  Retry,  // of what has had no answer
  // the server: a turn, the commit of what turns have decided, its outcomes; all of it
  Turn,
  Commit,
  Settle,
  Cycle,
  Restart,  // drained, wound up, and started again
  Crash,    // with all that is in memory, before or after the commit in hand
  // time
  Tick,
  Jump,  // to what is due next
  ClockStep,
  // workers
  Start,
  Finish,
  Repeat,  // a completion that was reported before
  Build,   // an environment, before the run begins
  Freeze,  // beyond the lease
  Die,
  Open,
  // the store
  FailRead,
  FailWrite,
  Busy,
  Full,
  SyncFails,
  Damage,  // of a stored row
  BadRow,  // one execution that cannot be read, until the very end
  Heal,
  // several servers
  HandOver,  // shards go from one to another: it dies, is cut off, or stops; or gives a part
  Hint,      // what one has said to another comes, late, twice, or never
  News,      // one reads in the change feed what the others have done
};
inline constexpr int kOpKinds = static_cast<int>(OpKind::News) + 1;
std::string_view to_string(OpKind kind);

struct Op {
  OpKind kind = OpKind::Cycle;
  uint64_t number = 0;
};

// A world and what happens in it. The same plan gives the same trace.
struct Plan {
  uint64_t seed = 0;
  std::vector<Op> ops;
};

// From this seed on a world has two to four servers, each with a part of the shards.
inline constexpr uint64_t kSeveral = 1'000'000'000;
// From this one on its packs have policies; with several servers from the sum of both on.
inline constexpr uint64_t kLimited = 1'000'000'000'000;
inline bool has_several(uint64_t seed) { return seed % kLimited >= kSeveral; }
inline bool has_limits(uint64_t seed) { return seed >= kLimited; }

Plan plan_of(uint64_t seed);

// Numbers that follow from one number (splitmix64).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t end) { return end == 0 ? 0 : next() % end; }
  bool one_in(uint64_t many) { return below(many) == 0; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  uint64_t state_;
};

}  // namespace millrace::sim
