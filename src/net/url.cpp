// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "net/uri.h"

namespace millrace::net {
namespace {

Error bad_url(std::string_view text, std::string_view why) {
  return Error(ErrorKind::Invalid, "NET-0010",
               fmt::format("URL '{}': {}", text.substr(0, 200), why));
}

bool is_ipv6(const std::string& text) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET6, text.c_str(), &ignored) == 1;
}

}  // namespace

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  if (port != (tls ? 443 : 80)) out += fmt::format(":{}", port);
  return out;
}

bool Url::same_server(const Url& other) const {
  return tls == other.tls && port == other.port && iequals_ascii(host, other.host);
}

Result<Url> parse_url(std::string_view text) {
  auto forbidden = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
  if (std::ranges::any_of(text, forbidden)) {
    return bad_url(text, "expected no spaces or control characters (write them as %20)");
  }
  Url url;
  size_t scheme_end = text.find("://");
  std::string scheme = to_lower_ascii(text.substr(0, std::min(scheme_end, text.size())));
  if (scheme_end == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    return bad_url(text, "expected http:// or https://");
  }
  url.tls = scheme == "https";
  url.port = url.tls ? 443 : 80;
  std::string_view rest = text.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find('#'));
  size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  std::string_view target = rest.substr(authority_end);
  if (!target.empty()) url.target = target.starts_with('/') ? target : fmt::format("/{}", target);

  if (authority.find('@') != std::string_view::npos) {
    return bad_url(text.substr(0, scheme_end + 3), "expected no user name or password in it");
  }
  size_t colon = authority.find(':');
  if (authority.starts_with('[')) {
    size_t end = authority.find(']');
    url.host = authority.substr(1, std::min(end, authority.size()) - 1);
    std::string_view behind = authority.substr(std::min(end, authority.size() - 1) + 1);
    if (end == std::string_view::npos || !is_ipv6(url.host) ||
        (!behind.empty() && behind.front() != ':')) {
      return bad_url(text, "expected an IPv6 address between [ and ], as http://[::1]:8080/");
    }
    colon = behind.empty() ? std::string_view::npos : end + 1;
  } else {
    url.host = authority.substr(0, colon);
    if (url.host.find_first_of("[]") != std::string::npos) {
      return bad_url(text, "expected [ and ] only around an IPv6 address");
    }
  }
  if (colon != std::string_view::npos) {
    std::string_view digits = authority.substr(colon + 1);
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    bool whole = end == digits.data() + digits.size();
    if (ec != std::errc() || !whole || url.port == 0) return bad_url(text, "the port is invalid");
  }
  if (url.host.empty()) return bad_url(text, "expected a host name");
  if (!is_authority(authority)) {
    return bad_url(text, "expected a host of letters, digits and -._ (other names as xn--...)");
  }
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
  std::string_view scheme = base.tls ? "https" : "http";
  if (location.find("://") != std::string_view::npos) return parse_url(location);
  if (location.starts_with("//")) return parse_url(fmt::format("{}:{}", scheme, location));
  std::string target(location);
  if (!location.starts_with('/')) {
    std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
    target = fmt::format("{}{}", path.substr(0, path.rfind('/') + 1), location);
  }
  return parse_url(fmt::format("{}://{}{}", scheme, base.authority(), target));
}

}  // namespace millrace::net
