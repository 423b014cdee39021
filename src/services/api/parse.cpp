// SPDX-License-Identifier: Apache-2.0
#include "services/api/parse.h"

#include <fmt/format.h>

#include <charconv>

#include "base/json.h"

namespace millrace::api {

Result<int64_t> parse_wait(std::string_view text) {
  if (text.empty()) return int64_t{0};
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  int64_t factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : 0;
  if (error == std::errc() && number >= 0 && factor != 0 && number <= kLongestWaitMs / factor) {
    return number * factor;
  }
  return Error(ErrorKind::Invalid, "API-0016",
               fmt::format("wait: expected up to {} min such as 30s or 500ms, found '{}'",
                           kLongestWaitMs / 60'000, text.substr(0, 32)))
      .with_problem("?wait", "expected a time such as 30s");
}

Value stored_json(std::string_view text) {
  if (text.empty()) return {};
  auto value = parse_json(text, kOwnJson);
  return value.ok() ? *std::move(value) : Value(text);
}

std::string_view whole_characters(std::string_view bytes) {
  // At most three bytes of a character can stand at the end without its last one.
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;  // a continuation
    size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? bytes.substr(0, bytes.size() - back) : bytes;
  }
  return bytes;
}

}  // namespace millrace::api
