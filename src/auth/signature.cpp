// SPDX-License-Identifier: Apache-2.0
#include "auth/signature.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

#include "auth/crypto.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

constexpr std::string_view kGitHubHeaders[] = {"x-github-event",
                                               "x-github-delivery",
                                               "x-github-hook-id",
                                               "x-github-hook-installation-target-id",
                                               "x-github-hook-installation-target-type",
                                               "content-type",
                                               "user-agent"};
constexpr std::string_view kGiteaHeaders[] = {"x-gitea-event",    "x-gitea-event-type",
                                              "x-gitea-delivery", "x-github-event",
                                              "content-type",     "user-agent"};
constexpr std::string_view kForgejoHeaders[] = {"x-forgejo-event",    "x-forgejo-event-type",
                                                "x-forgejo-delivery", "x-gitea-event",
                                                "content-type",       "user-agent"};
constexpr std::string_view kGitLabHeaders[] = {
    "x-gitlab-event",  "x-gitlab-event-uuid", "x-gitlab-instance", "x-gitlab-webhook-uuid",
    "idempotency-key", "content-type",        "user-agent"};
constexpr std::string_view kStandardHeaders[] = {"webhook-id", "webhook-timestamp", "content-type",
                                                 "user-agent"};
constexpr std::string_view kSlackHeaders[] = {"x-slack-request-timestamp", "x-slack-retry-num",
                                              "x-slack-retry-reason", "content-type"};
constexpr std::string_view kStripeHeaders[] = {"content-type", "user-agent"};

// Several senders sign by this one specification.
constexpr SignatureScheme standard_webhooks(std::string_view name,
                                            std::span<const std::string_view> event_headers) {
  return {.name = name,
          .signature_header = "webhook-signature",
          .form = HeaderForm::SpaceList,
          .prefix = "v1,",
          .encoding = SignatureEncoding::Base64,
          .secret = SecretForm::Whsec,
          .signed_before_body = "{id}.{time}.",
          .timestamp_header = "webhook-timestamp",
          .id_header = "webhook-id",
          .event_headers = event_headers};
}

// GitHub: docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
// Gitea: docs.gitea.com/usage/webhooks; Forgejo: forgejo.org/docs/latest/user/webhooks
// GitLab: docs.gitlab.com/user/project/integrations/webhooks
// Standard Webhooks: github.com/standard-webhooks/standard-webhooks
// Slack: api.slack.com/authentication/verifying-requests-from-slack, api.slack.com/apis/events-api
// Stripe: docs.stripe.com/webhooks#verify-manually, docs.stripe.com/api/events/object
constexpr SignatureScheme kSchemes[] = {
    {.name = "github",
     .signature_header = "x-hub-signature-256",
     .prefix = "sha256=",
     .id_header = "x-github-delivery",
     .event_headers = kGitHubHeaders},
    {.name = "gitea",
     .signature_header = "x-gitea-signature",
     .id_header = "x-gitea-delivery",
     .event_headers = kGiteaHeaders},
    {.name = "forgejo",
     .signature_header = "x-forgejo-signature",
     .id_header = "x-forgejo-delivery",
     .event_headers = kForgejoHeaders},
    {.name = "gitlab",
     .signature_header = "x-gitlab-token",
     .algorithm = SignatureAlgorithm::PlainToken,
     .id_header = "idempotency-key",
     .event_headers = kGitLabHeaders},
    standard_webhooks("gitlab-signed", kGitLabHeaders),
    standard_webhooks("standard", kStandardHeaders),
    {.name = "slack",
     .signature_header = "x-slack-signature",
     .prefix = "v0=",
     .signed_before_body = "v0:{time}:",
     .timestamp_header = "x-slack-request-timestamp",
     .id_member = "event_id",
     .event_headers = kSlackHeaders},
    {.name = "stripe",
     .signature_header = "stripe-signature",
     .form = HeaderForm::CommaPairs,
     .prefix = "v1=",
     .signed_before_body = "{time}.",
     .id_member = "id",
     .event_headers = kStripeHeaders},
};

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

std::string signed_text(const SignatureScheme& scheme, const Given& given) {
  std::string text;
  for (auto rest = scheme.signed_before_body; !rest.empty();) {
    if (rest.starts_with("{time}")) {
      text += given.time;
      rest.remove_prefix(6);
    } else if (rest.starts_with("{id}")) {
      text += given.id;
      rest.remove_prefix(4);
    } else {
      text += rest.front();
      rest.remove_prefix(1);
    }
  }
  return text;
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
                               std::string_view before, std::string_view body) {
  if (scheme.algorithm == SignatureAlgorithm::PlainToken) return secret.reveal();
  auto digest = hmac_sha256(key_of(scheme, secret).reveal(), {before, body});
  return scheme.encoding == SignatureEncoding::Hex ? hex_encode(bytes_of(digest))
                                                   : base64_encode(bytes_of(digest));
}

bool equal_signatures(const SignatureScheme& scheme, std::string_view a, std::string_view b) {
  // A plain token is hashed first, so that its length does not show either.
  if (scheme.algorithm == SignatureAlgorithm::PlainToken) {
    return equal_in_constant_time(bytes_of(sha256(a)), bytes_of(sha256(b)));
  }
  return equal_in_constant_time(a, b);
}

}  // namespace

std::span<const SignatureScheme> signature_schemes() { return kSchemes; }

const SignatureScheme* find_signature_scheme(std::string_view name) {
  for (const auto& scheme : kSchemes) {
    if (scheme.name == name) return &scheme;
  }
  return nullptr;
}

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
                              int64_t now_ms) {
  TRY(auto given, read_signed_head(scheme, header, now_ms));
  auto before = signed_text(scheme, given);
  bool matches = false;
  for (const auto& secret : secrets) {
    // An empty secret would make every body signable by everybody.
    if (secret.empty()) continue;
    auto expected = expected_signature(scheme, secret, before, body);
    for (size_t i = 0; i < given.count; ++i) {
      if (equal_signatures(scheme, expected, given.signatures[i])) matches = true;
    }
  }
  if (!matches) {
    return refused(scheme, "AUT-0011",
                   fmt::format("the signature in header '{}' is wrong: check the secret on both "
                               "sides",
                               scheme.signature_header));
  }
  return {};
}

}  // namespace millrace::auth
