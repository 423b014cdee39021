// SPDX-License-Identifier: Apache-2.0
#include "expr/expr.h"

namespace millrace::expr {
namespace {

constexpr uint64_t kBytesPerStep = 32;
constexpr uint64_t kEntriesPerStep = 8;

}  // namespace

bool Allowance::take_writing(const Value& value, uint64_t times) {
  if (value.is_string()) return take(times * (value.size() / kBytesPerStep));
  if (value.size() == 0) return true;
  if (!take(times * (1 + value.size() / kEntriesPerStep))) return false;
  if (value.is_list()) {
    for (const Value& item : value.as_list()) {
      if (!take_writing(item, times)) return false;
    }
    return true;
  }
  for (const auto& entry : value.as_map()) {
    if (!take_writing(entry.key, times) || !take_writing(entry.value, times)) return false;
  }
  return true;
}

}  // namespace millrace::expr
