// SPDX-License-Identifier: Apache-2.0
#include "net/sse.h"

#include "base/text.h"

namespace millrace::net {

void append_sse_event(std::string& out, std::string_view id, std::string_view event,
                      std::string_view data) {
  auto field = [&](std::string_view name, std::string_view value) {
    out += name;
    out += ": ";
    out += value;
    out += '\n';
  };
  if (!id.empty()) field("id", id);
  if (!event.empty()) field("event", event);
  while (true) {  // a lone CR ends a line too
    size_t end = std::min(data.find_first_of("\r\n"), data.size());
    field("data", data.substr(0, end));
    if (end == data.size()) break;
    data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
  out += '\n';
}

bool SseParser::feed(std::string_view piece, const std::function<void(const SseEvent&)>& on_event) {
  for (char c : piece) {
    bool ends_crlf = after_cr_ && c == '\n';
    after_cr_ = c == '\r';
    if (ends_crlf) continue;
    if (c == '\r' || c == '\n') {
      take_line(line_, on_event);
      line_.clear();
    } else if (line_.size() + current_.data.size() >= max_event_bytes_) {
      return false;
    } else {
      line_ += c;
    }
  }
  return true;
}

void SseParser::take_line(std::string_view line,
                          const std::function<void(const SseEvent&)>& on_event) {
  if (line.empty()) {
    if (has_data_) on_event(current_);
    has_data_ = false;
    current_.event.clear();
    current_.data.clear();
    return;
  }
  size_t colon = std::min(line.find(':'), line.size());
  std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "id" && value.find('\0') == std::string_view::npos) current_.id = value;
  if (name == "event") current_.event = value;
  if (name == "data") {
    if (has_data_) current_.data += '\n';
    current_.data += value;
    has_data_ = true;
  }
}

}  // namespace millrace::net
