// SPDX-License-Identifier: Apache-2.0
#include "kernel/changes.h"

namespace millrace::kernel {

bool Changes::empty() const {
  return ChangesMembers::all_of([this]<auto kMember>() { return (this->*kMember).empty(); });
}

}  // namespace millrace::kernel
