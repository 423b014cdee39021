// SPDX-License-Identifier: Apache-2.0
#include "cli/follow.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "base/json.h"
#include "base/text.h"
#include "cli/stdout.h"

namespace millrace::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(30);
constexpr auto kPause = std::chrono::milliseconds(300);

struct Following {
  const OnOutput& on_output;
  AtDecision at_decision;
  std::string status;  // of the end; "" until then
  Clock::time_point last_sign = Clock::now();

  bool take(const net::SseEvent& event);
  void take_end(const Value& data);
};

void Following::take_end(const Value& data) {
  status = data.string_or("status", "");
  if (auto dropped = data.int_or("dropped", 0); dropped > 0) {
    on_output("note", fmt::format("{} bytes of output went beyond the cap and are lost", dropped));
  }
}

// False when there is no reason to go on.
bool Following::take(const net::SseEvent& event) {
  last_sign = Clock::now();
  auto parsed = parse_json(event.data, kOwnJson);
  if (!parsed.ok()) return true;
  const auto& data = *parsed;
  if (event.event == "end") {
    take_end(data);
    return false;
  }
  if (event.event == "needs_decision" && at_decision == AtDecision::Stop) {
    status = event.event;
    return false;
  }
  if (event.event == "needs_decision") {
    on_output("note", data.string_or("held", ""));
  } else if (event.event == "attempt") {
    on_output("note", fmt::format("attempt {} begins", data.int_or("attempt", 0)));
  } else if (event.event == "gap") {
    on_output("note", fmt::format("{}: bytes {} to {} came too fast to follow",
                                  data.string_or("stream", ""), data.int_or("from", 0),
                                  data.int_or("to", 0)));
  } else if (event.event == "output") {
    on_output(data.string_or("stream", "stdout"), bytes_of(data));
  }
  return stdout_is_written().ok();
}

}  // namespace

Result<std::string> follow_output(Session& session, const std::string& execution,
                                  const std::string& streams, AtDecision at_decision,
                                  const OnOutput& on_output) {
  auto path = path_of("/api/v1/executions", execution, "/output?follow=true&stream=" + streams);
  Following following{on_output, at_decision, "", Clock::now()};
  for (std::string position;;) {
    auto ended = session.stream(path, position, [&](const auto& e) { return following.take(e); });
    if (!following.status.empty()) return following.status;
    TRY(stdout_is_written());
    bool may_return = ended.ok() || ended.error().kind() == ErrorKind::Unavailable ||
                      ended.error().kind() == ErrorKind::Timeout ||
                      ended.error().kind() == ErrorKind::Busy;
    if (!may_return) return std::move(ended).error();
    if (Clock::now() - following.last_sign > kPatience) {
      if (!ended.ok()) return std::move(ended).error();
      return Error(ErrorKind::Unavailable, "CLI-0005", "the output ended before the execution");
    }
    std::this_thread::sleep_for(kPause);
    // The folder's files may not be there again yet.
    if (auto found = session.find_again(); !found.ok()) continue;
  }
}

std::string bytes_of(const Value& piece) {
  std::string bytes(piece.string_or("data", ""));
  std::string decoded;
  bool is_binary = piece.string_or("encoding", "") == "base64";
  return is_binary && base64_decode(bytes, decoded) ? decoded : bytes;
}

void print_output(std::string_view stream, std::string_view bytes) {
  if (stream == "stdout") return write_stdout(bytes);
  if (stream == "note") {
    return tell(fmt::format("[{}]\n", bytes));
  }
  tell(bytes);
}

}  // namespace millrace::cli
