// SPDX-License-Identifier: Apache-2.0
#include "net/media_type.h"

#include <algorithm>

#include "base/text.h"

namespace millrace::net {

std::string media_type(std::string_view content_type) {
  return to_lower_ascii(trim(content_type.substr(0, content_type.find(';'))));
}

std::string charset_of(std::string_view content_type) {
  size_t parameters = content_type.find(';');
  if (parameters == std::string_view::npos) return {};
  for (std::string_view part : split(content_type.substr(parameters + 1), ';')) {
    size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    if (to_lower_ascii(trim(part.substr(0, equals))) != "charset") continue;
    std::string_view value = trim(part.substr(equals + 1));
    bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    return to_lower_ascii(quoted ? value.substr(1, value.size() - 2) : value);
  }
  return {};
}

bool is_json(std::string_view type) {
  return type == "application/json" || type.ends_with("+json");
}

bool is_text(std::string_view type) {
  constexpr std::string_view kTexts[] = {
      "application/xml",        "application/yaml",         "application/x-yaml",
      "application/javascript", "application/x-javascript", "application/x-ndjson",
      "application/jsonl",      "application/toml",         "application/x-www-form-urlencoded"};
  return type.starts_with("text/") || is_json(type) || type.ends_with("+xml") ||
         type.ends_with("+yaml") || std::ranges::find(kTexts, type) != std::end(kTexts);
}

}  // namespace millrace::net
