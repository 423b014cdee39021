// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/value.h"
#include "rules/criteria.h"

namespace millrace::rules {

// How an event leads to rules by what it has at one place.
enum class Way : uint8_t {
  Equal,        // the scalar `value`
  Item,         // a list that holds `value`, or a map that has it as a key
  FoldedEqual,  // a text whose fold is `text`; so are the next three
  Begins,       // a text that begins with it,
  Ends,         // ends with it,
  Holds,        // or has it somewhere
  Number,       // a number from `low` to `high`, a bool as 0 or 1
  Age,          // a time that is so many seconds ago
  UpTo,         // a text that comes not after `text`, by bytes
  From,         // or not before
  Exists,       // anything but null
  Absent,       // nothing, or null
};

struct Access {
  Way way;
  uint32_t slot = 0;  // of the rule's paths
  Value value = {};
  std::string text = {};
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

// What an event must have for criteria to hold. It is necessary and need not suffice: whoever is
// found is judged.
struct AccessPlan {
  enum class Kind : uint8_t {
    None,    // nobody knows: the rule is always tried
    AnyOf,   // one of `accesses`; without any the criteria never hold
    BestOf,  // each of `parts`: to file the rule by one of them is enough
    EachOf,  // one of `parts`: the rule is filed by all of them
  };

  Kind kind = Kind::None;
  std::vector<Access> accesses = {};
  std::vector<AccessPlan> parts = {};
};

// What equality is looked up for.
inline bool is_scalar(const Value& value) {
  return value.is_string() || value.is_number() || value.is_bool();
}

// Of criteria that must all hold.
AccessPlan access_plan(std::span<const Criterion* const> all);

}  // namespace millrace::rules
