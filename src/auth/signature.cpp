// SPDX-License-Identifier: Apache-2.0
#include "auth/signature.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

#include "auth/crypto.h"
#include "auth/signed_form.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

// A sender that rotates its keys sends two or three signatures; more is an attempt to make us
// compare for long.
constexpr size_t kMaxSignatures = 8;

// What the headers of one delivery say.
struct Given {
  std::string_view time;
  std::string_view id;
  std::array<std::string_view, kMaxSignatures> signatures;
  size_t count = 0;

  void add(std::string_view signature) {
    if (count < kMaxSignatures) signatures[count++] = signature;
  }
};

Given read_headers(const SignatureScheme& scheme, const HeaderLookup& header) {
  Given given;
  auto text = header(scheme.signature_header);
  if (!scheme.timestamp_header.empty()) given.time = header(scheme.timestamp_header);
  if (!scheme.id_header.empty()) given.id = header(scheme.id_header);
  auto take = [&](std::string_view item) {
    if (!item.starts_with(scheme.prefix)) return;
    auto signature = item.substr(scheme.prefix.size());
    if (!signature.empty()) given.add(signature);
  };
  switch (scheme.form) {
    case HeaderForm::One: take(text); break;
    case HeaderForm::SpaceList:
      for (auto item : split(text, ' ')) take(item);
      break;
    case HeaderForm::CommaPairs:
      for (auto item : split(text, ',')) {
        item = trim(item);
        if (item.starts_with("t=")) given.time = item.substr(2);
        take(item);
      }
      break;
  }
  return given;
}

Error refused(const SignatureScheme& scheme, std::string_view code, std::string message) {
  return Error(ErrorKind::Unauthorized, code, fmt::format("{}: {}", scheme.name, message));
}

Result<void> check_time(const SignatureScheme& scheme, std::string_view text, int64_t now_ms) {
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr int64_t kLatest = INT64_MAX / 2000;
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0 ||
      seconds > kLatest) {
    return refused(scheme, "AUT-0010", "expected the time of signing in Unix seconds");
  }
  int64_t age_ms = now_ms - seconds * 1000;
  if (age_ms > kReplayWindowMs || age_ms < -kReplayWindowMs) {
    return refused(scheme, "AUT-0012",
                   fmt::format("signed {} s {}, allowed are {} s: a replay, or a wrong clock",
                               (age_ms < 0 ? -age_ms : age_ms) / 1000,
                               age_ms < 0 ? "in the future" : "ago", kReplayWindowMs / 1000));
  }
  return {};
}

bool is_form(const HeaderLookup& header) {
  auto type = header("content-type");
  return iequals_ascii(trim(type.substr(0, type.find(';'))), "application/x-www-form-urlencoded");
}

// What is signed of a delivery, before its body.
struct SignedText {
  std::string before;
  std::string_view body;  // as it came, or nothing
};

Result<SignedText> signed_text(const SignatureScheme& scheme, const Given& given,
                               const HeaderLookup& header, std::string_view body,
                               std::string_view url) {
  SignedText text;
  for (auto rest = scheme.signed_text; !rest.empty();) {
    auto is = [&](std::string_view part) {
      bool found = rest.starts_with(part);
      if (found) rest.remove_prefix(part.size());
      return found;
    };
    if (is("{time}")) {
      text.before += given.time;
    } else if (is("{id}")) {
      text.before += given.id;
    } else if (is("{url}")) {
      text.before += url;
    } else if (is("{form}")) {
      if (!is_form(header)) continue;
      auto form = sorted_form(body);
      if (!form) return refused(scheme, "AUT-0010", "expected a form, found a broken one");
      text.before += *form;
    } else if (is("{body}")) {
      text.body = body;
    } else {
      text.before += rest.front();
      rest.remove_prefix(1);
    }
  }
  return text;
}

// A body that is not signed itself has its hash in the URL, which is. A form has none there; with
// one it would be an empty form that somebody has made of a body that was signed.
Result<void> check_body_hash(const SignatureScheme& scheme, const HeaderLookup& header,
                             std::string_view body, std::string_view url) {
  if (scheme.body_hash_parameter.empty()) return {};
  auto begin = url.find('?');
  auto query = begin == std::string_view::npos ? std::string_view() : url.substr(begin + 1);
  for (auto item : split(query, '&')) {
    auto equals = item.find('=');
    if (item.substr(0, equals) != scheme.body_hash_parameter) continue;
    auto hash = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    if (equal_in_constant_time(hex_encode(bytes_of(sha256(body))), to_lower_ascii(hash))) return {};
    return refused(scheme, "AUT-0011",
                   fmt::format("the body is not the one that '{}' in the URL was made of",
                               scheme.body_hash_parameter));
  }
  if (is_form(header)) return {};
  return refused(scheme, "AUT-0010",
                 fmt::format("expected a form, or the body's hash as '{}' in the URL",
                             scheme.body_hash_parameter));
}

