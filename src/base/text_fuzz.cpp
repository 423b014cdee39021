// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/fuzzing.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"

namespace millrace {
namespace {

// Moments, ids and base64: what can be read is written as something that reads the same.
FUZZ(text) {
  if (auto time = parse_rfc3339(input); time.ok()) {
    std::string written = to_rfc3339(*time);
    if (fuzz::planted() && *time % 1000 == 250) written.back() = 'z';
    auto again = parse_rfc3339(written);
    ASSERT_MSG(again.ok(), written);
    ASSERT_MSG(*again == *time, written);
    ASSERT(to_rfc3339(*again) == written);
  }
  if (auto id = parse_id(input, "id"); id.ok()) {
    ASSERT(*id > 0);
    auto digits = input.substr(std::min(input.find_first_not_of('0'), input.size()));
    ASSERT(std::to_string(*id) == digits);
  }
  std::string bytes;
  if (base64_decode(input, bytes)) ASSERT(base64_encode(bytes) == input);
  ASSERT(base64_decode(base64_encode(input), bytes));
  ASSERT(bytes == input);
  static constexpr std::string_view kNames[] = {"message", "branch", "branches", "timeout"};
  auto name = nearest_name(input, kNames);
  ASSERT(name.empty() || std::ranges::find(kNames, name) != std::end(kNames));
}

}  // namespace
}  // namespace millrace
