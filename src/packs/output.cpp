// SPDX-License-Identifier: Apache-2.0
#include "packs/output.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_schema.h"

namespace millrace::packs {

std::string output_fault(const Action& action, const Value& output) {
  constexpr size_t kMostTold = 10;
  if (action.output_schema.is_null()) return {};
  auto problems = validate_json(action.output_schema, output, ShowValues::No);
  if (problems.empty()) return {};
  std::string text =
      fmt::format("the output is not what the output_schema of '{}' says", action.ref);
  for (size_t i = 0; i < std::min(problems.size(), kMostTold); ++i) {
    std::string_view path = problems[i].path;
    text += fmt::format("{} {}: {}", i == 0 ? ":" : ";", path.empty() ? "the whole" : path,
                        problems[i].message);
  }
  if (problems.size() > kMostTold)
    text += fmt::format("; and {} more", problems.size() - kMostTold);
  return text;
}

}  // namespace millrace::packs
