// SPDX-License-Identifier: Apache-2.0
#include "kernel/work_codec.h"

#include "base/fuzzing.h"

namespace millrace::kernel {
namespace {

// What can be read can be written, and reads as the same bytes again.
template <typename Message>
void read_twice(std::string_view bytes, Message (*get)(FrameReader&)) {
  FrameReader first(bytes);
  Message message = get(first);
  if (!first.complete()) return;
  std::string once, twice;
  FrameWriter w1(once);
  put(w1, message);
  if (!w1.end()) return;
  FrameReader second(std::string_view(once).substr(sizeof(uint32_t)));
  Message again = get(second);
  if constexpr (requires { again.exit_code; }) {
    if (fuzz::planted() && again.exit_code > 100) --again.exit_code;
  }
  FrameWriter w2(twice);
  put(w2, again);
  ASSERT(w2.end() && second.complete() && once == twice);
}

FUZZ(work_codec) {
  read_twice(input, &get_order);
  read_twice(input, &get_completion);
}

}  // namespace
}  // namespace millrace::kernel
