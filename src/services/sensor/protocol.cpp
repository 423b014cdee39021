// SPDX-License-Identifier: Apache-2.0
#include "services/sensor/protocol.h"

#include <fmt/format.h>

#include "base/excerpt.h"
#include "base/json.h"

namespace millrace::sensor {
namespace {

Error no_line(std::string_view why) {
  return Error(ErrorKind::Invalid, "SEN-0001", fmt::format("a line of its protocol: {}", why));
}

std::string text_of(const Value& value) {
  return value.is_string() ? std::string(value.as_string()) : std::string();
}

}  // namespace

Result<Said> read_line(std::string_view line) {
  auto parsed = parse_json(line);
  if (!parsed.ok()) return no_line(parsed.error().message());
  const Value& said = *parsed;
  if (!said.is_map()) return no_line("expected a JSON object");
  auto type = said.string_or("type", "");
  if (type == "ready") return Said(Ready{});
  if (type == "stopped") return Said(Stopped{text_of(said["reason"])});
  if (type != "event") {
    return no_line(fmt::format("expected 'type' ready, event or stopped, found {}",
                               json_excerpt(said["type"], 40)));
  }
  Dispatch event{.seq = said.int_or("seq", 0),
                 .trigger = text_of(said["trigger"]),
                 .payload = said["payload"],
                 .id = text_of(said["id"]),
                 .trace_tag = text_of(said["trace_tag"])};
  // StackStorm's takes the map that add_trigger was given, too.
  if (said["trigger"].is_map()) event.trigger = text_of(said["trigger"]["ref"]);
  if (event.trigger.empty()) return no_line("an event: expected 'trigger', a ref");
  return Said(std::move(event));
}

std::string ack_line(int64_t seq) { return fmt::format("{{\"type\":\"ack\",\"seq\":{}}}\n", seq); }

std::string nack_line(int64_t seq, std::string_view why) {
  return to_json(Value::map({{"type", "nack"}, {"seq", seq}, {"error", std::string(why)}})) + '\n';
}

std::string trigger_line(std::string_view kind, const Value& trigger) {
  return to_json(Value::map({{"type", std::string(kind)}, {"trigger", trigger}})) + '\n';
}

std::string stop_line() { return "{\"type\":\"stop\"}\n"; }

std::optional<std::string_view> LineBuffer::next() {
  size_t end = bytes_.find('\n', begin_);
  if (end == bytes_.npos) {
    bytes_.erase(0, begin_);
    begin_ = 0;
    return std::nullopt;
  }
  auto line = std::string_view(bytes_).substr(begin_, end - begin_);
  begin_ = end + 1;
  return line;
}

}  // namespace millrace::sensor
