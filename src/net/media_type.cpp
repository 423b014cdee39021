// SPDX-License-Identifier: Apache-2.0
#include "net/media_type.h"

#include <algorithm>

#include "base/text.h"

namespace millrace::net {
namespace {

// The length of the quoted string that `text` begins with; 0: it has no end.
size_t quoted_length(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return 0;
}

}  // namespace

bool is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  auto is_allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.contains(c);
  };
  return !text.empty() && std::ranges::all_of(text, is_allowed);
}

bool is_media_type(std::string_view text) {
  size_t parameters = std::min(text.find(';'), text.size());
  std::string_view type = trim(text.substr(0, parameters));
  size_t slash = std::min(type.find('/'), type.size());
  if (slash == type.size() || !is_token(type.substr(0, slash)) ||
      !is_token(type.substr(slash + 1))) {
    return false;
  }
  for (text = text.substr(parameters); !text.empty();) {
    if (text.front() != ';') return false;
    text = trim(text.substr(1));
    if (text.empty() || text.front() == ';') continue;
    size_t equals = std::min(text.find('='), text.size());
    if (equals == text.size() || !is_token(text.substr(0, equals))) return false;
    text = text.substr(equals + 1);
    size_t length = std::min(text.find(';'), text.size());
    if (text.starts_with('"')) {
      length = quoted_length(text);
    } else if (!is_token(trim(text.substr(0, length)))) {
      return false;
    }
    if (length == 0) return false;
    text = trim(text.substr(length));
  }
  return true;
}

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
