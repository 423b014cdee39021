// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::sensor {

enum class Stream : uint8_t { Stdout, Stderr, Server };
std::string_view to_string(Stream stream);

// `Server`: what the server says of the sensor, between its own lines.
struct LogLine {
  int64_t number = 0;  // of this sensor, from 1; what is missing in between has been dropped
  int64_t time_ms = 0;
  Stream stream = Stream::Stdout;
  std::string text;
};

// The last lines of one sensor, its secrets hidden. In memory: another server does not have them.
class LogRing {
 public:
  static constexpr size_t kMostBytes = 256 << 10;
  static constexpr size_t kMostLines = 2'000;
  static constexpr size_t kLongestLine = 4 << 10;  // the rest stands on the next one

  void hide(std::vector<std::string> secrets) { secrets_ = std::move(secrets); }
  // Bytes as they come.
  void add(Stream stream, std::string_view bytes, int64_t now_ms);
  // What stands in no whole line yet becomes one.
  void finish(int64_t now_ms);
  void say(std::string_view line, int64_t now_ms) {
    put(Stream::Server, std::string(line), now_ms);
  }

  // The last `most` lines with a number above `after`, in order.
  std::vector<LogLine> last(size_t most, int64_t after = 0) const;
  // The last words on stderr, or else on stdout: what people are told when it dies.
  std::string last_words() const;

 private:
  void put(Stream stream, std::string text, int64_t now_ms);

  std::vector<std::string> secrets_;
  std::string part_[2];
  std::deque<LogLine> lines_;
  size_t bytes_ = 0;
  int64_t last_ = 0;
};

}  // namespace millrace::sensor
