// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "base/text.h"

namespace millrace::net {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<Address> parse_bare(std::string_view text) {
  char zero_ended[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof zero_ended) return std::nullopt;
  std::memcpy(zero_ended, text.data(), text.size());
  zero_ended[text.size()] = '\0';
  Address address;
  if (inet_pton(AF_INET6, zero_ended, address.bytes.data()) == 1) return address;
  std::ranges::copy(kMapped, address.bytes.begin());
  if (inet_pton(AF_INET, zero_ended, address.bytes.data() + kMapped.size()) == 1) return address;
  return std::nullopt;
}

// The node of `for=` in one element of Forwarded, or "".
std::string_view forwarded_for(std::string_view element) {
  for (std::string_view pair : split(element, ';')) {
    size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    if (!iequals_ascii(trim(pair.substr(0, equals)), "for")) continue;
    auto node = trim(pair.substr(equals + 1));
    bool quoted = node.size() >= 2 && node.front() == '"' && node.back() == '"';
    return quoted ? node.substr(1, node.size() - 2) : node;
  }
  return {};
}

// The hops that a header tells, the nearest last; nothing when it is not there.
std::optional<std::vector<std::string_view>> hops(const Headers& headers, std::string_view name) {
  std::vector<std::string_view> found;
  bool is_forwarded = name == "forwarded";
  for (const auto& [key, value] : headers.lines()) {
    if (!iequals_ascii(key, name)) continue;
    for (auto hop : split(value, ',')) {
      found.push_back(is_forwarded ? forwarded_for(hop) : trim(hop));
    }
  }
  if (found.empty()) return std::nullopt;
  return found;
}

// From the nearest hop on, until one is not trusted. One that is no address ends it: the proxy that
// told it counts.
Address last_untrusted(Address nearest, const std::vector<std::string_view>& before,
                       std::span<const Network> trusted) {
  for (size_t i = before.size(); i-- > 0 && is_trusted(nearest, trusted);) {
    auto hop = parse_address(before[i]);
    if (!hop) break;
    nearest = *hop;
  }
  return nearest;
}

}  // namespace

bool Address::is_v4() const { return std::ranges::equal(std::span(bytes).first<12>(), kMapped); }

Address Address::client() const {
  if (is_v4()) return *this;
  Address network;
  std::copy_n(bytes.begin(), 8, network.bytes.begin());
  return network;
}

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN];
  const uint8_t* from = is_v4() ? bytes.data() + kMapped.size() : bytes.data();
  return inet_ntop(is_v4() ? AF_INET : AF_INET6, from, text, sizeof text);
}

std::optional<Address> parse_address(std::string_view text) {
  if (text.starts_with('[')) {
    size_t end = text.find(']');
    return end == std::string_view::npos ? std::nullopt : parse_bare(text.substr(1, end - 1));
  }
  bool has_port = std::ranges::count(text, ':') == 1;
  return parse_bare(has_port ? text.substr(0, text.find(':')) : text);
}

Result<Network> Network::parse(std::string_view text) {
  size_t slash = std::min(text.find('/'), text.size());
  auto address = parse_bare(text.substr(0, slash));
  int most = address && address->is_v4() ? 32 : 128;
  int bits = most;
  bool good = address.has_value();
  if (good && slash < text.size()) {
    auto digits = text.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    good =
        error == std::errc() && end == digits.data() + digits.size() && bits >= 0 && bits <= most;
  }
  if (!good) {
    return Error(ErrorKind::Invalid, "NET-0019",
                 fmt::format("expected an IP address or a network such as 10.0.0.0/8, found '{}'",
                             text.substr(0, 100)));
  }
  Network network;
  network.address_ = *address;
  network.bits_ = bits + 128 - most;
  return network;
}

bool Network::contains(const Address& address) const {
  auto whole = static_cast<size_t>(bits_ / 8);
  if (!std::equal(address.bytes.begin(), address.bytes.begin() + whole, address_.bytes.begin())) {
    return false;
  }
  int rest = bits_ % 8;
  if (rest == 0) return true;
  return ((address.bytes[whole] ^ address_.bytes[whole]) >> (8 - rest)) == 0;
}

bool is_trusted(const Address& address, std::span<const Network> trusted) {
  return std::ranges::any_of(trusted, [&](const auto& net) { return net.contains(address); });
}

Address asking_address(const Address& peer, const Headers& headers,
                       std::span<const Network> trusted) {
  if (!is_trusted(peer, trusted)) return peer;
  auto common = hops(headers, "x-forwarded-for");
  auto standard = hops(headers, "forwarded");
  if (common && standard) {
    auto told = last_untrusted(peer, *common, trusted);
    return told == last_untrusted(peer, *standard, trusted) ? told : peer;
  }
  if (common) return last_untrusted(peer, *common, trusted);
  return standard ? last_untrusted(peer, *standard, trusted) : peer;
}

}  // namespace millrace::net
