// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "base/wire.h"
#include "services/worker/control.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace::worker;
  FrameBuffer buffer;
  buffer.append({reinterpret_cast<const char*>(data), size});
  for (auto next = buffer.next(); next.ok() && *next; next = buffer.next()) (void)decode(**next);
  return 0;
}
