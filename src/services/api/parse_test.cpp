// SPDX-License-Identifier: Apache-2.0
#include "services/api/parse.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "services/api/cursor.h"
#include "services/api/output_follower.h"
#include "services/api/problem.h"

namespace millrace::api {
namespace {

TEST(Wait, TakesTimesWithUnits) {
  EXPECT_EQ(*parse_wait(""), 0);
  EXPECT_EQ(*parse_wait("0s"), 0);
  EXPECT_EQ(*parse_wait("250ms"), 250);
  EXPECT_EQ(*parse_wait("30s"), 30'000);
  EXPECT_EQ(*parse_wait("10m"), 600'000);
}

TEST(Wait, RefusesOtherTexts) {
  for (auto text : {"30", "s", "-1s", "11m", "601s", "1h", "30 s", "99999999999999999999s"}) {
    auto wait = parse_wait(text);
    ASSERT_FALSE(wait.ok()) << text;
    EXPECT_EQ(wait.error().problems()[0].path, "?wait") << text;
  }
}

TEST(WholeCharacters, LeaveAHalfCharacterOut) {
  EXPECT_EQ(whole_characters("abc"), "abc");
  EXPECT_EQ(whole_characters("a\xC3"), "a");
  EXPECT_EQ(whole_characters("a\xC3\xA9"), "a\xC3\xA9");
  EXPECT_EQ(whole_characters("a\xE2\x82"), "a");
  EXPECT_EQ(whole_characters("a\xF0\x9F\x98"), "a");
  EXPECT_EQ(whole_characters("a\xF0\x9F\x98\x80"), "a\xF0\x9F\x98\x80");
  EXPECT_EQ(whole_characters(""), "");
  // Not UTF-8 anyway: nothing to wait for.
  EXPECT_EQ(whole_characters("\x80\x80\x80\x80"), "\x80\x80\x80\x80");
}

TEST(Cursor, ReadsBackInItsList) {
  auto cursor = make_cursor("events", "12345678901234");
  EXPECT_EQ(cursor.find_first_of("+/="), std::string::npos);
  EXPECT_EQ(*open_id_cursor("events", cursor), 12345678901234);
  EXPECT_EQ(*open_cursor("events", cursor), "12345678901234");
  EXPECT_EQ(*open_id_cursor("events", ""), 0);
}

TEST(Cursor, OfAnotherListOrDamagedIsRefused) {
  auto cursor = make_cursor("events", "12");
  for (const std::string& bad : {make_cursor("rules", "12"), cursor + "x", std::string("12"),
                                 std::string("???"), make_cursor("events", "a")}) {
    auto opened = open_id_cursor("events", bad);
    ASSERT_FALSE(opened.ok()) << bad;
    EXPECT_EQ(opened.error().code(), "API-0002") << bad;
  }
}

TEST(OutputPosition, ReadsBack) {
  OutputPosition position{2, {10, 20}};
  EXPECT_EQ(position.text(), "2:10:20");
  auto again = OutputPosition::parse("2:10:20");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->text(), "2:10:20");
  for (auto bad : {"", "2", "2:10", "2:10:x", "-1:0:0", "1:2:3:4"}) {
    EXPECT_FALSE(OutputPosition::parse(bad).ok()) << bad;
  }
}

TEST(OutputPiece, BytesThatAreNoTextAreBase64) {
  std::string text, bytes;
  append_output_members(text, 5, "h\xC3\xA9");
  EXPECT_EQ(text, "\"from\":5,\"next\":8,\"encoding\":\"utf-8\",\"data\":\"h\xC3\xA9\"");
  append_output_members(bytes, 0, std::string_view("\xFF\x00", 2));
  EXPECT_EQ(bytes, R"("from":0,"next":2,"encoding":"base64","data":"/wA=")");
}

TEST(Problem, SaysWhatRfc9457Asks) {
  auto error = Error(ErrorKind::Invalid, "API-0040", "two \"faults\"")
                   .with_problem("/a", "missing")
                   .with_problem("/b", "wrong");
  auto response = problem(error, "req-1", 1'767'225'600'000);
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(response.body,
            R"({"type":"urn:millrace:error:API-0040","title":"Bad Request","status":400,)"
            R"("detail":"two \"faults\"","code":"API-0040","kind":"VALIDATION_FAILED",)"
            R"("timestamp":"2026-01-01T00:00:00.000Z","request_id":"req-1",)"
            R"("errors":[{"path":"/a","message":"missing"},{"path":"/b","message":"wrong"}]})");
}

TEST(Problem, OverloadSaysWhenToComeBack) {
  auto retry = [](ErrorKind kind, int64_t ms) {
    auto response = problem(Error(kind, "X-1", "x").with_retry_after(ms), "r", 0);
    return std::string(response.find_header("Retry-After"));
  };
  EXPECT_EQ(retry(ErrorKind::Busy, 1500), "2");
  EXPECT_EQ(retry(ErrorKind::Busy, 0), "1");
  EXPECT_EQ(retry(ErrorKind::Unavailable, 5000), "5");
  EXPECT_EQ(retry(ErrorKind::Conflict, 5000), "");
}

TEST(Problem, EachKindHasItsStatus) {
  auto status = [](ErrorKind kind) { return problem(Error(kind, "X-1", "x"), "r", 0).status; };
  EXPECT_EQ(status(ErrorKind::Unauthorized), 401);
  EXPECT_EQ(status(ErrorKind::Mismatch), 422);
  EXPECT_EQ(status(ErrorKind::Stale), 412);
  EXPECT_EQ(status(ErrorKind::Unsupported), 415);
  EXPECT_EQ(status(ErrorKind::TooLarge), 413);
  EXPECT_EQ(problem(Error(ErrorKind::Invalid, "X-1", "x"), "r", 0, 405).status, 405);
}

}  // namespace
}  // namespace millrace::api
