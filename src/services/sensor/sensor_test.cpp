// SPDX-License-Identifier: Apache-2.0
// The pure parts: pauses, lines, what is kept of a log.
#include <gtest/gtest.h>

#include "base/json.h"
#include "services/sensor/backoff.h"
#include "services/sensor/log_ring.h"
#include "services/sensor/protocol.h"

namespace millrace::sensor {
namespace {

TEST(Backoff, GrowsToItsLimitAndBeginsAnewAfterALongRun) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(0, 0), 500);
  EXPECT_EQ(backoff.next(0, 0), 1'000);
  EXPECT_EQ(backoff.next(10, 0), 2'000);
  for (int i = 0; i < 100; ++i) backoff.next(0, 0);
  EXPECT_EQ(backoff.next(0, 0), Backoff::kMostMs / 2);
  EXPECT_LE(backoff.next(0, 0.999), Backoff::kMostMs);
  EXPECT_EQ(backoff.next(Backoff::kLongRunMs, 0), 500);
}

TEST(Backoff, ChanceIsWithinTheSecondHalf) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(0, 0.5), 750);
  backoff.reset();
  EXPECT_EQ(backoff.ends(), 0);
}

std::string kind_of(std::string_view line) {
  auto said = read_line(line);
  if (!said.ok()) return said.error().message();
  if (std::get_if<Ready>(&*said)) return "ready";
  if (auto* stopped = std::get_if<Stopped>(&*said)) return "stopped " + stopped->reason;
  const auto& event = std::get<Dispatch>(*said);
  return event.trigger + " " + std::to_string(event.seq) + " " + to_json(event.payload) + " " +
         event.id;
}

TEST(Protocol, ReadsWhatASensorSays) {
  EXPECT_EQ(kind_of(R"({"type":"ready"})"), "ready");
  EXPECT_EQ(kind_of(R"({"type":"stopped","reason":"stop"})"), "stopped stop");
  EXPECT_EQ(kind_of(R"({"type":"event","seq":7,"trigger":"a.b","payload":{"x":1},"id":"k"})"),
            R"(a.b 7 {"x":1} k)");
  EXPECT_EQ(kind_of(R"({"type":"event","seq":1,"trigger":{"ref":"a.b.0"}})"), "a.b.0 1 null ");
}

TEST(Protocol, SaysWhatIsWrongWithALine) {
  EXPECT_EQ(kind_of("[]"), "a line of its protocol: expected a JSON object");
  EXPECT_EQ(kind_of(R"({"type":"event","seq":1})"),
            "a line of its protocol: an event: expected 'trigger', a ref");
  EXPECT_EQ(kind_of(R"({"type":7})"),
            "a line of its protocol: expected 'type' ready, event or stopped, found 7");
  EXPECT_TRUE(kind_of("{").starts_with("a line of its protocol: "));
}

TEST(Protocol, SaysItsOwnLines) {
  EXPECT_EQ(ack_line(3), "{\"type\":\"ack\",\"seq\":3}\n");
  EXPECT_EQ(nack_line(3, "no \"x\""), "{\"type\":\"nack\",\"seq\":3,\"error\":\"no \\\"x\\\"\"}\n");
  EXPECT_EQ(trigger_line("trigger_added", Value::map({{"ref", "a.b"}})),
            "{\"type\":\"trigger_added\",\"trigger\":{\"ref\":\"a.b\"}}\n");
}

TEST(LineBuffer, CutsWhateverThePiecesAre) {
  LineBuffer buffer;
  buffer.append("one\ntw");
  EXPECT_EQ(buffer.next(), "one");
  EXPECT_FALSE(buffer.next());
  buffer.append("o\n\nthree");
  EXPECT_EQ(buffer.next(), "two");
  EXPECT_EQ(buffer.next(), "");
  EXPECT_FALSE(buffer.next());
  EXPECT_FALSE(buffer.is_too_long());
  buffer.append(std::string(kLongestLine + 1, 'x'));
  EXPECT_TRUE(buffer.is_too_long());
}

TEST(LogRing, KeepsTheLastLinesAndHidesSecrets) {
  LogRing log;
  log.hide({"open-sesame", "abc"});
  log.add(Stream::Stdout, "the key is open-", 1);
  log.add(Stream::Stdout, "sesame, not abc\r\nnext", 2);
  log.add(Stream::Stderr, "oops\n", 3);
  log.finish(4);
  auto lines = log.last(10);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].text, "the key is ********, not abc") << "three bytes are no secret";
  EXPECT_EQ(lines[1].text, "oops");
  EXPECT_EQ(lines[2].text, "next");
  EXPECT_EQ(log.last_words(), "oops");
  EXPECT_EQ(log.last(10, 2).size(), 1u);
  EXPECT_EQ(log.last(1).front().number, 3);
}

TEST(LogRing, IsBounded) {
  LogRing log;
  for (int i = 0; i < 10'000; ++i) log.add(Stream::Stdout, std::string(1'000, 'x') + "\n", i);
  auto lines = log.last(100'000);
  EXPECT_LE(lines.size() * 1'000, LogRing::kMostBytes);
  EXPECT_EQ(lines.back().number, 10'000);
  log.add(Stream::Stdout, std::string(3 * LogRing::kLongestLine, 'y'), 1);
  EXPECT_EQ(log.last(1).front().text.size(), LogRing::kLongestLine);
}

TEST(LogRing, LastWordsAreOfTheLastStart) {
  LogRing log;
  log.add(Stream::Stderr, "an old fault\n", 1);
  log.say("is started", 2);
  EXPECT_EQ(log.last_words(), "");
}

}  // namespace
}  // namespace millrace::sensor
