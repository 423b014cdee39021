// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fmt/format.h>
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

// DEL and C1 steer a terminal, the others let a line read as another one.
TEST_F(Log, WhatATerminalObeysIsEscaped) {
  std::vector<std::pair<std::string, std::string>> unseen = {{"\x7F", "\\u007f"},
                                                             {"\xD8\x9C", "\\u061c"}};
  for (int c = 0x80; c < 0xA0; ++c) {
    unseen.emplace_back(std::string("\xC2") + static_cast<char>(c), fmt::format("\\u{:04x}", c));
  }
  for (int c : {0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066,
                0x2067, 0x2068, 0x2069}) {
    std::string text = "\xE2";
    text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (c & 0x3F));
    unseen.emplace_back(text, fmt::format("\\u{:04x}", c));
  }
  for (auto format : {LogFormat::Json, LogFormat::Text}) {
    open(format);
    for (const auto& [raw, written] : unseen) {
      lines_.clear();
      log_warn("a.b", {{"name", "x" + raw}, {"last", raw}});
      log_warn("a.b", Error(ErrorKind::Invalid, "X-0001", raw).with_problem("/" + raw, raw));
      for (const auto& line : lines_) {
        EXPECT_FALSE(line.contains(raw)) << written;
        EXPECT_TRUE(line.contains(written)) << line;
        if (format == LogFormat::Json) EXPECT_TRUE(parse_json(line).ok()) << line;
      }
      if (format == LogFormat::Json) EXPECT_EQ((*parse_json(lines_[0]))["last"], Value(raw));
      if (format == LogFormat::Text) {
        EXPECT_TRUE(lines_[0].ends_with("name=\"x" + written + "\" last=\"" + written + "\""))
            << lines_[0];
      }
    }
  }
  // A single byte is C1 too where a terminal does not read UTF-8; and others are left alone.
  lines_.clear();
  log_warn("a.b", {{"bytes", "\x9B"}, {"text", "\u00A0\u00FC\u2027\u202F\u2065\u206A"}});
  EXPECT_FALSE(lines_[0].contains("=\x9B"));
  EXPECT_TRUE(lines_[0].ends_with(" text=\u00A0\u00FC\u2027\u202F\u2065\u206A")) << lines_[0];
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
