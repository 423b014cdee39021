// SPDX-License-Identifier: Apache-2.0
#include "auth/signature.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "auth/crypto.h"
#include "auth/signed_form.h"
#include "base/text.h"

namespace millrace::auth {
namespace {

using Headers = std::map<std::string, std::string, std::less<>>;

struct Delivery {
  std::string scheme;
  std::string source;  // where its maker publishes it; or ours, computed here
  std::string secret;
  std::string body;
  Headers headers;
  int64_t now_s = 0;
  std::string url;
};

Result<void> verify(const Delivery& d, std::vector<Secret> secrets) {
  auto lookup = [&](std::string_view name) -> std::string_view {
    auto found = d.headers.find(name);
    return found == d.headers.end() ? std::string_view() : found->second;
  };
  return verify_signature(*find_signature_scheme(d.scheme), lookup, d.body, secrets, d.now_s * 1000,
                          d.url);
}
Result<void> verify(const Delivery& d) { return verify(d, {Secret(d.secret)}); }

std::string code_of(const Result<void>& result) {
  return result.ok() ? "ok" : result.error().code();
}

std::string hmac_hex(std::string_view key, std::string_view text) {
  return hex_encode(bytes_of(hmac_sha256(key, {text})));
}
std::string hmac_base64(std::string_view key, std::string_view text) {
  return base64_encode(bytes_of(hmac_sha256(key, {text})));
}

constexpr const char* kOurs = "ours";
const Headers kForm = {{"content-type", "application/x-www-form-urlencoded"}};

Headers form_with(const std::string& signature) {
  Headers headers = kForm;
  headers["x-twilio-signature"] = signature;
  return headers;
}

// At least one valid delivery per scheme; where its maker publishes a vector, that one.
std::vector<Delivery> valid_deliveries() {
  const std::string body = R"({"test": 2432232314})";
  const Headers standard = {
      {"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
      {"webhook-timestamp", "1614265330"},
      {"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}};
  const std::string call =
      "Digits=1234&To=%2B18005551212&From=%2B14158675309&Caller=%2B14158675309"
      "&CallSid=CA1234567890ABCDE";
  return {
      {"github",
       "docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries",
       "It's a Secret to Everybody",
       "Hello, World!",
       {{"x-hub-signature-256",
         "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}},
      {"gitea", kOurs, "s", body, {{"x-gitea-signature", hmac_hex("s", body)}}},
      {"forgejo", kOurs, "s", body, {{"x-forgejo-signature", hmac_hex("s", body)}}},
      {"gitlab", kOurs, "tok", body, {{"x-gitlab-token", "tok"}}},
      {"gitlab-signed", "github.com/standard-webhooks/standard-webhooks, libraries/python/tests",
       "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body, standard, 1614265330},
      {"standard", "github.com/standard-webhooks/standard-webhooks, libraries/python/tests",
       "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body, standard, 1614265330},
      {"slack",
       "api.slack.com/authentication/verifying-requests-from-slack",
       "8f742231b10e8888abcd99yyyzzz85a5",
       "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
       "&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
       "&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
       "%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
       "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
       {{"x-slack-request-timestamp", "1531420618"},
        {"x-slack-signature",
         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}},
       1531420618},
      {"stripe",
       kOurs,
       "whsec_x",
       body,
       {{"stripe-signature",
         "t=1700000000,v1=" + hmac_hex("whsec_x", "1700000000." + body) + ",v0=00"}},
       1700000000},
      {"bitbucket",
       "support.atlassian.com/bitbucket-cloud/docs/manage-webhooks",
       "It's a Secret to Everybody",
       "Hello World!",
       {{"x-hub-signature",
         "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"}}},
      {"pagerduty",
       kOurs,
       "pd",
       body,
       {{"x-pagerduty-signature", "v1=00,v1=" + hmac_hex("pd", body)}}},
      {"twilio", "github.com/twilio/twilio-php, tests/Twilio/Unit/RequestValidatorTest.php",
       "12345", call, form_with("RSOYDt4T1cUTdK1PDd93/VVr8B8="), 0,
       "https://mycompany.com/myapp.php?foo=1&bar=2"},
      {"twilio",
       "github.com/twilio/twilio-php, tests/Twilio/Unit/RequestValidatorTest.php",
       "12345",
       R"({"property": "value", "boolean": true})",
       {{"content-type", "application/json"},
        {"x-twilio-signature", "a9nBmqA0ju/hNViExpshrM61xv4="}},
       0,
       "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256="
       "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"},
      {"twilio", "github.com/twilio/twilio-php: a field that is repeated counts once per value",
       "12345", "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
       form_with("IK+Dwps556ElfBT0I3Rgjkr1wJU="), 0, "https://mycompany.com/myapp.php?foo=1&bar=2"},
      {"shopify", kOurs, "shpss", body, {{"x-shopify-hmac-sha256", hmac_base64("shpss", body)}}},
  };
}

TEST(Signature, EachSchemeAcceptsItsValidDelivery) {
  std::set<std::string_view> schemes;
  auto deliveries = valid_deliveries();
  for (const auto& d : deliveries) {
    schemes.insert(d.scheme);
    EXPECT_FALSE(d.source.empty()) << d.scheme;
    EXPECT_EQ(code_of(verify(d)), "ok") << d.scheme << ": " << d.source;
  }
  EXPECT_EQ(schemes.size(), signature_schemes().size());
}

TEST(Signature, AChangedBodyIsRefused) {
  for (auto d : valid_deliveries()) {
    if (d.scheme == "gitlab") continue;  // a token, not a signature
    d.body += ' ';
    EXPECT_EQ(code_of(verify(d)), "AUT-0011") << d.scheme;
  }
}

// Behind a proxy the server does not see what the sender called: the endpoint says it.
TEST(Signature, WhoSignsTheUrlSignsAllOfIt) {
  for (auto d : valid_deliveries()) {
    if (!find_signature_scheme(d.scheme)->signs_url()) continue;
    d.url += "&more=1";
    EXPECT_EQ(code_of(verify(d)), "AUT-0011") << d.source;
    d.url = "http" + d.url.substr(5);
    EXPECT_EQ(code_of(verify(d)), "AUT-0011") << d.source;
  }
}

TEST(Signature, ABodyWhoseHashTheUrlHoldsIsNoEmptyForm) {
  for (auto d : valid_deliveries()) {
    if (d.url.find("bodySHA256") == std::string::npos) continue;
    d.headers["content-type"] = kForm.at("content-type");
    d.body.clear();
    EXPECT_EQ(code_of(verify(d)), "AUT-0011");
  }
  // And a body that is neither a form nor has its hash there is not signed.
  for (auto d : valid_deliveries()) {
    if (d.url.find("bodySHA256") != std::string::npos || d.url.empty()) continue;
    d.body.clear();
    d.headers["content-type"] = "text/plain";
    auto signature = hmac_sha1(d.secret, {d.url});
    d.headers["x-twilio-signature"] = base64_encode(signature);
    EXPECT_EQ(code_of(verify(d)), "AUT-0010");
  }
}

TEST(Signature, AFormIsSignedByItsFieldsInAnyOrder) {
  EXPECT_EQ(sorted_form("b=2&a=1&a=0&b=2&c"), "a0a1b2c");
  EXPECT_EQ(sorted_form("a=%2B1+2"), "a+1 2");
  EXPECT_EQ(sorted_form("a=%e2%82%AC&&"), "a\xe2\x82\xac");
  EXPECT_EQ(sorted_form(""), "");
  for (auto broken : {"a=%", "a=%2", "a=%zz", "%+1=a", "a=%-1"}) {
    EXPECT_EQ(sorted_form(broken), std::nullopt) << broken;
  }
  std::string many;
  for (int i = 0; i < 10'001; ++i) many += "a&";
  EXPECT_EQ(sorted_form(many), std::nullopt);
}

// What comes behind {body} would have to be copied with it.
TEST(Signature, TheBodyIsSignedLast) {
  for (const auto& scheme : signature_schemes()) {
    auto at = scheme.signed_text.find("{body}");
    bool is_last = at == std::string_view::npos || at + 6 == scheme.signed_text.size();
    EXPECT_TRUE(is_last) << scheme.name;
  }
}

TEST(Signature, AnotherSecretIsRefused) {
  for (const auto& d : valid_deliveries()) {
    EXPECT_EQ(code_of(verify(d, {Secret("other")})), "AUT-0011") << d.scheme;
    EXPECT_EQ(code_of(verify(d, {})), "AUT-0011") << d.scheme;
  }
}

TEST(Signature, BothActiveSecretsAreAccepted) {
  for (const auto& d : valid_deliveries()) {
    EXPECT_EQ(code_of(verify(d, {Secret("next"), Secret(d.secret)})), "ok") << d.scheme;
    EXPECT_EQ(code_of(verify(d, {Secret(d.secret), Secret("next")})), "ok") << d.scheme;
  }
}

TEST(Signature, NoHeaderIsNoSignature) {
  for (auto d : valid_deliveries()) {
    d.headers.erase(std::string(find_signature_scheme(d.scheme)->signature_header));
    EXPECT_EQ(code_of(verify(d)), "AUT-0010") << d.scheme;
  }
}

TEST(Signature, AnEmptySecretNeverMatches) {
  Delivery d{"github", kOurs, "", "x", {{"x-hub-signature-256", "sha256=" + hmac_hex("", "x")}}};
  EXPECT_EQ(code_of(verify(d)), "AUT-0011");
  Delivery token{"gitlab", kOurs, "", "x", {{"x-gitlab-token", ""}}};
  EXPECT_EQ(code_of(verify(token)), "AUT-0010");
}

TEST(Signature, ASignedTimeHoldsForFiveMinutes) {
  for (auto d : valid_deliveries()) {
    if (!find_signature_scheme(d.scheme)->signs_time()) continue;
    auto at = d.now_s;
    d.now_s = at + 300;
    EXPECT_EQ(code_of(verify(d)), "ok") << d.scheme;
    d.now_s = at + 301;
    EXPECT_EQ(code_of(verify(d)), "AUT-0012") << d.scheme;
    d.now_s = at - 301;
    EXPECT_EQ(code_of(verify(d)), "AUT-0012") << d.scheme;
  }
}

TEST(Signature, ATimeThatIsNoNumberIsRefused) {
  for (std::string time : {"", "soon", "-5", "99999999999999999999", "1614265330x"}) {
    auto deliveries = valid_deliveries();
    auto d = *std::ranges::find(deliveries, "standard", &Delivery::scheme);
    d.headers["webhook-timestamp"] = time;
    EXPECT_EQ(code_of(verify(d)), "AUT-0010") << time;
  }
}

TEST(Signature, AnotherIdOrTimeIsAnotherSignature) {
  auto deliveries = valid_deliveries();
  auto d = *std::ranges::find(deliveries, "standard", &Delivery::scheme);
  d.headers["webhook-id"] = "msg_other";
  EXPECT_EQ(code_of(verify(d)), "AUT-0011");
}

TEST(Signature, AnIdThatIsSignedMustBeThere) {
  for (auto d : valid_deliveries()) {
    const auto& scheme = *find_signature_scheme(d.scheme);
    if (!scheme.signs_id()) continue;
    d.headers.erase(std::string(scheme.id_header));
    std::string bytes;
    ASSERT_TRUE(base64_decode(std::string_view(d.secret).substr(6), bytes));
    auto before = fmt::format(".{}.", d.now_s);  // signed as if its id were the empty one
    d.headers["webhook-signature"] =
        "v1," + base64_encode(bytes_of(hmac_sha256(bytes, {before, d.body})));
    EXPECT_EQ(code_of(verify(d)), "AUT-0010") << d.scheme;
  }
}

TEST(Signature, OneOfSeveralSignaturesIsEnough) {
  auto deliveries = valid_deliveries();
  auto d = *std::ranges::find(deliveries, "standard", &Delivery::scheme);
  auto& header = d.headers["webhook-signature"];
  header = "v1,AAAA v1a,BBBB " + header;
  EXPECT_EQ(code_of(verify(d)), "ok");
}

TEST(Signature, OnlyTheFirstSignaturesAreCompared) {
  auto deliveries = valid_deliveries();
  auto d = *std::ranges::find(deliveries, "standard", &Delivery::scheme);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "v1,AAAA ";
  d.headers["webhook-signature"] = many + d.headers["webhook-signature"];
  EXPECT_EQ(code_of(verify(d)), "AUT-0011");
}

TEST(Signature, BodiesAreDedupedOnlyWhereASignatureHasNoTime) {
  auto needs = [](std::string_view name) {
    return find_signature_scheme(name)->needs_body_dedupe();
  };
  EXPECT_TRUE(needs("github"));
  EXPECT_TRUE(needs("gitea"));
  EXPECT_FALSE(needs("gitlab"));
  EXPECT_FALSE(needs("slack"));
  EXPECT_FALSE(needs("standard"));
  EXPECT_TRUE(needs("twilio"));
  EXPECT_TRUE(needs("pagerduty"));
}

// security.md L1: HMAC takes a key of NULs for the empty one, and then everybody can sign.
TEST(Signature, AKeyThatProvesNothingIsNotTaken) {
  const std::string strong = "0123456789abcdef";
  const std::string nuls(16, '\0');
  EXPECT_EQ(hmac_sha256(nuls, {"x"}), hmac_sha256("", {"x"}));
  for (const auto& scheme : signature_schemes()) {
    auto is_weak = [&](std::string_view secret) {
      return !weakness_of(scheme, Secret(std::string(secret))).empty();
    };
    EXPECT_FALSE(is_weak(strong)) << scheme.name;
    EXPECT_TRUE(is_weak("")) << scheme.name;
    EXPECT_TRUE(is_weak(std::string_view(strong).substr(1))) << scheme.name;
    EXPECT_TRUE(is_weak(nuls)) << scheme.name;
    EXPECT_TRUE(is_weak(std::string(40, ' '))) << scheme.name;
    if (scheme.secret != SecretForm::Whsec) continue;
    EXPECT_FALSE(is_weak("whsec_" + base64_encode(strong))) << scheme.name;
    EXPECT_TRUE(is_weak("whsec_" + base64_encode(strong.substr(1)))) << scheme.name;
    EXPECT_TRUE(is_weak("whsec_" + base64_encode(nuls))) << scheme.name;
    EXPECT_TRUE(is_weak("whsec_not base64, but long enough")) << scheme.name;
    EXPECT_TRUE(is_weak("whsec_")) << scheme.name;
  }
}

TEST(Signature, NoSchemeLetsCredentialsIntoTheEvent) {
  for (const auto& scheme : signature_schemes()) {
    for (auto header : scheme.event_headers) {
      EXPECT_NE(header, scheme.signature_header) << scheme.name;
      EXPECT_NE(header, "authorization") << scheme.name;
      EXPECT_EQ(header, to_lower_ascii(header)) << scheme.name;
    }
  }
}

}  // namespace
}  // namespace millrace::auth
