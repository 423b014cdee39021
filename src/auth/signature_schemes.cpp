// SPDX-License-Identifier: Apache-2.0
#include "auth/signature.h"

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
constexpr std::string_view kBitbucketHeaders[] = {
    "x-event-key",      "x-hook-uuid",  "x-request-uuid", "x-request-id",
    "x-attempt-number", "content-type", "user-agent"};
constexpr std::string_view kPagerDutyHeaders[] = {"x-webhook-id", "x-webhook-subscription",
                                                  "content-type", "user-agent"};
constexpr std::string_view kTwilioHeaders[] = {"i-twilio-idempotency-token", "content-type",
                                               "user-agent"};
constexpr std::string_view kShopifyHeaders[] = {
    "x-shopify-topic",    "x-shopify-shop-domain",  "x-shopify-api-version", "x-shopify-webhook-id",
    "x-shopify-event-id", "x-shopify-triggered-at", "content-type",          "user-agent"};

// Several senders sign by this one specification.
constexpr SignatureScheme standard_webhooks(std::string_view name,
                                            std::span<const std::string_view> event_headers) {
  return {.name = name,
          .signature_header = "webhook-signature",
          .form = HeaderForm::SpaceList,
          .prefix = "v1,",
          .encoding = SignatureEncoding::Base64,
          .secret = SecretForm::Whsec,
          .signed_text = "{id}.{time}.{body}",
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
// Bitbucket: support.atlassian.com/bitbucket-cloud/docs/manage-webhooks
// PagerDuty: developer.pagerduty.com/docs/verifying-webhook-signatures
// Twilio: twilio.com/docs/usage/webhooks/webhooks-security
// Shopify: shopify.dev/docs/apps/build/webhooks/subscribe/https
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
     .signed_text = "v0:{time}:{body}",
     .timestamp_header = "x-slack-request-timestamp",
     .id_member = "event_id",
     .event_headers = kSlackHeaders},
    {.name = "stripe",
     .signature_header = "stripe-signature",
     .form = HeaderForm::CommaPairs,
     .prefix = "v1=",
     .signed_text = "{time}.{body}",
     .id_member = "id",
     .event_headers = kStripeHeaders},
    {.name = "bitbucket",
     .signature_header = "x-hub-signature",
     .prefix = "sha256=",
     .id_header = "x-request-uuid",
     .event_headers = kBitbucketHeaders},
    {.name = "pagerduty",
     .signature_header = "x-pagerduty-signature",
     .form = HeaderForm::CommaPairs,
     .prefix = "v1=",
     .id_member = "event.id",
     .event_headers = kPagerDutyHeaders},
    {.name = "twilio",
     .signature_header = "x-twilio-signature",
     .encoding = SignatureEncoding::Base64,
     .algorithm = SignatureAlgorithm::HmacSha1,
     .signed_text = "{url}{form}",
     .body_hash_parameter = "bodySHA256",
     .id_header = "i-twilio-idempotency-token",
     .event_headers = kTwilioHeaders},
    {.name = "shopify",
     .signature_header = "x-shopify-hmac-sha256",
     .encoding = SignatureEncoding::Base64,
     .id_header = "x-shopify-webhook-id",
     .event_headers = kShopifyHeaders},
};

}  // namespace

std::span<const SignatureScheme> signature_schemes() { return kSchemes; }

const SignatureScheme* find_signature_scheme(std::string_view name) {
  for (const auto& scheme : kSchemes) {
    if (scheme.name == name) return &scheme;
  }
  return nullptr;
}

}  // namespace millrace::auth
