// SPDX-License-Identifier: Apache-2.0
#include "services/api/webhook_event.h"

#include <gtest/gtest.h>

#include "auth/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/commands.h"

namespace millrace::api {
namespace {

kernel::WebhookRow endpoint(std::string scheme) {
  kernel::WebhookRow row;
  row.name = "ci";
  row.scheme = std::move(scheme);
  row.trigger = "core.webhook";
  return row;
}

Result<engine::NewEvent> deliver(std::string scheme, std::string body,
                                 std::vector<net::Headers::Line> headers) {
  net::HttpRequest request;
  for (const auto& [name, value] : headers) request.headers.add(name, value);
  request.body = std::move(body);
  auto row = endpoint(scheme);
  return webhook_event(row, auth::find_signature_scheme(scheme), request);
}

TEST(WebhookEvent, KeepsTheBodyAsItCameAndOnlyAllowedHeaders) {
  auto event = deliver("github", "{ \"ref\": \"x\" }\n",
                       {{"Content-Type", "application/json"},
                        {"X-GitHub-Event", "push"},
                        {"X-GitHub-Delivery", "d1"},
                        {"X-Hub-Signature-256", "sha256=00"},
                        {"Authorization", "Bearer hush"},
                        {"Cookie", "hush"}});
  ASSERT_TRUE(event.ok()) << event.error().describe();
  EXPECT_EQ(event->payload_json,
            R"({"name":"ci","scheme":"github","headers":{"x-github-event":"push",)"
            R"("x-github-delivery":"d1","content-type":"application/json"},)"
            R"("delivery":"d1","body":{ "ref": "x" }})");
  EXPECT_EQ(event->payload, *parse_json(event->payload_json));
  EXPECT_EQ(event->trigger, "core.webhook");
  EXPECT_EQ(event->source, "webhook:ci");
  EXPECT_EQ(event->source_id, "d1");
  EXPECT_EQ(to_json(event->trigger_parameters), R"({"name":"ci"})");
}

TEST(WebhookEvent, StackStormsTriggerCallsTheEndpointUrl) {
  net::HttpRequest request;
  auto row = endpoint("token");
  row.trigger = "core.st2.webhook";
  auto event = webhook_event(row, nullptr, request);
  ASSERT_TRUE(event.ok()) << event.error().describe();
  EXPECT_EQ(to_json(event->trigger_parameters), R"({"url":"ci"})");
}

TEST(WebhookEvent, StackStormsTriggerReadsFormsAsListsAndHeadersAsItWritesThem) {
  net::HttpRequest request;
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.headers.add("X-GitHub-Event", "push");
  request.body = "a=Value&b=1&b=2&payload=%7B%7D";
  auto row = endpoint("github");
  row.trigger = "core.st2.webhook";
  auto event = webhook_event(row, auth::find_signature_scheme("github"), request);
  ASSERT_TRUE(event.ok()) << event.error().describe();
  EXPECT_EQ(to_json(event->payload["body"]), R"({"a":["Value"],"b":["1","2"],"payload":["{}"]})");
  EXPECT_EQ(event->payload["headers"]["X-Github-Event"].as_string(), "push");
}

// Rules of StackStorm read any header; one that may hold a credential is for nobody to read.
TEST(WebhookEvent, StackStormsTriggerHasAllHeadersButSecretOnes) {
  net::HttpRequest request;
  for (const char* name : {"X-GitHub-Event", "Host", "X-Custom", "Accept"}) {
    request.headers.add(name, "v");
  }
  for (const char* name :
       {"Authorization", "Cookie", "X-Auth-Token", "St2-Api-Key", "Proxy-Authorization",
        "Proxy-Connection", "X-Api-Key", "X-Hub-Signature", "X-Client-Secret", "X-Gitlab-Token"}) {
    request.headers.add(name, "hush");
  }
  request.headers.add("X-Odd", "\xff");
  auto row = endpoint("token");
  row.trigger = "core.st2.webhook";
  auto event = webhook_event(row, nullptr, request);
  ASSERT_TRUE(event.ok()) << event.error().describe();
  EXPECT_EQ(event->payload_json.find("hush"), std::string::npos) << event->payload_json;
  for (const char* name : {"X-Github-Event", "Host", "X-Custom", "Accept"}) {
    EXPECT_EQ(event->payload["headers"][name], Value("v")) << name;
  }
}

// What the sender has signed, in whatever way it is written.
TEST(WebhookEvent, ASignedFormIsTheSameHoweverItIsWritten) {
  auto hash = [](std::string body, std::string target = "/api/v1/webhooks/ci") {
    net::HttpRequest request;
    request.headers.add("Content-Type", "application/x-www-form-urlencoded");
    request.body = std::move(body);
    request.target = target;
    auto row = endpoint("twilio");
    row.url = "https://hooks.example.com/ci";
    auto event = webhook_event(row, auth::find_signature_scheme("twilio"), request);
    EXPECT_TRUE(event.ok()) << event.error().describe();
    return event.ok() ? event->body_hash : "";
  };
  auto first = hash("Body=hello&From=1");
  EXPECT_EQ(first.size(), 64u);
  for (const char* body : {"From=1&Body=hello", "Body=%68ello&From=1", "Body=hello&From=1&",
                           "Body=hello&From=1&From=1"}) {
    EXPECT_EQ(hash(body), first) << body;
  }
  EXPECT_NE(hash("Body=hello&From=2"), first);
  EXPECT_NE(hash("Body=hello&From=1", "/api/v1/webhooks/ci?a=1"), first);
}

TEST(WebhookEvent, TheBodysHashIsAKeyOnlyWhereNoTimeIsSigned) {
  std::string body = R"({"a":1})";
  auto hash = hex_encode(auth::bytes_of(auth::sha256(body)));
  EXPECT_EQ(deliver("github", body, {{"Content-Type", "application/json"}})->body_hash, hash);
  EXPECT_EQ(deliver("stripe", body, {{"Content-Type", "application/json"}})->body_hash, "");
  EXPECT_EQ(deliver("token", body, {{"Content-Type", "application/json"}})->body_hash, "");
}

TEST(WebhookEvent, WhoSignsATimeIsToldApartByItsOwnIdOrByTheBody) {
  const std::vector<net::Headers::Line> json = {{"Content-Type", "application/json"}};
  auto key_of = [&](std::string scheme, std::string body) {
    auto event = deliver(std::move(scheme), std::move(body), json);
    EXPECT_TRUE(event.ok()) << event.error().describe();
    EXPECT_EQ(event->sender, engine::Sender::Hook);
    return event->source_id;
  };
  EXPECT_EQ(key_of("stripe", R"({"id":"evt_1","type":"charge"})"), "evt_1");
  EXPECT_EQ(key_of("slack", R"({"event_id":"Ev1","event":{"id":"x"}})"), "Ev1");
  EXPECT_EQ(key_of("pagerduty", R"({"event":{"id":"01CHO","event_type":"x"}})"), "01CHO");
  EXPECT_EQ(key_of("pagerduty", R"({"event":["01CHO"]})"), "");
  for (std::string scheme : {"stripe", "slack"}) {
    for (std::string body : {R"({"a":1})", R"({"id":1,"event_id":2})", R"(["evt_1"])",
                             R"({"data":{"id":"x","event_id":"x"}})"}) {
      auto hash = "sha256:" + hex_encode(auth::bytes_of(auth::sha256(body)));
      EXPECT_EQ(key_of(scheme, body), hash) << scheme << ' ' << body;
    }
  }
  auto stripe = deliver("stripe", R"({"id":"evt_1"})", json);
  EXPECT_EQ(stripe->payload["delivery"], Value("evt_1"));
  EXPECT_EQ(stripe->payload, *parse_json(stripe->payload_json));
  auto longest = deliver("stripe", R"({"id":")" + std::string(257, 'x') + R"("})", json);
  EXPECT_EQ(longest.error().code(), "API-0060");
}

TEST(WebhookEvent, EachSchemeThatSignsATimeHasAKeyForEachDelivery) {
  for (const auto& scheme : auth::signature_schemes()) {
    if (!scheme.signs_time()) continue;
    std::vector<net::Headers::Line> headers = {{"Content-Type", "application/json"}};
    if (scheme.signs_id()) headers.emplace_back(scheme.id_header, "m1");
    auto event = deliver(std::string(scheme.name), R"({"a":1})", headers);
    ASSERT_TRUE(event.ok()) << scheme.name;
    EXPECT_FALSE(event->source_id.empty()) << scheme.name;
  }
}

TEST(WebhookEvent, AFormBecomesAMapAndGitHubsFormItsJson) {
  auto slack = deliver("slack", "token=t&text=a+b%21",
                       {{"Content-Type", "application/x-www-form-urlencoded"}});
  ASSERT_TRUE(slack.ok());
  EXPECT_EQ(to_json(slack->payload["body"]), R"({"token":"t","text":"a b!"})");
  auto github = deliver("github", "payload=%7B%22a%22%3A1%7D",
                        {{"Content-Type", "application/x-www-form-urlencoded"}});
  ASSERT_TRUE(github.ok());
  EXPECT_EQ(to_json(github->payload["body"]), R"({"a":1})");
  EXPECT_EQ(github->payload, *parse_json(github->payload_json));
}

// The body as it is stored, or why it is refused.
std::string body(std::string text, std::string type, std::string scheme = "token") {
  auto event = deliver(scheme, std::move(text), {{"Content-Type", type}});
  if (!event.ok()) return event.error().code() + " " + event.error().message();
  EXPECT_EQ(event->payload, *parse_json(event->payload_json));
  return to_json(event->payload["body"]);
}

// found.md 9: what comes in is what is stored, or it is refused.
TEST(WebhookEvent, ABodyIsReadAsItWasMeant) {
  const std::string form = "application/x-www-form-urlencoded";
  EXPECT_EQ(body("\xef\xbb\xbf{\"a\":1}", "application/json"), R"({"a":1})");
  EXPECT_EQ(body("\xef\xbb\xbf"
                 "a=1",
                 form),
            R"({"a":"1"})");
  EXPECT_EQ(body("", "application/json"), "null");
  EXPECT_EQ(body("payload=hello", form, "github"), R"({"payload":"hello"})");
  EXPECT_EQ(body("payload=%7B%22x%22:1e400%7D", form, "github").substr(0, 8), "BAS-0002");
  EXPECT_EQ(body("b=1&a=2&b=3&b=4", form), R"({"b":["1","3","4"],"a":"2"})");
  EXPECT_EQ(body("a=M%C3%BCller", form + "; charset=\"UTF-8\""), R"({"a":"Müller"})");
  EXPECT_EQ(body("a=M%FCller", form),
            "API-0060 the form's field 'a': expected utf-8 text, found the byte FC at byte 1");
  auto packed = deliver("github", "\x1f\x8b",
                        {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}});
  EXPECT_EQ(packed.error().message(), "expected a body without Content-Encoding, found 'gzip'");
  EXPECT_EQ(packed.error().kind(), ErrorKind::Unsupported);
}

// In the charset that it names, or refused with the name and those that are known.
TEST(WebhookEvent, ABodyIsReadInItsCharset) {
  const std::string form = "application/x-www-form-urlencoded";
  EXPECT_EQ(body("M\xfcnchen", "text/plain; Charset=ISO-8859-1"), "\"München\"");
  EXPECT_EQ(body("10 \x80", "text/plain; charset=windows-1252"), "\"10 €\"");
  EXPECT_EQ(body(std::string("\0h\0i", 4), "text/csv; charset=utf-16"), "\"hi\"");
  EXPECT_EQ(body(" {\"a\":\"M\xfc\"}", "application/json; charset=latin1", "github"),
            R"({"a":"Mü"})");
  EXPECT_EQ(body("{\"a\":\"ü\"}", "application/json; charset=utf8"), R"({"a":"ü"})");
  EXPECT_EQ(body("\xfc=M%FCller+%A4", form + "; charset=iso-8859-15"), R"({"ü":"Müller €"})");
  EXPECT_EQ(body("payload=%7B%22a%22%3A%22%FC%22%7D", form + "; charset=latin1", "github"),
            R"({"a":"ü"})");
  EXPECT_EQ(body("a=%EF%BB%BFx", form), "{\"a\":\"\xef\xbb\xbfx\"}") << "no mark of the body";
  EXPECT_EQ(body("", form + "; charset=latin1"), "null");
  // Unknown: 415 with what is known. Bytes that are no text in it: 400 with their place.
  for (const std::string& type :
       {std::string("text/plain"), std::string("application/json"), form}) {
    auto event = deliver("token", "a=1", {{"Content-Type", type + "; charset=shift_jis"}});
    ASSERT_FALSE(event.ok()) << type;
    EXPECT_EQ(event.error().kind(), ErrorKind::Unsupported) << type;
    EXPECT_TRUE(event.error().message().starts_with("charset 'shift_jis': expected one of utf-8"))
        << event.error().message();
  }
  EXPECT_EQ(body("a=1", form + "; charset=utf-16").substr(0, 8), "API-0061");
  EXPECT_EQ(body("M\xfcnchen", "text/plain"),
            "BAS-0013 expected utf-8 text, found the byte FC at byte 1");
  EXPECT_EQ(body("M\xfcnchen", "text/plain; charset=us-ascii"),
            "BAS-0013 expected us-ascii text, found the byte FC at byte 1");
}

TEST(WebhookEvent, AFormOfMoreFieldsThanAnybodySendsIsRefused) {
  std::string fields;
  for (int i = 0; i < 20'000; ++i) fields += "a&";
  EXPECT_EQ(body(fields, "application/x-www-form-urlencoded"),
            "API-0060 expected at most 10000 fields in a form, found 20001");
}

TEST(WebhookEvent, AnEmptyBodyIsNull) {
  auto event = deliver("token", "", {});
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(event->payload["body"], Value());
  EXPECT_EQ(event->payload, *parse_json(event->payload_json));
}

TEST(WebhookEvent, WhatItStoresCanBeParsedAgain) {
  std::string deepest = std::string(60, '[') + std::string(60, ']');
  auto event = deliver("github", deepest, {{"Content-Type", "application/json"}});
  ASSERT_TRUE(event.ok()) << event.error().describe();
  EXPECT_TRUE(parse_json(event->payload_json).ok());
  auto deeper = deliver("github", '[' + deepest + ']', {{"Content-Type", "application/json"}});
  EXPECT_FALSE(deeper.ok());
}

TEST(WebhookEvent, BadContentIsRefused) {
  EXPECT_EQ(deliver("github", "{", {{"Content-Type", "application/json"}}).error().code(),
            "BAS-0002");
  EXPECT_EQ(deliver("github", "x", {{"Content-Type", "image/png"}}).error().kind(),
            ErrorKind::Unsupported);
  std::string id(257, 'x');
  EXPECT_EQ(
      deliver("github", "{}", {{"Content-Type", "application/json"}, {"X-GitHub-Delivery", id}})
          .error()
          .code(),
      "API-0060");
}

}  // namespace
}  // namespace millrace::api
