// SPDX-License-Identifier: Apache-2.0
#include "base/stderr.h"

#include <cstdio>

namespace millrace {

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace millrace
