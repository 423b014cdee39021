// SPDX-License-Identifier: Apache-2.0
#include "services/api/cloudevents.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"

namespace millrace::api {
namespace {

std::shared_ptr<const engine::TenantCatalog> catalog() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "ci";
  for (const char* ref : {"ci.push", "core.cloudevent"}) {
    Trigger trigger;
    trigger.ref = ref;
    pack->triggers.push_back(trigger);
  }
  return engine::Catalog().with_packs(kDefaultTenant, {pack})->shared(kDefaultTenant);
}

Result<std::vector<engine::NewEvent>> read(std::string_view type, std::string body,
                                           std::vector<net::Headers::Line> headers = {}) {
  net::HttpRequest request;
  if (!type.empty()) request.headers.add("Content-Type", type);
  for (const auto& [name, value] : headers) request.headers.add(name, value);
  request.body = std::move(body);
  return read_cloudevents(request, *catalog());
}

constexpr std::string_view kStructured = "application/cloudevents+json; charset=utf-8";
constexpr std::string_view kBatch = "application/cloudevents-batch+json";

std::string problems_of(const Result<std::vector<engine::NewEvent>>& events) {
  if (events.ok()) return "ok";
  std::string text = events.error().code();
  for (const auto& problem : events.error().problems()) {
    text += "; " + problem.path + ": " + problem.message;
  }
  return text;
}

TEST(CloudEvents, TheTypeNamesTheTrigger) {
  auto events = read(kStructured, R"({"specversion":"1.0","id":"1","source":"/s","type":"ci.push",)"
                                  R"("data":{"a":[1]}})");
  ASSERT_TRUE(events.ok()) << events.error().describe();
  ASSERT_EQ(events->size(), 1u);
  const auto& event = events->front();
  EXPECT_EQ(event.trigger, "ci.push");
  EXPECT_EQ(event.source, "/s");
  EXPECT_EQ(event.source_id, "1");
  EXPECT_EQ(event.type, "ci.push");
  EXPECT_EQ(event.payload_json, R"({"a":[1]})");
  EXPECT_EQ(to_json(event.payload), event.payload_json);
}

TEST(CloudEvents, ABodyThatWouldBeReadAsSomethingElseIsRefused) {
  const std::string event = R"({"specversion":"1.0","id":"e1","source":"/a","type":"ci.push"})";
  EXPECT_EQ(problems_of(read(kStructured, "\xef\xbb\xbf" + event)), "ok");
  EXPECT_EQ(problems_of(read(kBatch, "\xef\xbb\xbf[" + event + "]")), "ok");
  auto refused = [](const Result<std::vector<engine::NewEvent>>& events) {
    return events.ok() ? "taken" : events.error().message();
  };
  EXPECT_EQ(refused(read(kStructured, event, {{"Content-Encoding", "br"}})),
            "expected a body without Content-Encoding, found 'br'");
  EXPECT_TRUE(refused(read("application/cloudevents+json; charset=shift_jis", event))
                  .starts_with("charset 'shift_jis': expected one of utf-8"));
  EXPECT_TRUE(refused(read("application/cloudevents+json; charset=utf-16", event))
                  .starts_with("invalid JSON"));
  EXPECT_EQ(refused(read("application/octet-stream", "x",
                         {{"Content-Encoding", "gzip"},
                          {"ce-specversion", "1.0"},
                          {"ce-id", "e1"},
                          {"ce-source", "/a"},
                          {"ce-type", "ci.push"}})),
            "expected a body without Content-Encoding, found 'gzip'");
}

TEST(CloudEvents, TheExtensionTriggerGoesBeforeTheType) {
  auto events = read(kStructured, R"({"specversion":"1.0","id":"1","source":"s","type":"com.x",)"
                                  R"("trigger":"ci.push"})");
  ASSERT_TRUE(events.ok()) << events.error().describe();
  EXPECT_EQ(events->front().trigger, "ci.push");
  EXPECT_EQ(events->front().type, "com.x");
  EXPECT_EQ(events->front().payload_json, "{}");
}

TEST(CloudEvents, AnEventThatNamesNoTriggerComesWhole) {
  auto events = read(kStructured, R"({"specversion":"1.0","id":"1","source":"s","type":"com.x",)"
                                  R"("subject":"u","data":5})");
  ASSERT_TRUE(events.ok()) << events.error().describe();
  EXPECT_EQ(events->front().trigger, "core.cloudevent");
  EXPECT_EQ(to_json(events->front().trigger_parameters), R"({"source":"s","type":"com.x"})");
  EXPECT_EQ(events->front().payload["subject"], Value("u"));
  EXPECT_EQ(events->front().payload["data"], Value(5));
}

TEST(CloudEvents, AMisspeltTriggerIsRefusedWithTheNearest) {
  EXPECT_EQ(problems_of(read(kStructured, R"({"specversion":"1.0","id":"1","source":"s",)"
                                          R"("type":"x","trigger":"ci.psuh"})")),
            "API-0050; /trigger: unknown trigger 'ci.psuh' (did you mean 'ci.push'?)");
}

TEST(CloudEvents, AllMissingAttributesAreTold) {
  EXPECT_EQ(problems_of(read(kStructured, R"({"id":7})")),
            "API-0050; /specversion: expected 1.0, found ''; /id: expected string, found integer; "
            "/source: missing; /type: missing");
}

TEST(CloudEvents, ABatchTellsWhichEventIsWrong) {
  EXPECT_EQ(problems_of(read(kBatch, R"([{"specversion":"1.0","id":"1","source":"s","type":"t"},)"
                                     R"({"specversion":"1.0","id":"2","source":"s"}])")),
            "API-0050; /1/type: missing");
  EXPECT_EQ(problems_of(read(kBatch, "{}")), "API-0050; : expected array");
}

TEST(CloudEvents, ABatchMayBeEmptyAndIsBounded) {
  auto none = read(kBatch, "[]");
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
  std::string many = "[0";
  for (size_t i = 0; i < kLargestBatch; ++i) many += ",0";
  EXPECT_EQ(problems_of(read(kBatch, many + "]")),
            "API-0050; : expected at most 1000 events, found 1001");
}

TEST(CloudEvents, BinaryModeTakesAttributesFromHeaders) {
  auto events = read(
      "application/json", R"({"a":1})",
      {{"ce-specversion", "1.0"}, {"CE-Id", "a%20b"}, {"ce-source", "s"}, {"ce-type", "ci.push"}});
  ASSERT_TRUE(events.ok()) << events.error().describe();
  EXPECT_EQ(events->front().source_id, "a b");
  EXPECT_EQ(events->front().trigger, "ci.push");
  EXPECT_EQ(events->front().payload_json, R"({"a":1})");
}

TEST(CloudEvents, BinaryDataThatIsNoJsonIsTextOrBase64) {
  std::vector<net::Headers::Line> headers = {
      {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "s"}, {"ce-type", "ci.push"}};
  EXPECT_EQ(read("text/plain", "hi", headers)->front().payload_json, R"("hi")");
  EXPECT_EQ(read("image/png", "\xFF", headers)->front().payload_json, R"({"base64":"/w=="})");
}

TEST(CloudEvents, Base64DataIsDecoded) {
  auto events = read(kStructured, R"({"specversion":"1.0","id":"1","source":"s","type":"ci.push",)"
                                  R"("data_base64":"aGk="})");
  ASSERT_TRUE(events.ok());
  EXPECT_EQ(events->front().payload_json, R"("hi")");
  EXPECT_EQ(problems_of(read(kStructured, R"({"specversion":"1.0","id":"1","source":"s",)"
                                          R"("type":"ci.push","data":1,"data_base64":"aGk="})")),
            "API-0050; /data_base64: stands beside data: only one may");
}

// The same event in its two forms is one event.
TEST(CloudEvents, Base64DataIsReadByItsContentType) {
  auto both = [](std::string_view type, std::string bytes) {
    auto structured =
        read(kStructured, fmt::format(R"({{"specversion":"1.0","id":"1","source":"s","type":"x",)"
                                      R"("datacontenttype":"{}","data_base64":"{}"}})",
                                      type, base64_encode(bytes)));
    auto binary =
        read(type, bytes,
             {{"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "s"}, {"ce-type", "x"}});
    EXPECT_EQ(structured.ok(), binary.ok()) << type;
    if (!structured.ok() || !binary.ok()) return std::string("refused");
    auto left = structured->front().payload, right = binary->front().payload;
    EXPECT_EQ(left, right) << to_json(left) << '\n' << to_json(right);
    return to_json(left["data"]);
  };
  EXPECT_EQ(both("application/json", "{\"a\":1}"), R"({"a":1})");
  EXPECT_EQ(both("application/vnd.x+json", "\xEF\xBB\xBF[1]"), "[1]");
  EXPECT_EQ(both("application/json; charset=iso-8859-1", "\"M\xfc\""), "\"M\xc3\xbc\"");
  EXPECT_EQ(both("text/plain; charset=iso-8859-1", "M\xfc"), "\"M\xc3\xbc\"");
  EXPECT_EQ(both("text/plain", "\xEF\xBB\xBFhi"), "\"hi\"");
  EXPECT_EQ(both("application/octet-stream", "\xff"), R"({"base64":"/w=="})");
  EXPECT_EQ(both("application/json", ""), "null");
  EXPECT_EQ(both("application/json", "{"), "refused");
  EXPECT_EQ(both("text/plain; charset=utf-8", "\xff"), "refused");
  EXPECT_EQ(both("text/plain; charset=klingon", "x"), "refused");
}

TEST(CloudEvents, OtherContentIsUnsupportedAndBadJsonTellsWhere) {
  EXPECT_EQ(problems_of(read("application/json", "{}")), "API-0051");
  auto bad = read(kStructured, "{\n  oops");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().kind(), ErrorKind::Invalid);
  EXPECT_NE(bad.error().message().find("line 2"), std::string::npos) << bad.error().message();
}

TEST(CloudEvents, AttributesInHeadersAreKeptOrRefused) {
  auto subject = [](std::vector<net::Headers::Line> more, std::string type = "text/plain",
                    std::string body = {}) {
    std::vector<net::Headers::Line> headers = {
        {"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "s"}, {"ce-type", "other"}};
    headers.insert(headers.end(), more.begin(), more.end());
    auto events = read(type, std::move(body), headers);
    if (!events.ok()) return problems_of(events);
    const auto& payload = events->front().payload;
    return std::string(payload.string_or("subject", "")) + '|' + to_json(payload["data"]);
  };
  EXPECT_EQ(subject({{"ce-subject", "Euro%20%E2%82%AC"}}), "Euro €|null");
  EXPECT_EQ(subject({{"ce-subject", "Euro €"}}), "Euro €|null");
  EXPECT_EQ(subject({{"ce-subject", R"("a \"b\" %41")"}}), R"(a "b" A|null)");
  EXPECT_EQ(subject({{"ce-subject", "\""}}), "\"|null");
  EXPECT_EQ(subject({{"ce-subject", "M\xfcnchen"}}),
            "API-0050; ce-subject: expected UTF-8 text, percent-encoded");
  EXPECT_EQ(subject({{"ce-subject", "M%FCnchen"}}),
            "API-0050; ce-subject: expected UTF-8 text, percent-encoded");
  EXPECT_EQ(subject({{"ce-subject", "%ED%A0%80"}}),  // a lone surrogate
            "API-0050; ce-subject: expected UTF-8 text, percent-encoded");
  EXPECT_EQ(subject({{"ce-subject", "50%"}}), "API-0050; ce-subject: a broken percent escape");
  EXPECT_EQ(subject({{"ce-subject", "a"}, {"CE-Subject", "b"}}),
            "API-0050; ce-subject: stands twice: only one may");
  EXPECT_EQ(subject({{"ce-data", "x"}}, "text/plain", "y"),
            "API-0050; ce-data: is no header: the data is the body, its type the Content-Type");
  EXPECT_EQ(subject({{"ce-data_base64", "eA=="}}).substr(0, 24), "API-0050; ce-data_base64");
  EXPECT_EQ(subject({{"CE-DataContentType", "text/html"}}).substr(0, 28),
            "API-0050; ce-datacontenttype");
  EXPECT_EQ(subject({}, "text/plain", " \n"), "|\" \\n\"");
  EXPECT_EQ(subject({}, "application/json", " \n"), "|null");
  EXPECT_EQ(subject({}, "text/plain", "\xEF\xBB\xBFhi"), "|\"hi\"");
  EXPECT_EQ(subject({}, "application/octet-stream", "\xEF\xBB\xBFhi"), "|\"\xEF\xBB\xBFhi\"");
  EXPECT_EQ(subject({}, "text/\xfc", "hi"),
            "API-0050; Content-Type: expected UTF-8, found other bytes");
  EXPECT_EQ(subject({}, "text/plain; charset=utf-8", "M\xc3\xbcnchen"), "|\"München\"");
  EXPECT_EQ(subject({}, "text/plain; charset=iso-8859-1", "M\xfcnchen"), "|\"München\"");
}

TEST(CloudEvents, TheTypeOfABodyIsKeptButForItsCharset) {
  auto type_of = [](const std::string& type) {
    auto events =
        read(type, "x",
             {{"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "s"}, {"ce-type", "t"}});
    if (!events.ok()) return problems_of(events);
    return std::string(events->front().payload.string_or("datacontenttype", ""));
  };
  EXPECT_EQ(type_of("multipart/mixed; boundary=\"A b\""), "multipart/mixed; boundary=\"A b\"");
  EXPECT_EQ(type_of("text/plain; charset=latin1; format=flowed"), "text/plain");
  EXPECT_EQ(type_of("TEXT/Plain"), "TEXT/Plain");
}

// One attribute more, or another value of it, in each mode: whether it is taken or its problem.
std::vector<std::string> with_attribute(const std::string& name, const std::string& json) {
  auto parsed = parse_json(json);
  Value map = Value::map({{"specversion", "1.0"}, {"id", "1"}, {"source", "/s"}, {"type", "t"}});
  map.set(name, *parsed);
  std::vector<std::string> said;
  said.push_back(problems_of(read(kStructured, to_json(map))));
  said.push_back(problems_of(read(kBatch, "[" + to_json(map) + "]")));
  if (!parsed->is_string() || name.starts_with("data")) return said;
  std::vector<std::pair<std::string, std::string>> lines;
  for (const auto& [key, value] : map.as_map()) {
    lines.emplace_back(fmt::format("ce-{}", key.as_string()),
                       net::percent_encode(value.as_string()));
  }
  said.push_back(problems_of(read("text/plain", "x", {lines.begin(), lines.end()})));
  return said;
}

TEST(CloudEvents, EachAttributeHasTheFormOfTheSpecification) {
  struct Case {
    std::string name;
    std::vector<std::string> good, bad;
  };
  for (const auto& [name, good, bad] : std::initializer_list<Case>{
           {"time",
            {R"("2018-04-05T17:31:00Z")", R"("2018-04-05T17:31:00.123456+02:00")", "null"},
            {R"("yesterday")", R"("")", R"("2018-04-05")", R"("2018-13-05T17:31:00Z")",
             R"("2018-02-30T17:31:00Z")", R"("2018-04-05T17:31:00")", "5", "{}"}},
           {"subject", {R"("a b")", R"("ü")", "null"}, {R"("")", "5", "{}", R"("a\u0001")"}},
           {"source",
            {R"("urn:x:1")", R"("a/b?c#d")", R"("/a%20b")"},
            {R"("")", R"("a b")", R"("/%zz")", R"("ü")", R"("1:a")", "null", "5"}},
           {"dataschema",
            {R"("https://x/y#z")", "null"},
            {R"("")", R"("rel")", R"("not a uri")", "3", "[]"}},
           {"datacontenttype",
            {R"("application/json")", R"("text/plain; charset=utf-8")", "null"},
            {R"("nonsense")", R"("")", R"("a b/c")", "7"}},
           {"id", {R"("x y")"}, {R"("")", "null", "1"}},
           {"type", {R"("x y")"}, {R"("")", "null", "1"}},
           {"ext1",
            {R"("")", R"("x")", "1", "-2147483648", "2147483647", "true", "null"},
            {"{}", "[]", "1.5", "2147483648", "1e30", R"("a\n")"}},
           {"sequencetypeofevents1", {R"("x")"}, {}},  // they only should not exceed 20
           {std::string(65, 'a'), {}, {R"("x")"}},
           {"foo_bar", {}, {R"("x")"}},
           {"foo-bar", {}, {R"("x")", "null"}},
           {"ü", {}, {R"("x")"}},
           {"", {}, {R"("x")"}},
       }) {
    for (const auto& value : good) {
      for (const auto& said : with_attribute(name, value)) {
        EXPECT_EQ(said, "ok") << name << " " << value;
      }
    }
    for (const auto& value : bad) {
      for (const auto& said : with_attribute(name, value)) {
        EXPECT_TRUE(said.starts_with("API-0050; ")) << name << " " << value << ": " << said;
        EXPECT_TRUE(said.contains(name.substr(0, 64) + ": ")) << name << " " << value << said;
        EXPECT_EQ(said.find(';'),
                  said.rfind("; /") == said.npos ? said.rfind("; ce-") : said.rfind("; /"))
            << "told once: " << said;
      }
    }
  }
  // A name of JSON is not folded as one of a header is.
  EXPECT_TRUE(problems_of(read(kStructured, R"({"specversion":"1.0","id":"1","source":"s",)"
                                            R"("type":"t","Subject":"x"})"))
                  .starts_with("API-0050; /Subject: expected a name"));
  EXPECT_EQ(problems_of(read(kBatch, "[1]")).substr(0, 30), "API-0050; /0: expected object;");
  EXPECT_EQ(problems_of(read(
                "nonsense", "x",
                {{"ce-specversion", "1.0"}, {"ce-id", "1"}, {"ce-source", "s"}, {"ce-type", "t"}})),
            "API-0050; Content-Type: expected a media type such as application/json, found "
            "\"nonsense\"");
}

TEST(CloudEvents, NobodySpeaksAsTheServer) {
  auto with_source = [](std::string_view source) {
    return problems_of(
        read(kStructured, fmt::format(R"({{"specversion":"1.0","id":"1","source":"{}",)"
                                      R"("type":"ci.push"}})",
                                      source)));
  };
  for (std::string source : {"webhook:ci", "WebHook:ci", " webhook:ci", "timer:core.crontimer",
                             "execution:1", "rule:ci.x", "millrace:x", "webhook:"}) {
    EXPECT_TRUE(with_source(source).starts_with("API-0050; /source: ")) << source;
    EXPECT_TRUE(with_source(source).contains("/source: '")) << source;
  }
  for (std::string source : {"webhook", "webhooks:ci", "https://webhook:80/", "millrace-cli",
                             "/timer:1", "executions"}) {
    EXPECT_EQ(with_source(source), "ok") << source;
  }
}

}  // namespace
}  // namespace millrace::api
