// SPDX-License-Identifier: Apache-2.0
#include "services/sensor/log_ring.h"

#include "base/text.h"

namespace millrace::sensor {

std::string_view to_string(Stream stream) {
  switch (stream) {
    case Stream::Stdout: return "stdout";
    case Stream::Stderr: return "stderr";
    case Stream::Server: return "server";
  }
  return "unknown";
}

namespace {

void hide_in(std::string& text, std::string_view secret) {
  constexpr std::string_view kMask = "********";
  constexpr size_t kShortestSecret = 4;
  if (secret.size() < kShortestSecret) return;
  for (size_t at = text.find(secret); at != text.npos; at = text.find(secret, at + kMask.size())) {
    text.replace(at, secret.size(), kMask);
  }
}

}  // namespace

void LogRing::put(Stream stream, std::string text, int64_t now_ms) {
  for (const auto& secret : secrets_) hide_in(text, secret);
  bytes_ += text.size();
  lines_.push_back({++last_, now_ms, stream, std::move(text)});
  while (bytes_ > kMostBytes || lines_.size() > kMostLines) {
    bytes_ -= lines_.front().text.size();
    lines_.pop_front();
  }
}

void LogRing::add(Stream stream, std::string_view bytes, int64_t now_ms) {
  std::string& part = part_[static_cast<size_t>(stream)];
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    auto line = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    part += line;
    while (part.size() > kLongestLine) {
      put(stream, part.substr(0, kLongestLine), now_ms);
      part.erase(0, kLongestLine);
    }
    if (end == std::string_view::npos) break;
    if (part.ends_with('\r')) part.pop_back();
    put(stream, std::move(part), now_ms);
    part.clear();
  }
}

void LogRing::finish(int64_t now_ms) {
  for (Stream stream : {Stream::Stdout, Stream::Stderr}) {
    std::string& part = part_[static_cast<size_t>(stream)];
    if (!part.empty()) put(stream, std::move(part), now_ms);
    part.clear();
  }
}

std::vector<LogLine> LogRing::last(size_t most, int64_t after) const {
  size_t begin = lines_.size();
  while (begin > 0 && lines_.size() - begin < most && lines_[begin - 1].number > after) --begin;
  return {lines_.begin() + static_cast<std::ptrdiff_t>(begin), lines_.end()};
}

std::string LogRing::last_words() const {
  for (Stream wanted : {Stream::Stderr, Stream::Stdout}) {
    for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
      if (line->stream == Stream::Server) break;  // what stands before is of an earlier start
      if (line->stream == wanted && !trim(line->text).empty()) return line->text;
    }
  }
  return {};
}

}  // namespace millrace::sensor
