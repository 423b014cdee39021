// SPDX-License-Identifier: Apache-2.0
#include "telemetry/trace.h"

#include "base/fuzzing.h"

namespace millrace::telemetry {
namespace {

FUZZ(trace) {
  auto trace = TraceContext::parse(input);
  if (!trace) return;
  std::string written = trace->traceparent();
  if (fuzz::planted() && !trace->sampled) written[54] = '1';
  auto again = TraceContext::parse(written);
  ASSERT(again && *again == *trace);
}

}  // namespace
}  // namespace millrace::telemetry
