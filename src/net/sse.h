// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace millrace::net {

struct SseEvent {
  std::string id;     // the last id that was given, also by an earlier event
  std::string event;  // "" is "message"
  std::string data;
};

// One server-sent event (HTML Living Standard 9.2); `id` and `event` may be empty, and must hold
// no line ends. `data` may have many lines.
void append_sse_event(std::string& out, std::string_view id, std::string_view event,
                      std::string_view data);

// Reads such a stream from pieces of any size. Comments and `retry` are skipped.
class SseParser {
 public:
  // False when an event grows beyond `max_event_bytes`: the stream is then of no use.
  bool feed(std::string_view piece, const std::function<void(const SseEvent&)>& on_event);
  void set_max_event_bytes(size_t bytes) { max_event_bytes_ = bytes; }

 private:
  void take_line(std::string_view line, const std::function<void(const SseEvent&)>& on_event);

  size_t max_event_bytes_ = 16 << 20;
  std::string line_;
  bool after_cr_ = false;
  bool has_data_ = false;
  SseEvent current_;
};

}  // namespace millrace::net
