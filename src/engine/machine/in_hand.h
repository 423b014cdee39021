// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "base/in_hand.h"
#include "base/result.h"

namespace millrace::engine {

class Transition;

// By what a message is known after the next start: the stored row that it comes from, or what it is
// about. What becomes of one that is dead stands in engine/fate.h (Trouble::Deadly).
InHand::Item item_of(const Transition& message);
// It was decided or buried: no suspect any more.
void handled(InHand& in_hand, const Transition& message);

// One revision of a rule while something is done with it: an edit makes it another one, which is
// tried again.
class RuleInHand {
 public:
  // `doing` is of at most 8 bytes.
  RuleInHand(std::string_view doing, RuleId rule, int64_t revision);
  InHand::Item item() const { return {kind_, id_, true}; }
  Error dead_error() const;

 private:
  std::string_view doing_;
  int64_t revision_;
  char kind_[24];
  int64_t id_;
};

}  // namespace millrace::engine
