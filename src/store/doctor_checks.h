// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "store/doctor.h"

namespace millrace::store {

// What a check compares ages with.
enum class Bound : uint8_t { None, EventRetention, ExecutionRetention, Now };

// A query for the ids of rows that break a promise, lowest first; `{name}` in it stands for the
// number of an enum. Parameters: $1 is the bound when
// there is one (a first id for the retentions, a time for Now).
struct Check {
  std::string_view promise;
  std::string_view entity;  // what the ids name
  std::string_view message;
  std::string_view query;
  Bound bound = Bound::None;
  Severity severity = Severity::Broken;
};

std::span<const Check> checks();
// Its query as it is run.
std::string query_of(const Check& check);

}  // namespace millrace::store
