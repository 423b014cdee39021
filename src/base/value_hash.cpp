// SPDX-License-Identifier: Apache-2.0
#include "base/value_hash.h"

namespace millrace {

size_t ValueHash::operator()(const Value& value) const noexcept {
  // Apart for each kind: an empty list is no empty map, "1" is not 1.
  auto salted = [&](uint64_t hash) { return hash * 31 + static_cast<uint64_t>(value.kind()); };
  switch (value.kind()) {
    case Value::Kind::Null:
    case Value::Kind::Bool:
      return salted(seeded_hash(uint64_t{value.is_bool() && value.as_bool()}));
    case Value::Kind::Int:
    case Value::Kind::Float: {
      double number = value.as_float();
      return seeded_hash(std::bit_cast<uint64_t>(number == 0 ? 0.0 : number));  // -0.0 == 0.0
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
