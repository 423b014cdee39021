// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/value.h"

// The lines of JSON between the server and a sensor; told in sdk/python/README.md, "One sensor".
namespace millrace::sensor {

inline constexpr size_t kLongestLine = 2 << 20;

// What a sensor says.
struct Ready {};
struct Dispatch {
  int64_t seq = 0;
  std::string trigger;
  Value payload;
  std::string id;         // of what it saw: the same one makes no second event
  std::string trace_tag;  // a W3C traceparent, or it is not kept
};
struct Stopped {
  std::string reason;
};
using Said = std::variant<Ready, Dispatch, Stopped>;

// Errors: Invalid, SEN-0001.
Result<Said> read_line(std::string_view line);

std::string ack_line(int64_t seq);
std::string nack_line(int64_t seq, std::string_view why);
// `kind`: trigger_added, trigger_updated, trigger_removed.
std::string trigger_line(std::string_view kind, const Value& trigger);
std::string stop_line();

// Cuts what comes into lines.
class LineBuffer {
 public:
  void append(std::string_view bytes) { bytes_ += bytes; }
  // The next whole line without its end, valid until the next call.
  std::optional<std::string_view> next();
  // No line may be that long.
  bool is_too_long() const { return bytes_.size() - begin_ > kLongestLine; }

 private:
  std::string bytes_;
  size_t begin_ = 0;
};

}  // namespace millrace::sensor
