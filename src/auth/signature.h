// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace millrace::auth {

enum class SignatureEncoding : uint8_t { Hex, Base64 };
// HmacSha1: what one sender signs with still. Its weakness is no weakness of HMAC.
enum class SignatureAlgorithm : uint8_t { HmacSha256, HmacSha1, PlainToken };
// How the configured secret becomes the key.
enum class SecretForm : uint8_t { Raw, Whsec };  // Whsec: `whsec_` and base64, or raw bytes
// What the header with the signature looks like.
enum class HeaderForm : uint8_t {
  One,        // the prefix and one signature
  SpaceList,  // several, each with the prefix
  CommaPairs  // `v1=SIG,v1=SIG`: the prefix is the pair's name; `t=TIME` is the time, if one is
              // signed
};

// How one kind of sender signs its deliveries. All of it is data: a new sender is a new row.
struct SignatureScheme {
  std::string_view name;
  std::string_view signature_header;
  HeaderForm form = HeaderForm::One;
  std::string_view prefix;
  SignatureEncoding encoding = SignatureEncoding::Hex;
  SignatureAlgorithm algorithm = SignatureAlgorithm::HmacSha256;
  SecretForm secret = SecretForm::Raw;
  // What is signed: {time} and {id} as the headers say, {url} as the sender calls it, with its
  // query, {form}: the fields of a form, sorted (signed_form.h), nothing of another body; {body},
  // raw, comes last.
  std::string_view signed_text = "{body}";
  // The parameter of the URL that holds the SHA-256, in hex, of a body that is no form: what is
  // signed instead of it.
  std::string_view body_hash_parameter;
  std::string_view timestamp_header;  // Unix seconds; empty with CommaPairs or without a time
  std::string_view id_header;         // the delivery's id; empty: it has none
  std::string_view id_member;         // or where it is in the body: `event.id`; empty: nowhere
  // Headers that enter the event, lower-case. No other one does, whatever it is called.
  std::span<const std::string_view> event_headers;

  bool signs_body() const { return algorithm != SignatureAlgorithm::PlainToken; }
  bool signs(std::string_view what) const {
    return signed_text.find(what) != std::string_view::npos;
  }
  bool signs_time() const { return signs("{time}"); }
  bool signs_id() const { return signs("{id}"); }
  bool signs_url() const { return signs("{url}"); }
  // Where the id in a header is not signed, a captured delivery could be sent again with another
  // one: the body's own hash is a second key then.
  bool needs_body_dedupe() const { return signs_body() && !signs_time(); }
};

// github, gitea, forgejo, gitlab, gitlab-signed, bitbucket, standard, slack, stripe, pagerduty,
// twilio, shopify: the table is signature_schemes.cpp.
std::span<const SignatureScheme> signature_schemes();
const SignatureScheme* find_signature_scheme(std::string_view name);

inline constexpr size_t kLeastKeyBytes = 16;

// Why this secret cannot prove who a sender is under the scheme: its key (what stands encoded
// behind `whsec_`) is too short or one byte again and again, which HMAC takes for an empty one when
// it is NUL. Empty: it can. Never quotes the secret.
std::string weakness_of(const SignatureScheme& scheme, const Secret& secret);

// The value of a header, or empty. Names are given in lower case.
using HeaderLookup = std::function<std::string_view(std::string_view name)>;

inline constexpr int64_t kReplayWindowMs = 300'000;

// What can be refused before the body is there: a delivery without a signature, or one whose time
// is over. Errors: as below.
Result<void> check_signed_head(const SignatureScheme& scheme, const HeaderLookup& header,
                               int64_t now_ms);

// Checks the raw body against each active secret, in constant time. `url`: the one that the sender
// has called, where the scheme signs it.
// Errors: Unauthorized, AUT-0010 (no signature), AUT-0011 (wrong), AUT-0012 (signed too long ago
// or too far ahead).
Result<void> verify_signature(const SignatureScheme& scheme, const HeaderLookup& header,
                              std::string_view body, std::span<const Secret> secrets,
                              int64_t now_ms, std::string_view url = {});

}  // namespace millrace::auth
