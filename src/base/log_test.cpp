// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/json.h"

namespace millrace {
namespace {

// Takes the lines of the process's log for the length of a test.
class Log : public testing::Test {
 protected:
  void open(LogFormat format, LogLevel level = LogLevel::Info) {
    auto take = [this](std::string_view line) { lines_.emplace_back(line); };
    ASSERT_TRUE(open_log({.level = level, .format = format, .file = {}, .capture = take}).ok());
  }
  ~Log() override {
    EXPECT_TRUE(open_log({.level = LogLevel::Warn, .format = LogFormat::Text}).ok());
  }

  std::vector<std::string> lines_;
};

TEST_F(Log, JsonLineCarriesTimeLevelEventAndFields) {
  open(LogFormat::Json);
  log_info("execution.started", {{"execution", ExecutionId{42}},
                                 {"attempt", 2},
                                 {"ratio", 0.5},
                                 {"adopted", true},
                                 {"note", "a\n\"b\" {}"}});
  ASSERT_EQ(lines_.size(), 1U);
  auto line = parse_json(lines_[0]);
  ASSERT_TRUE(line.ok()) << lines_[0];
  Value fields = *line;
  EXPECT_EQ((*line)["time"].size(), std::string_view("2026-01-01T00:00:00.000Z").size());
  fields.mutable_map().erase("time");
  EXPECT_EQ(to_json(fields),
            R"({"level":"info","event":"execution.started","execution":"42","attempt":2,)"
            R"("ratio":0.5,"adopted":true,"note":"a\n\"b\" {}"})");
}

TEST_F(Log, ErrorAddsCodeMessageAndProblems) {
  open(LogFormat::Json);
  Error error(ErrorKind::Invalid, "X-0001", "bad input");
  log_error("request.failed", std::move(error).with_problem("/a", "missing"), {{"id", 1}});
  auto line = parse_json(lines_.at(0));
  ASSERT_TRUE(line.ok());
  EXPECT_EQ((*line)["code"], Value("X-0001"));
  EXPECT_EQ((*line)["error"], Value("bad input"));
  EXPECT_EQ((*line)["problems"].as_list().at(0)["path"], Value("/a"));
}

TEST_F(Log, TextStaysOnOneLine) {
  open(LogFormat::Text);
  log_warn("a.b", {{"plain", "x"}, {"spaced", "x y\nz"}});
  EXPECT_EQ(lines_.at(0).substr(24), R"( warn  a.b plain=x spaced="x y\nz")");
}

TEST_F(Log, EventsBelowTheLevelAreDropped) {
  open(LogFormat::Text, LogLevel::Warn);
  log_info("a.b");
  EXPECT_TRUE(lines_.empty());
  set_log_level(LogLevel::Debug);
  log_debug("a.b");
  EXPECT_EQ(lines_.size(), 1U);
}

TEST(LogFile, AnUnusableFileIsAnErrorThatNamesIt) {
  auto opened = open_log({.file = "/proc/no/such.log"});
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message().find("/proc/no/such.log"), std::string::npos);
}

}  // namespace
}  // namespace millrace
