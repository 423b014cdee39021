// SPDX-License-Identifier: Apache-2.0
#include "engine/fate.h"

#include <algorithm>

namespace millrace::engine {

namespace {

using What = Fate::What;

constexpr int64_t kFirstPauseMs = 1000;
constexpr int64_t kLongestPauseMs = 60'000;
constexpr int kMostLoads = 7;       // about two minutes
constexpr int kMostAskerLoads = 2;  // somebody waits for the answer
constexpr int kMostDecisions = 16;

int64_t pause_after(int tries) {
  return std::min(kLongestPauseMs, kFirstPauseMs << std::clamp(tries - 1, 0, 6));
}

}  // namespace

//             | somebody asks               | the machine itself
//   Load      | once more, then the answer  | with growing pauses, then buried
//   Refused   | the answer                  | buried
//   Undecided | buried, and the answer      | buried
//   Stale     | again, then buried          | again, then buried
//   Write     | buried, and the answer      | buried
//   Away      | the answer                  | a second later, for as long as it takes
//
// A row that cannot be read puts off nobody else: the batch is halved until the culprit stands
// alone (Partition::cannot_load). A damaged page is no trouble of a message: it ends the process.
Fate fate_of(Trouble trouble, Sender sender, int tries) {
  bool asked = sender == Sender::Asker;
  switch (trouble) {
    case Trouble::Load:
      if (tries <= (asked ? kMostAskerLoads : kMostLoads)) return {What::Later, pause_after(tries)};
      return {asked ? What::Answer : What::Bury};
    case Trouble::Refused: return {asked ? What::Answer : What::Bury};
    case Trouble::Stale: return {tries <= kMostDecisions ? What::Again : What::Bury};
    case Trouble::Undecided:
    case Trouble::Write: return {What::Bury};
    case Trouble::Away:
      if (asked) return {What::Answer};
      return {What::Later, kFirstPauseMs};
  }
  return {What::Bury};
}

// Buried again, it does not load whom it holds up any more. When even that cannot be written, it
// stays and is tried for ever: to forget it would be to lose the message.
Fate fate_of_burial(Trouble trouble, int tries) {
  if (trouble == Trouble::Stale && tries <= kMostDecisions) return {What::Again};
  if (trouble == Trouble::Load && tries > kMostLoads) return {What::Bury};
  if (trouble == Trouble::Refused || trouble == Trouble::Undecided) return {What::Bury};
  if (trouble == Trouble::Write && tries == 1) return {What::Bury};
  return {What::Later, pause_after(tries)};
}

}  // namespace millrace::engine
