// SPDX-License-Identifier: Apache-2.0
#include "services/api/cursor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace millrace::api {
namespace {

Error bad_cursor(std::string_view list) {
  return Error(ErrorKind::Invalid, "API-0002",
               fmt::format("the cursor is not one of '{}': pass next_cursor of its last page as it "
                           "came",
                           list))
      .with_problem("?cursor", "expected the next_cursor of this list's last page");
}

}  // namespace

// base64url(LIST ':' LAST) without padding.
std::string make_cursor(std::string_view list, std::string_view last) {
  auto text = base64_encode(fmt::format("{}:{}", list, last));
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

Result<std::string> open_cursor(std::string_view list, std::string_view cursor) {
  if (cursor.empty()) return std::string();
  std::string text(cursor);
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  std::string plain;
  if (!base64_decode(text, plain)) return bad_cursor(list);
  auto colon = plain.find(':');
  if (colon == std::string::npos || plain.substr(0, colon) != list) return bad_cursor(list);
  return plain.substr(colon + 1);
}

Result<int64_t> open_id_cursor(std::string_view list, std::string_view cursor) {
  TRY(auto last, open_cursor(list, cursor));
  if (last.empty()) return int64_t{0};
  auto id = parse_id(last, "cursor");
  if (!id.ok()) return bad_cursor(list);
  return *id;
}

}  // namespace millrace::api
