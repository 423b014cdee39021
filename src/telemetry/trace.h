// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::telemetry {

// 64 random bits per call; given by whoever wires, so that tests know the ids.
using RandomBits = std::function<uint64_t()>;

// The position of a request in a distributed trace: W3C Trace Context, level 1 `traceparent`.
struct TraceContext {
  uint64_t trace_high = 0;  // the trace id's 128 bits
  uint64_t trace_low = 0;
  uint64_t span = 0;  // the caller's span when parsed, ours when made
  bool sampled = false;

  // Nothing when the header is not valid: the caller then makes a new trace.
  static std::optional<TraceContext> parse(std::string_view traceparent);
  // A new trace; sampled.
  static TraceContext make(const RandomBits& random);
  // The same trace with a span of our own.
  TraceContext child(const RandomBits& random) const;

  std::string trace_id() const;  // 32 hex digits
  std::string span_id() const;   // 16 hex digits
  std::string traceparent() const;
  bool operator==(const TraceContext&) const = default;
};

}  // namespace millrace::telemetry
