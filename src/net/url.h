// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::net {

// An absolute http or https URL.
struct Url {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 address
  uint16_t port = 80;
  std::string target = "/";  // path and query as they are sent; no fragment

  // "host" or "host:port" where the port is not the scheme's own.
  std::string authority() const;
  bool same_server(const Url& other) const;
};

// Errors: Invalid (NET-0010): another scheme, a user name, spaces or control characters.
Result<Url> parse_url(std::string_view text);

// What a Location header means for a response of `base`.
Result<Url> resolve_url(const Url& base, std::string_view location);

}  // namespace millrace::net
