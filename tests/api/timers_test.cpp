// SPDX-License-Identifier: Apache-2.0
// Timers as objects.
#include <fmt/format.h>

#include "api_fixture.h"
#include "base/json.h"

namespace millrace::api {
namespace {

class TimerRoutes : public ApiTest {
 protected:
  Answer write(const std::string& ref, int minutes = 10) {
    return post(
        "/api/v1/rules",
        fmt::format(R"({{"ref":"{}","trigger":{{"ref":"core.intervaltimer","parameters":)"
                    R"({{"unit":"minutes","interval":{}}}}},"action":{{"ref":"core.noop"}}}})",
                    ref, minutes));
  }
};

TEST_F(TimerRoutes, ATimerIsSharedByRulesAndTellsWhenItFires) {
  auto made = write("ci.a");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.data()["next_fires"].size(), 5u) << made.text;
  EXPECT_EQ(made.data()["next_fires"].as_list()[0], Value("2026-01-01T00:10:00.000Z"));
  ASSERT_EQ(write("ci.b").status, 201);
  ASSERT_EQ(write("ci.c", 7).status, 201);
  auto list = get("/api/v1/timers");
  ASSERT_EQ(list.data().size(), 2u) << list.text;
  auto shown = get("/api/v1/timers/ci.b");
  ASSERT_EQ(shown.status, 200) << shown.text;
  EXPECT_EQ(to_json(shown.data()["rules"]), R"(["ci.a","ci.b"])");
  EXPECT_EQ(shown.data()["schedule"], Value("every 10 minutes"));
  EXPECT_EQ(shown.data()["state"], Value("running"));
  EXPECT_EQ(shown.data()["next"], Value("2026-01-01T00:10:00.000Z"));
  EXPECT_EQ(shown.data()["next_fires"].size(), 5u);
  EXPECT_EQ(shown.data()["next_fires"].as_list()[4], Value("2026-01-01T00:50:00.000Z"));
  auto by_name = get("/api/v1/timers/" + std::string(shown.data().string_or("name", "")));
  EXPECT_EQ(by_name.text, shown.text);
  auto unknown = get("/api/v1/timers/ci.aa");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_NE(unknown.text.find("did you mean 'ci.a'"), std::string::npos) << unknown.text;
}

TEST_F(TimerRoutes, IsFiredPausedAndResumedByWhoMay) {
  ASSERT_EQ(write("ci.a").status, 201);
  auto fired = post("/api/v1/timers/ci.a/fire", "");
  ASSERT_EQ(fired.status, 200) << fired.text;
  auto event = get("/api/v1/events/" + std::string(fired.data().string_or("event", "")));
  EXPECT_EQ(event.data()["trigger"], Value("core.intervaltimer")) << event.text;
  auto paused = post("/api/v1/timers/ci.a/pause", "");
  EXPECT_EQ(paused.data()["state"], Value("paused")) << paused.text;
  EXPECT_TRUE(paused.data()["next"].is_null());
  EXPECT_EQ(post("/api/v1/timers/ci.a/pause", "").status, 200);
  auto resumed = post("/api/v1/timers/ci.a/resume", "");
  EXPECT_EQ(resumed.data()["state"], Value("running"));
  EXPECT_EQ(resumed.data()["next"], Value("2026-01-01T00:10:00.000Z"));
  auto reads = token("timers:read");
  EXPECT_EQ(send("GET", "/api/v1/timers/ci.a", {}, bearer(reads)).status, 200);
  EXPECT_EQ(send("POST", "/api/v1/timers/ci.a/pause", {}, bearer(reads)).status, 403);
  EXPECT_EQ(send("GET", "/api/v1/timers", {}, bearer(token("rules:read"))).status, 403);
}

TEST_F(TimerRoutes, AFiringIsNotRepeatedUnderItsKey) {
  ASSERT_EQ(write("ci.a").status, 201);
  Lines key = {{"Idempotency-Key", "k"}};
  auto first = send("POST", "/api/v1/timers/ci.a/fire", {}, key);
  auto again = send("POST", "/api/v1/timers/ci.a/fire", {}, key);
  EXPECT_EQ(first.text, again.text);
  EXPECT_NE(post("/api/v1/timers/ci.a/fire", "").text, first.text);
}

TEST_F(TimerRoutes, ARuleTellsWhatTheTimerThatItJoinsDoes) {
  ASSERT_EQ(write("ci.a").status, 201);
  now_ms_ += 4 * 60'000;
  auto joins = write("ci.b");
  ASSERT_EQ(joins.status, 201) << joins.text;
  EXPECT_EQ(joins.data()["next_fires"].as_list()[0], Value("2026-01-01T00:10:00.000Z"));
  EXPECT_FALSE(get("/api/v1/timers").data().as_list()[0].find("next_fires"));
  ASSERT_EQ(post("/api/v1/timers/ci.a/pause", "").status, 200);
  auto later = write("ci.c");
  ASSERT_EQ(later.status, 201) << later.text;
  EXPECT_EQ(later.data()["state"], Value("paused")) << later.text;
  EXPECT_FALSE(later.data().find("next_fires")) << later.text;
  EXPECT_EQ(get("/api/v1/rules/ci.a").data()["state"], Value("paused"));
  EXPECT_EQ(get("/api/v1/rules").data().as_list()[0]["state"], Value("paused"));
}

TEST_F(TimerRoutes, OneWhoseRulesAreOffSaysSo) {
  ASSERT_EQ(write("ci.a").status, 201);
  EXPECT_EQ(post("/api/v1/rules/ci.a/disable", "").status, 200);
  auto shown = get("/api/v1/timers/ci.a");
  EXPECT_EQ(shown.data()["state"], Value("disabled")) << shown.text;
  EXPECT_TRUE(shown.data()["next"].is_null());
  auto fired = post("/api/v1/timers/ci.a/fire", "");
  EXPECT_EQ(fired.status, 409) << fired.text;
  EXPECT_NE(fired.text.find("RUL-0113"), std::string::npos) << fired.text;
}

}  // namespace
}  // namespace millrace::api
