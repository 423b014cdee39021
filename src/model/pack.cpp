// SPDX-License-Identifier: Apache-2.0
#include "model/pack.h"

namespace millrace {

const Action* Pack::find_action(std::string_view action_ref) const {
  for (const auto& action : actions) {
    if (action.ref == action_ref) return &action;
  }
  return nullptr;
}

}  // namespace millrace
