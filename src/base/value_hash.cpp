// SPDX-License-Identifier: Apache-2.0
#include "base/value_hash.h"

#include <bit>
#include <cmath>

namespace millrace {

size_t ValueHash::operator()(const Value& value) const noexcept {
  // Apart for each kind: an empty list is no empty map, "1" is not 1.
  auto salted = [&](uint64_t hash) { return hash * 31 + static_cast<uint64_t>(value.kind()); };
  switch (value.kind()) {
    case Value::Kind::Null:
    case Value::Kind::Bool:
      return salted(seeded_hash(uint64_t{value.is_bool() && value.as_bool()}));
    case Value::Kind::Int: return seeded_hash(static_cast<uint64_t>(value.as_int()));
    case Value::Kind::Float: {
      double number = value.as_float();
      bool is_whole = std::trunc(number) == number && number >= -0x1p63 && number < 0x1p63;
      // 1 == 1.0, -0.0 == 0
      return seeded_hash(is_whole ? static_cast<uint64_t>(static_cast<int64_t>(number))
                                  : std::bit_cast<uint64_t>(number));
    }
    case Value::Kind::String: return salted(seeded_hash(value.as_string()));
    case Value::Kind::List: {
      uint64_t hash = value.size();
      for (const Value& item : value.as_list()) hash = seeded_hash(hash * 31 + (*this)(item));
      return salted(hash);
    }
    case Value::Kind::Map: {
      uint64_t hash = value.size();
      for (const auto& entry : value.as_map()) {
        hash += seeded_hash(seeded_hash(entry.name()) * 31 + (*this)(entry.value));
      }
      return salted(hash);
    }
  }
  return 0;
}

}  // namespace millrace
