// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/transition.h"

namespace millrace::engine {

void DeleteTransition::operator()(Transition* message) const noexcept { delete message; }

}  // namespace millrace::engine
