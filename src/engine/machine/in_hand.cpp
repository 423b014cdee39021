// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/in_hand.h"

#include <fmt/format.h>

#include "engine/machine/transition.h"

namespace millrace::engine {

InHand::Item item_of(const Transition& message) {
  About about = message.about();
  int64_t stored = about.message ? about.message.value : about.timer.value;
  return {message.name(), stored != 0 ? stored : about.subject, message.comes_again()};
}

// A burial is about the row of whom it buries.
void handled(InHand& in_hand, const Transition& message) {
  if (!in_hand.has_suspects()) return;
  InHand::Item item = item_of(message);
  if (message.whose() == Whose::Burial) return in_hand.handled(item.id);
  in_hand.handled(item);
}

RuleInHand::RuleInHand(std::string_view doing, RuleId rule, int64_t revision)
    : doing_(doing), revision_(revision), id_(rule.value) {
  *fmt::format_to_n(kind_, sizeof(kind_) - 1, "{} rule r{}", doing, revision).out = 0;
}

Error RuleInHand::dead_error() const {
  return {ErrorKind::Internal, "ENG-0008",
          fmt::format("the server has ended {} times when it was to {} this rule (revision {}): "
                      "it is tried again when the rule is changed",
                      InHand::kMostEnds, doing_, revision_)};
}

}  // namespace millrace::engine
