// SPDX-License-Identifier: Apache-2.0
#include "adapters/blob_s3/signature.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/crypto.h"
#include "base/text.h"
#include "base/time.h"

namespace millrace::blob_s3 {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string hex_of(const auth::Digest& digest) { return hex_encode(auth::bytes_of(digest)); }

// 20130524T000000Z
std::string date_of(int64_t now_ms) {
  std::string text = to_rfc3339(now_ms / 1000 * 1000);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text.substr(0, 15) + 'Z';
}

std::string encoded_query(const Request& request) {
  Pairs sorted;
  for (const auto& [name, value] : request.query) {
    sorted.emplace_back(encode(name, false), encode(value, false));
  }
  std::ranges::sort(sorted);
  std::string query;
  for (const auto& [name, value] : sorted) {
    query += fmt::format("{}{}={}", query.empty() ? "" : "&", name, value);
  }
  return query;
}

// Names of the headers that are signed, `;` between.
std::string names_of(const Pairs& headers) {
  std::string names;
  for (const auto& [name, value] : headers) names += (names.empty() ? "" : ";") + name;
  return names;
}

// Sorted, with the host.
Pairs signed_headers(const Request& request, const Scope& scope) {
  Pairs headers = request.headers;
  headers.emplace_back("host", scope.host);
  std::ranges::sort(headers);
  return headers;
}

// day/region/s3/aws4_request
std::string credential_scope(const Scope& scope, std::string_view date) {
  return fmt::format("{}/{}/s3/aws4_request", date.substr(0, 8), scope.region);
}

std::string signature_of(const Request& request, const Scope& scope, const Keys& keys,
                         const Pairs& headers, std::string_view body_hash) {
  std::string lines;
  for (const auto& [name, value] : headers) lines += fmt::format("{}:{}\n", name, value);
  std::string canonical =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, encode(request.path, true),
                  encoded_query(request), lines, names_of(headers), body_hash);
  std::string date = date_of(scope.now_ms);
  std::string where = credential_scope(scope, date);
  std::string text =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, where, hex_of(auth::sha256(canonical)));
  auto key = auth::hmac_sha256("AWS4" + keys.secret.reveal(), {date.substr(0, 8)});
  for (std::string_view part :
       {std::string_view(scope.region), std::string_view("s3"), std::string_view("aws4_request")}) {
    key = auth::hmac_sha256(auth::bytes_of(key), {part});
  }
  return hex_of(auth::hmac_sha256(auth::bytes_of(key), {text}));
}

}  // namespace

std::string encode(std::string_view text, bool keeps_slashes) {
  std::string encoded;
  for (unsigned char c : text) {
    bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keeps_slashes);
    if (stays) {
      encoded += static_cast<char>(c);
    } else {
      encoded += fmt::format("%{:02X}", c);
    }
  }
  return encoded;
}

std::string target_of(const Request& request) {
  std::string query = encoded_query(request);
  return encode(request.path, true) + (query.empty() ? "" : "?" + query);
}

void sign(Request& request, const Scope& scope, const Keys& keys) {
  std::string hash = hex_of(auth::sha256(request.body));
  std::string date = date_of(scope.now_ms);
  request.headers.emplace_back("x-amz-content-sha256", hash);
  request.headers.emplace_back("x-amz-date", date);
  if (!keys.session.empty()) {
    request.headers.emplace_back("x-amz-security-token", keys.session.reveal());
  }
  auto headers = signed_headers(request, scope);
  request.headers.emplace_back(
      "authorization", fmt::format("{} Credential={}/{},SignedHeaders={},Signature={}", kAlgorithm,
                                   keys.access, credential_scope(scope, date), names_of(headers),
                                   signature_of(request, scope, keys, headers, hash)));
}

std::string presign(Request request, const Scope& scope, const Keys& keys, int64_t expires_s) {
  std::string date = date_of(scope.now_ms);
  auto headers = signed_headers(request, scope);
  auto& query = request.query;
  query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  query.emplace_back("X-Amz-Credential", keys.access + '/' + credential_scope(scope, date));
  query.emplace_back("X-Amz-Date", date);
  query.emplace_back("X-Amz-Expires", std::to_string(expires_s));
  query.emplace_back("X-Amz-SignedHeaders", names_of(headers));
  if (!keys.session.empty()) query.emplace_back("X-Amz-Security-Token", keys.session.reveal());
  auto signature = signature_of(request, scope, keys, headers, "UNSIGNED-PAYLOAD");
  query.emplace_back("X-Amz-Signature", signature);
  return target_of(request);
}

}  // namespace millrace::blob_s3
