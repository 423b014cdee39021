// SPDX-License-Identifier: Apache-2.0
#include "net/uri.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

namespace millrace::net {
namespace {

constexpr std::string_view kSubDelimiters = "!$&'()*+,;=";

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_unreserved_in_uri(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("-._~").contains(c);
}

// Unreserved characters, whole percent escapes, and `others`.
bool consists_of(std::string_view text, std::string_view others) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
      i += 2;
    } else if (!is_unreserved_in_uri(text[i]) && !others.contains(text[i])) {
      return false;
    }
  }
  return true;
}

bool is_port(std::string_view text) {
  uint32_t port = 0;
  for (char c : text) {
    if (!is_digit(c)) return false;
    port = std::min<uint32_t>(port * 10 + static_cast<uint32_t>(c - '0'), 65'536);
  }
  return port < 65'536;
}

// What stands between [ and ].
bool is_ip_literal(std::string_view text) {
  if (text.starts_with('v') || text.starts_with('V')) {  // IPvFuture
    size_t dot = std::min(text.find('.'), text.size());
    auto version = text.substr(1, std::max<size_t>(dot, 1) - 1);
    auto rest = text.substr(std::min(dot + 1, text.size()));
    return !version.empty() && std::ranges::all_of(version, is_hex) && !rest.empty() &&
           !rest.contains('%') && consists_of(rest, "!$&'()*+,;=:");
  }
  in6_addr ignored{};
  return ::inet_pton(AF_INET6, std::string(text).c_str(), &ignored) == 1 && !text.contains('\0');
}

// `name_has`: what a name may have beside letters, digits and their like.
bool is_host_and_port(std::string_view text, std::string_view name_has, bool may_be_empty) {
  if (!text.starts_with('[')) {
    size_t colon = std::min(text.find(':'), text.size());
    auto port = text.substr(std::min(colon + 1, text.size()));
    return (colon > 0 || may_be_empty) && consists_of(text.substr(0, colon), name_has) &&
           is_port(port);
  }
  size_t end = text.find(']');
  if (end == std::string_view::npos || !is_ip_literal(text.substr(1, end - 1))) return false;
  text.remove_prefix(end + 1);
  return text.empty() || (text.front() == ':' && is_port(text.substr(1)));
}

// What follows the scheme: [//AUTHORITY] PATH [?QUERY] [#FRAGMENT].
bool is_rest_of_uri(std::string_view text) {
  constexpr std::string_view kInPath = "!$&'()*+,;=:@/";
  constexpr std::string_view kInQuery = "!$&'()*+,;=:@/?";
  size_t hash = std::min(text.find('#'), text.size());
  if (hash < text.size() && !consists_of(text.substr(hash + 1), kInQuery)) return false;
  text = text.substr(0, hash);
  size_t question = std::min(text.find('?'), text.size());
  if (question < text.size() && !consists_of(text.substr(question + 1), kInQuery)) return false;
  text = text.substr(0, question);
  if (text.starts_with("//")) {
    text.remove_prefix(2);
    auto authority = text.substr(0, text.find('/'));
    text.remove_prefix(authority.size());
    if (size_t at = authority.rfind('@'); at != std::string_view::npos) {
      if (!consists_of(authority.substr(0, at), "!$&'()*+,;=:")) return false;
      authority.remove_prefix(at + 1);
    }
    if (!is_host_and_port(authority, kSubDelimiters, true)) return false;
  }
  return consists_of(text, kInPath);
}

// Of the scheme, without its colon; npos: there is none.
size_t scheme_length(std::string_view text) {
  size_t colon = text.find_first_of(":/?#");
  if (colon == std::string_view::npos || text[colon] != ':') return std::string_view::npos;
  auto is_allowed = [](char c) {
    return is_alpha(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  };
  bool is_scheme =
      colon > 0 && is_alpha(text[0]) && std::ranges::all_of(text.substr(0, colon), is_allowed);
  return is_scheme ? colon : std::string_view::npos;
}

}  // namespace

bool is_authority(std::string_view text) { return is_host_and_port(text, "!$&'()*+;=", false); }

bool is_uri(std::string_view text) {
  size_t scheme = scheme_length(text);
  return scheme != std::string_view::npos && is_rest_of_uri(text.substr(scheme + 1));
}

bool is_uri_reference(std::string_view text) {
  if (is_uri(text)) return true;
  // The first part of a relative path has no colon: what stands before it would be a scheme.
  size_t colon = text.find_first_of(":/?#");
  bool begins_badly = colon != std::string_view::npos && text[colon] == ':';
  return !begins_badly && is_rest_of_uri(text);
}

}  // namespace millrace::net
