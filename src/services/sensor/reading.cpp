// SPDX-License-Identifier: Apache-2.0
//
// What goes between a sensor and the loop: bytes, within bounds.
#include <fmt/format.h>

#include <cerrno>

#include "base/text.h"
#include "services/sensor/loop.h"

namespace millrace::sensor {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMostInput = 1 << 20;  // that a sensor has not read
constexpr int64_t kSecondMs = 1'000;

// -1: nothing is there now; 0: it is closed.
ssize_t read_once(const Fd& from, char* buffer) {
  for (;;) {
    ssize_t n = ::read(from.get(), buffer, kReadBytes);
    if (n >= 0 || errno != EINTR) return n < 0 && errno != EAGAIN ? 0 : n;
  }
}

}  // namespace

void Sensors::Loop::send(Life& life, std::string_view line) {
  // Who does not read is told no more; what it sends is bounded all the same.
  if (!life.process || !life.process->input ||
      life.input.size() + line.size() > kMostInput + kLongestLine) {
    return;
  }
  life.input += line;
  write_input(life);
}

void Sensors::Loop::write_input(Life& life) {
  while (!life.input.empty()) {
    ssize_t n = ::write(life.process->input.get(), life.input.data(), life.input.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      life.process->input.reset();
      life.input.clear();
      return;
    }
    life.input.erase(0, static_cast<size_t>(n));
  }
}

void Sensors::Loop::read_stream(Life& life, Fd& from, Stream stream) {
  char buffer[kReadBytes];
  if (!from || now_ < life.output_at) return;
  ssize_t n = read_once(from, buffer);
  if (n < 0) return;
  if (n == 0) return from.reset();
  life.status.last_sign_ms = outside_.now_ms();
  life.log.add(stream, {buffer, static_cast<size_t>(n)}, outside_.now_ms());
  if (now_ - life.output_second >= kSecondMs) {
    life.output_second = now_;
    life.output_bytes = 0;
  }
  life.output_bytes += n;
  // The rest of the second its pipe is full, and it waits.
  if (life.output_bytes >= limits_.output_per_s) life.output_at = life.output_second + kSecondMs;
}

// False: nothing more is there.
bool Sensors::Loop::read_lines(Life& life) {
  char buffer[kReadBytes];
  if (!life.process->lines) return false;
  ssize_t n = read_once(life.process->lines, buffer);
  if (n < 0) return false;
  if (n == 0) {
    life.process->lines.reset();
    return false;
  }
  life.status.last_sign_ms = outside_.now_ms();
  life.lines.append({buffer, static_cast<size_t>(n)});
  return true;
}

void Sensors::Loop::take_lines(Life& life, bool is_last) {
  if (life.held && (is_last || may_read_lines(life))) {
    auto event = std::exchange(life.held, {});
    hand_on(life, *std::move(event), is_last);
  }
  while (!life.held && (is_last || may_read_lines(life))) {
    auto line = life.lines.next();
    if (!line) break;
    take_line(life, *line, is_last);
  }
  if (!life.lines.is_too_long() || is_last || life.held || life.was_asked) return;
  life.reason = fmt::format("it wrote a line of more than {} bytes", kLongestLine);
  life.kill_at = now_;
}

void Sensors::Loop::take_line(Life& life, std::string_view line, bool is_last) {
  auto said = read_line(line);
  if (!said.ok()) {
    life.log.say(said.error().message(), outside_.now_ms());
    return;
  }
  if (auto* event = std::get_if<Dispatch>(&*said)) return hand_on(life, std::move(*event), is_last);
  if (const auto* stopped = std::get_if<Stopped>(&*said)) {
    life.reason = stopped->reason;
    return;
  }
  if (life.status.state == State::Starting) set_state(life, State::Running);
}

void Sensors::Loop::read_sensor(Life& life) {
  Process& process = *life.process;
  write_input(life);
  read_stream(life, process.output, Stream::Stdout);
  read_stream(life, process.errors, Stream::Stderr);
  if (may_read_lines(life) && !life.lines.is_too_long()) read_lines(life);
  take_lines(life, false);
  char words[64];
  ssize_t n = ::read(process.lifeline.get(), words, sizeof words);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  std::string how = n > 0 ? std::string(trim({words, static_cast<size_t>(n)})) : "no word";
  // What its pipes still hold, and no more: something that it left may write for ever.
  constexpr int kMostLastReads = 32;
  for (int i = 0; i < kMostLastReads && read_lines(life); ++i) {
  }
  for (int i = 0; i < kMostLastReads; ++i) {
    life.output_at = 0;
    read_stream(life, process.output, Stream::Stdout);
    read_stream(life, process.errors, Stream::Stderr);
  }
  take_lines(life, true);
  ended(life, how);
}

}  // namespace millrace::sensor
