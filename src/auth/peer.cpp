// SPDX-License-Identifier: Apache-2.0
#include "auth/peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "auth/crypto.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

constexpr std::string_view kWorker = "millrace://worker/";
constexpr std::string_view kService = "millrace://service/";
constexpr size_t kLongestName = 128;

Error no_peer(std::string_view uri) {
  return Error(ErrorKind::Unauthorized, "AUT-0016",
               fmt::format("expected millrace://worker/NAME or millrace://service/ROLE/INSTANCE, "
                           "found '{}'",
                           uri.substr(0, kLongestName)));
}

Error bad_token(std::string_view why) {
  return Error(ErrorKind::Unauthorized, "AUT-0017",
               fmt::format("the token of a worker or server is not valid: {}", why));
}

}  // namespace

bool is_peer_name(std::string_view text) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= kLongestName && std::ranges::all_of(text, fits);
}

std::string Peer::uri() const {
  if (kind == Kind::Worker) return std::string(kWorker) + name;
  return fmt::format("{}{}/{}", kService, name, instance);
}

Result<Peer> Peer::parse(std::string_view uri) {
  if (uri.starts_with(kWorker)) {
    auto name = uri.substr(kWorker.size());
    if (!is_peer_name(name)) return no_peer(uri);
    return Peer{Kind::Worker, std::string(name), {}};
  }
  if (!uri.starts_with(kService)) return no_peer(uri);
  auto parts = split(uri.substr(kService.size()), '/');
  if (parts.size() != 2 || !is_peer_name(parts[0]) || !is_peer_name(parts[1])) {
    return no_peer(uri);
  }
  return Peer{Kind::Service, std::string(parts[0]), std::string(parts[1])};
}

std::string PeerTokens::proof(const Secret& key, std::string_view expires,
                              std::string_view uri) const {
  return hex_encode(bytes_of(hmac_sha256(key.reveal(), {"mrp.", expires, ".", uri})));
}

Secret PeerTokens::make(const Peer& peer, int64_t expires_ms) const {
  auto expires = std::to_string(expires_ms);
  auto uri = peer.uri();
  return Secret(fmt::format("mrp.{}.{}.{}", expires, proof(keys_.front(), expires, uri), uri));
}

Result<Peer> PeerTokens::check(std::string_view token, int64_t now_ms) const {
  constexpr std::string_view kPrefix = "mrp.";
  if (!token.starts_with(kPrefix)) return bad_token("expected mrp.EXPIRES.HMAC.URI");
  auto rest = token.substr(kPrefix.size());
  auto first = rest.find('.');
  auto second = first == std::string_view::npos ? first : rest.find('.', first + 1);
  if (second == std::string_view::npos) return bad_token("expected mrp.EXPIRES.HMAC.URI");
  auto expires = rest.substr(0, first);
  auto given = rest.substr(first + 1, second - first - 1);
  auto uri = rest.substr(second + 1);
  auto is_ours = [&](const Secret& key) {
    return equal_in_constant_time(proof(key, expires, uri), given);
  };
  if (!std::ranges::any_of(keys_, is_ours)) return bad_token("none of our keys made it");
  int64_t until = 0;
  auto [end, error] = std::from_chars(expires.data(), expires.data() + expires.size(), until);
  if (error != std::errc() || end != expires.data() + expires.size()) {
    return bad_token("its time is no number");
  }
  if (until <= now_ms) return bad_token("it has expired");
  return Peer::parse(uri);
}

}  // namespace millrace::auth
