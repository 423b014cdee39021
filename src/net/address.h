// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace millrace::net {

// An IP address; IPv4 as ::ffff:a.b.c.d, so that both forms of one are equal.
struct Address {
  std::array<uint8_t, 16> bytes{};
  auto operator<=>(const Address&) const = default;

  bool is_v4() const;
  // As whom it counts: of IPv6 the first 64 bits, which is what one client is given.
  Address client() const;
  std::string text() const;  // "192.0.2.1", "2001:db8::1"
};

// "192.0.2.1", "2001:db8::1"; also as proxies write them: "192.0.2.1:4711", "[2001:db8::1]:4711".
std::optional<Address> parse_address(std::string_view text);

// One address, or all that begin as it does.
class Network {
 public:
  // "10.0.0.0/8", "2001:db8::/32", "127.0.0.1". Errors: Invalid, NET-0019.
  static Result<Network> parse(std::string_view text);
  bool contains(const Address& address) const;

 private:
  Address address_;
  int bits_ = 128;
};

bool is_trusted(const Address& address, std::span<const Network> trusted);

// Who asks: `peer`; where that is a trusted proxy, the last hop before it that is none, as
// X-Forwarded-For or Forwarded (RFC 7239) tell it. What a proxy did not write is never believed:
// where both headers stand and disagree, one of them came from the client, and `peer` counts.
Address asking_address(const Address& peer, const Headers& headers,
                       std::span<const Network> trusted);

}  // namespace millrace::net
