// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "base/json.h"
#include "base/text.h"
#include "base/value.h"

namespace millrace {
namespace {

// What is read, written and read again is the same text, however it is indented: no number has
// become another one, no text lost a byte.
FUZZ(json) {
  auto value = parse_json(input);
  if (!value.ok()) {
    ASSERT(value.error().message().size() < 1024);
    return;
  }
  std::string text = to_json(*value);
  ASSERT(text.size() <= 16 * input.size() + 16);
  if (value->is_int() && trim(input) != "-0") ASSERT(trim(input) == text);
  bool is_long = value->is_list() && value->size() > 4;
  std::string written = text;
  if (fuzz::planted() && is_long) written.pop_back();
  auto again = parse_json(written);
  ASSERT(again.ok());
  ASSERT(to_json(*again) == text);
  auto indented = parse_json(to_pretty_json(*value));
  ASSERT(indented.ok());
  ASSERT(to_json(*indented) == text);
}

}  // namespace
}  // namespace millrace
