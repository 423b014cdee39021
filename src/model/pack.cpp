// SPDX-License-Identifier: Apache-2.0
#include "model/pack.h"

namespace millrace {

const Action* Pack::find_action(std::string_view action_ref) const {
  for (const auto& action : actions) {
    if (action.ref == action_ref) return &action;
  }
  return nullptr;
}

const Trigger* Pack::find_trigger(std::string_view trigger_ref) const {
  for (const auto& trigger : triggers) {
    if (trigger.ref == trigger_ref) return &trigger;
  }
  return nullptr;
}

}  // namespace millrace
