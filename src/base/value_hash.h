// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/hash.h"
#include "base/value.h"

namespace millrace {

// Equal values hash alike, as Value::operator== has it: 1 and 1.0, maps in any order.
struct ValueHash {
  size_t operator()(const Value& value) const noexcept;
};

}  // namespace millrace
