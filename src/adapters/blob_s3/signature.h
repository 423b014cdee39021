// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"

// Signature Version 4 of AWS, as S3 wants it.
namespace millrace::blob_s3 {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Keys {
  std::string access;
  Secret secret;
  Secret session;  // of keys that are lent; empty: none
  bool operator==(const Keys& other) const {
    return access == other.access && secret.reveal() == other.secret.reveal() &&
           session.reveal() == other.session.reveal();
  }
};

// A request as it is sent, but for the encoding of its target.
struct Request {
  std::string method = "GET";
  std::string path = "/";  // bytes, not encoded
  Pairs query;             // the same
  Pairs headers;           // names in small letters; without host
  std::string body;
};

// Unreserved characters (RFC 3986) stand for themselves, all other bytes as %XX.
std::string encode(std::string_view text, bool keeps_slashes);
// Path and query, encoded, the query sorted: so it has to be sent.
std::string target_of(const Request& request);

struct Scope {
  std::string host;  // as the Host header has it
  std::string region;
  int64_t now_ms = 0;  // Unix
};
// Adds the headers that prove who sends it: date, hash of the body, token, signature.
void sign(Request& request, const Scope& scope, const Keys& keys);
// The target of a request that whoever has it may make, without a header, for `expires_s`.
std::string presign(Request request, const Scope& scope, const Keys& keys, int64_t expires_s);

}  // namespace millrace::blob_s3
