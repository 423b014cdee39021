// SPDX-License-Identifier: Apache-2.0
#include "auth/signed_form.h"

#include <charconv>
#include <set>
#include <utility>

#include "base/text.h"

namespace millrace::auth {
namespace {

constexpr size_t kMostSignedFields = 10'000;

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    unsigned char byte = 0;
    const char* end = text.data() + i + 3;
    auto [stop, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (error != std::errc() || stop != end) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

}  // namespace

std::optional<std::string> sorted_form(std::string_view body) {
  std::set<std::pair<std::string, std::string>> fields;
  size_t count = 0;
  for (auto item : split(body, '&')) {
    if (item.empty()) continue;
    if (++count > kMostSignedFields) return std::nullopt;
    auto equals = item.find('=');
    auto name = decoded(item.substr(0, equals));
    auto value = equals == std::string_view::npos ? std::optional(std::string())
                                                  : decoded(item.substr(equals + 1));
    if (!name || !value) return std::nullopt;
    fields.emplace(*std::move(name), *std::move(value));
  }
  std::string text;
  for (const auto& [name, value] : fields) {
    text += name;
    text += value;
  }
  return text;
}

}  // namespace millrace::auth
