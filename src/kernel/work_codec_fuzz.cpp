// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>

#include "kernel/work_codec.h"

namespace {

using namespace millrace;

// What can be read can be written, and reads as the same bytes again.
template <typename Message>
void read_twice(std::string_view bytes, Message (*get)(FrameReader&)) {
  FrameReader first(bytes);
  Message message = get(first);
  if (!first.complete()) return;
  std::string once, twice;
  FrameWriter w1(once);
  kernel::put(w1, message);
  if (!w1.end()) return;
  FrameReader second(std::string_view(once).substr(sizeof(uint32_t)));
  Message again = get(second);
  FrameWriter w2(twice);
  kernel::put(w2, again);
  if (!w2.end() || !second.complete() || once != twice) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_twice(bytes, &kernel::get_order);
  read_twice(bytes, &kernel::get_completion);
  return 0;
}
