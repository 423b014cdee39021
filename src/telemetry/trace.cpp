// SPDX-License-Identifier: Apache-2.0
#include "telemetry/trace.h"

#include <fmt/format.h>

namespace millrace::telemetry {
namespace {

// Lower-case hex digits only, as the specification demands.
std::optional<uint64_t> parse_hex(std::string_view text) {
  uint64_t value = 0;
  for (char c : text) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  return value;
}

uint64_t not_zero(const RandomBits& random) {
  uint64_t bits = 0;
  while (bits == 0) bits = random();
  return bits;
}

}  // namespace

// version "-" trace-id "-" parent-id "-" trace-flags
//   2 hex        32 hex        16 hex          2 hex
std::optional<TraceContext> TraceContext::parse(std::string_view text) {
  constexpr size_t kLength = 55;
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return {};
  auto version = parse_hex(text.substr(0, 2));
  auto high = parse_hex(text.substr(3, 16));
  auto low = parse_hex(text.substr(19, 16));
  auto span = parse_hex(text.substr(36, 16));
  auto flags = parse_hex(text.substr(53, 2));
  if (!version || !high || !low || !span || !flags) return {};
  // A later version may add parts; ff is forbidden.
  bool length_fits = text.size() == kLength || (*version > 0 && text[kLength] == '-');
  if (*version == 0xff || !length_fits || (*high | *low) == 0 || *span == 0) return {};
  return TraceContext{*high, *low, *span, (*flags & 1) != 0};
}

TraceContext TraceContext::make(const RandomBits& random) {
  return TraceContext{not_zero(random), not_zero(random), not_zero(random), true};
}

TraceContext TraceContext::child(const RandomBits& random) const {
  return TraceContext{trace_high, trace_low, not_zero(random), sampled};
}

std::string TraceContext::trace_id() const {
  return fmt::format("{:016x}{:016x}", trace_high, trace_low);
}

std::string TraceContext::span_id() const { return fmt::format("{:016x}", span); }

std::string TraceContext::traceparent() const {
  return fmt::format("00-{:016x}{:016x}-{:016x}-{}", trace_high, trace_low, span,
                     sampled ? "01" : "00");
}

}  // namespace millrace::telemetry
