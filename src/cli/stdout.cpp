// SPDX-License-Identifier: Apache-2.0
#include "cli/stdout.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/stderr.h"
#include "cli/report.h"

namespace millrace::cli {
namespace {

int failure = 0;  // errno of the first write that failed

}  // namespace

void write_stdout(std::string_view text) {
  if (failure != 0) return;
  errno = 0;
  bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  // At once: what follows live is seen live, and a full device is known here.
  if (std::fflush(stdout) == 0 && whole) return;
  failure = errno != 0 ? errno : EIO;
}

void tell(std::string_view text) { write_stderr(text); }

Result<void> stdout_is_written() {
  if (failure == 0) return {};
  return Error(ErrorKind::Unavailable, kNotWritten,
               fmt::format("cannot write: {}", std::strerror(failure)));
}

int finish_stdout(int code) {
  auto written = stdout_is_written();
  if (written.ok()) return code;
  tell(fmt::format("millrace: {}\n", written.error().describe()));
  return code == kOk ? kFailed : code;
}

}  // namespace millrace::cli
