// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <gtest/gtest.h>

#include "net/sse.h"
#include "net/url.h"

namespace millrace::net {
namespace {

TEST(Coding, PercentDecodingIsTheInverseOfEncoding) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  std::string decoded;
  ASSERT_TRUE(percent_decode(percent_encode(all), false, decoded));
  EXPECT_EQ(decoded, all);
  EXPECT_EQ(percent_encode("a b/ü~"), "a%20b%2F%C3%BC~");
  for (const char* bad : {"%", "%4", "%4g", "a%"}) {
    EXPECT_FALSE(percent_decode(bad, false, decoded)) << bad;
  }
}

TEST(Query, KeepsOrderAndRepeatedNames) {
  std::vector<std::pair<std::string, std::string>> query;
  ASSERT_TRUE(parse_query("a=1&&b=x%3Dy&a=2&c", query));
  EXPECT_EQ(query, (std::vector<std::pair<std::string, std::string>>{
                       {"a", "1"}, {"b", "x=y"}, {"a", "2"}, {"c", ""}}));
}

// Before anything is made of them: two bytes would become a hundred.
TEST(Query, MoreFieldsThanAnybodySendsAreRefused) {
  auto fields = [](size_t n) {
    std::string text = "a";
    for (size_t i = 1; i < n; ++i) text += "&a";
    return text;
  };
  std::vector<std::pair<std::string, std::string>> query;
  EXPECT_TRUE(parse_query(fields(10'000), query));
  EXPECT_EQ(query.size(), 10'000U);
  EXPECT_EQ(query_fields(fields(10'001)), 10'001U);
  std::vector<std::pair<std::string, std::string>> untouched;
  EXPECT_FALSE(parse_query(fields(10'001), untouched));
  EXPECT_EQ(untouched.capacity(), 0U);
  EXPECT_FALSE(parse_query(std::string(10'000, '&'), query)) << "empty ones are read too";
  EXPECT_TRUE(parse_query("", query));
  EXPECT_TRUE(parse_query("&a&", query));
  EXPECT_EQ(query, (std::vector<std::pair<std::string, std::string>>{{"a", ""}}));
}

TEST(Response, ProblemCarriesCodeAndDetail) {
  auto response = HttpResponse::problem(404, Error(ErrorKind::NotFound, "X-1", "no rule 'a'"));
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(response.body, R"({"type":"about:blank","title":"Not Found","status":404,"code":"X-1",)"
                           R"("detail":"no rule 'a'"})");
  response.header("X-One", "1").header("X-Two", "2");
  EXPECT_EQ(response.find_header("x-two"), "2");
}

std::vector<std::string> events_of(const std::vector<std::string>& pieces) {
  SseParser parser;
  std::vector<std::string> events;
  for (const auto& piece : pieces) {
    EXPECT_TRUE(parser.feed(
        piece, [&](const SseEvent& e) { events.push_back(e.id + "|" + e.event + "|" + e.data); }));
  }
  return events;
}

TEST(Sse, EventsRoundTripInPiecesOfAnySize) {
  std::string stream;
  append_sse_event(stream, "7", "output", "line 1\nline 2");
  append_sse_event(stream, "", "", "x\r\n: y\rz");
  std::vector<std::string> expected{"7|output|line 1\nline 2", "7||x\n: y\nz"};
  EXPECT_EQ(events_of({stream}), expected);
  std::vector<std::string> bytes;
  for (char c : stream) bytes.emplace_back(1, c);
  EXPECT_EQ(events_of(bytes), expected);
}

TEST(Sse, CommentsEmptyEventsAndUnknownFieldsAreSkipped) {
  EXPECT_EQ(events_of({": ping\n\nretry: 5\n\ndata:a\r\ndata\r\n\r\nevent: e\rdata: b\r\r"}),
            (std::vector<std::string>{"||a\n", "|e|b"}));
}

TEST(Sse, AnEventWithoutEndIsRefused) {
  SseParser parser;
  parser.set_max_event_bytes(10);
  EXPECT_FALSE(parser.feed("data: 0123456789", [](const SseEvent&) {}));
}

TEST(Url, PartsAreTakenApart) {
  auto url = parse_url("HTTPS://example.org?x=1#frag");
  ASSERT_TRUE(url.ok());
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/?x=1");
  EXPECT_EQ(url->authority(), "example.org");
  auto v6 = parse_url("http://[::1]:8080/a");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->authority(), "[::1]:8080");
  for (const char* bad :
       {"", "example.org", "ftp://x", "http://", "http://u:p@h/", "http://h:0/", "http://h:99999/",
        "http://h:8x/", "http://h/a b", "http://h/\r\nX: y", "http://[[]]/", "http://[h]/",
        "http://[::1/", "http://[::1]8080/", "http://[]/", "http://a[b/", "http://::1/"}) {
    EXPECT_FALSE(parse_url(bad).ok()) << bad;
  }
  EXPECT_EQ(parse_url("http://me:secret@h/").error().message().find("secret"), std::string::npos);
}

TEST(Url, LocationsAreResolvedAgainstTheirBase) {
  Url base = *parse_url("http://h:8080/a/b?q=1");
  auto target_of = [&](std::string_view location) {
    auto url = resolve_url(base, location);
    return url.ok() ? url->authority() + url->target : url.error().message();
  };
  EXPECT_EQ(target_of("/x?y"), "h:8080/x?y");
  EXPECT_EQ(target_of("c"), "h:8080/a/c");
  EXPECT_EQ(target_of("//other/z"), "other/z");
  EXPECT_EQ(target_of("https://other/"), "other/");
  EXPECT_FALSE(base.same_server(*resolve_url(base, "https://h:8080/")));
}

}  // namespace
}  // namespace millrace::net