constexpr std::string_view kWhsec = "whsec_";

bool is_encoded(const SignatureScheme& scheme, std::string_view secret) {
  return scheme.secret == SecretForm::Whsec && secret.starts_with(kWhsec);
}

Secret key_of(const SignatureScheme& scheme, const Secret& secret) {
  std::string_view text = secret.reveal();
  std::string bytes;
  if (is_encoded(scheme, text) && base64_decode(text.substr(kWhsec.size()), bytes)) {
    return Secret(std::move(bytes));
  }
  return secret;
}

std::string expected_signature(const SignatureScheme& scheme, const Secret& secret,
                               const SignedText& text) {
  std::string digest;
  auto key = [&] { return key_of(scheme, secret); };
  switch (scheme.algorithm) {
    case SignatureAlgorithm::PlainToken: return secret.reveal();
    case SignatureAlgorithm::HmacSha256:
      digest = bytes_of(hmac_sha256(key().reveal(), {text.before, text.body}));
      break;
    case SignatureAlgorithm::HmacSha1:
      digest = hmac_sha1(key().reveal(), {text.before, text.body});
      break;
  }
  return scheme.encoding == SignatureEncoding::Hex ? hex_encode(digest) : base64_encode(digest);
}

bool equal_signatures(const SignatureScheme& scheme, std::string_view a, std::string_view b) {
  // A plain token is hashed first, so that its length does not show either.
  if (scheme.algorithm == SignatureAlgorithm::PlainToken) {
    return equal_in_constant_time(bytes_of(sha256(a)), bytes_of(sha256(b)));
  }
  return equal_in_constant_time(a, b);
}

}  // namespace

std::string weakness_of(const SignatureScheme& scheme, const Secret& secret) {
  std::string_view text = secret.reveal();
  std::string decoded;
  if (is_encoded(scheme, text) && !base64_decode(text.substr(kWhsec.size()), decoded)) {
    return "expected base64 behind 'whsec_'";
  }
  Secret key = key_of(scheme, secret);
  std::string_view bytes = key.reveal();
  if (bytes.size() < kLeastKeyBytes) {
    return fmt::format("expected a key of at least {} bytes, found {}", kLeastKeyBytes,
                       bytes.size());
  }
  if (bytes.find_first_not_of(bytes.front()) == std::string_view::npos) {
    return fmt::format("expected a random key, found one byte {} times", bytes.size());
  }
  return {};
}

namespace {

Result<Given> read_signed_head(const SignatureScheme& scheme, const HeaderLookup& header,
                               int64_t now_ms) {
  auto given = read_headers(scheme, header);
  if (given.count == 0) {
    return refused(scheme, "AUT-0010",
                   fmt::format("expected a signature in header '{}'", scheme.signature_header));
  }
  // Nothing would tell a second delivery from the first one.
  if (scheme.signs_id() && given.id.empty()) {
    return refused(scheme, "AUT-0010",
                   fmt::format("expected the id of the delivery in header '{}', which is signed",
                               scheme.id_header));
  }
  if (scheme.signs_time()) TRY(check_time(scheme, given.time, now_ms));
  return given;
}

}  // namespace

Result<void> check_signed_head(const SignatureScheme& scheme, const HeaderLookup& header,
                               int64_t now_ms) {
  TRY(read_signed_head(scheme, header, now_ms));
  return {};
}

Result<void> verify_signature(const SignatureScheme& scheme, const HeaderLookup& header,
                              std::string_view body, std::span<const Secret> secrets,
                              int64_t now_ms, std::string_view url) {
  TRY(auto given, read_signed_head(scheme, header, now_ms));
  TRY(auto text, signed_text(scheme, given, header, body, url));
  bool matches = false;
  for (const auto& secret : secrets) {
    // An empty secret would make every body signable by everybody.
    if (secret.empty()) continue;
    auto expected = expected_signature(scheme, secret, text);
    for (size_t i = 0; i < given.count; ++i) {
      if (equal_signatures(scheme, expected, given.signatures[i])) matches = true;
    }
  }
  if (!matches) {
    return refused(
        scheme, "AUT-0011",
        fmt::format("the signature in header '{}' is wrong: check the secret on both "
                    "sides{}",
                    scheme.signature_header,
                    scheme.signs_url() ? ", and the endpoint's url, which is signed" : ""));
  }
  return check_body_hash(scheme, header, body, url);
}

}  // namespace millrace::auth
