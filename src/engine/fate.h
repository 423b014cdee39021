// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/machine/transition.h"

namespace millrace::engine {

// What may keep a message from being handled.
enum class Trouble : uint8_t {
  Load,       // its rows cannot be read
  Refused,    // its decision is an error
  Undecided,  // its decision comes to nothing, however often it is made
  Stale,      // it was decided on rows that had changed, or a dedupe key was taken
  Write,      // its rows cannot be written for a reason of their own
  Away,       // the store takes nothing: it is away, or the disk is full
  Deadly,     // processes have ended while it was in hand (engine/machine/in_hand.h)
};

inline constexpr std::string_view kDeadly = "ENG-0007";  // the error of Trouble::Deadly

struct Fate {
  enum class What : uint8_t {
    Again,   // in the next turn
    Later,   // after `after_ms`
    Answer,  // whoever asked hears of it, and that is all
    Bury,    // into quarantine with the reason; whom it holds up is handed to an operator
  };
  What what = What::Again;
  int64_t after_ms = 0;
};

// The one place that says what becomes of a message that cannot be handled. `tries`: how often this
// trouble has been met with it without another one between, 1 at the first.
Fate fate_of(Trouble trouble, Whose whose, int tries);

}  // namespace millrace::engine
