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

Fate later(int tries) { return {What::Later, pause_after(tries)}; }

Fate of_asker(Trouble trouble, int tries) {
  switch (trouble) {
    case Trouble::Load: return tries <= kMostAskerLoads ? later(tries) : Fate{What::Answer};
    case Trouble::Refused:
    case Trouble::Deadly:
    case Trouble::Away: return {What::Answer};
    case Trouble::Stale:
    case Trouble::Undecided:
    case Trouble::Write: return {What::Bury};
  }
  return {What::Bury};
}

Fate of_machine(Trouble trouble, int tries) {
  if (trouble == Trouble::Load && tries <= kMostLoads) return later(tries);
  if (trouble == Trouble::Away) return {What::Later, kFirstPauseMs};
  return {What::Bury};
}

Fate of_routine(Trouble trouble, int tries) {
  return trouble == Trouble::Away ? Fate{What::Later, kFirstPauseMs} : later(tries);
}

// Buried again, it does not load whom it holds up any more. When even that cannot be written, it
// stays and is tried for ever: to forget it would be to lose the message.
Fate of_burial(Trouble trouble, int tries) {
  bool again = trouble == Trouble::Refused || trouble == Trouble::Undecided ||
               trouble == Trouble::Deadly || (trouble == Trouble::Load && tries > kMostLoads) ||
               (trouble == Trouble::Write && tries == 1);
  return again ? Fate{What::Bury} : later(tries);
}

}  // namespace

//             | somebody asks        | the machine itself | its routine       | a burial
//   Load      | later, then answered | later, then buried | later             | later, then buried
//   Refused   | answered             | buried             | later             | buried
//   Undecided | buried, and answered | buried             | later             | buried
//   Stale     | again, then buried   | again, then buried | again, then later | again, then later
//   Write     | buried, and answered | buried             | later             | buried, then later
//   Away      | answered             | later              | later             | later
//   Deadly    | answered             | buried             | later             | buried
//
// Later: after pauses that grow to a minute; for as long as it takes where nothing comes after it.
// A row that cannot be read puts off nobody else: the batch is halved until the culprit stands
// alone (Partition::cannot_load). A damaged page is no trouble of a message: it ends the process.
Fate fate_of(Trouble trouble, Whose whose, int tries) {
  if (trouble == Trouble::Stale && tries <= kMostDecisions) return {What::Again};
  switch (whose) {
    case Whose::Asker: return of_asker(trouble, tries);
    case Whose::Machine: return of_machine(trouble, tries);
    case Whose::Routine: return of_routine(trouble, tries);
    case Whose::Burial: return of_burial(trouble, tries);
  }
  return {What::Bury};
}

}  // namespace millrace::engine
