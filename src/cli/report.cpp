// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <fmt/format.h>

#include "cli/stdout.h"

namespace millrace::cli {

int exit_code_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::Invalid: return kUsage;
    case ErrorKind::Unauthorized:
    case ErrorKind::Forbidden: return kDenied;
    case ErrorKind::NotFound: return kNotFound;
    case ErrorKind::Unavailable: return kUnreachable;
    case ErrorKind::Timeout: return kTimedOut;
    case ErrorKind::Conflict:
    case ErrorKind::TooLarge:
    case ErrorKind::Unsupported:
    case ErrorKind::Mismatch:
    case ErrorKind::Stale:
    case ErrorKind::Busy:
    case ErrorKind::Internal: return kFailed;
  }
  return kFailed;
}

int exit_code_of_status(std::string_view status) {
  if (status == "succeeded") return kOk;
  return status == "timeout" ? kTimedOut : kFailed;
}

std::string hint_for(const Error& error, std::string_view path) {
  auto noun = path.substr(0, path.find(' '));
  auto of_noun = [&](std::string_view verb, std::string_view purpose) {
    constexpr std::string_view kNouns[] = {"execution", "rule",  "event",  "webhook",
                                           "inquiry",   "key",   "action", "pack",
                                           "trigger",   "timer", "sensor"};
    for (auto known : kNouns) {
      if (noun == known) return fmt::format("`millrace {} {}` {}", noun, verb, purpose);
    }
    if (noun == "run") return fmt::format("`millrace action {}` {}", verb, purpose);
    if (noun == "trace")
      return std::string(
          "`millrace event list` and `millrace execution list` "
          "show the ids");
    if (noun == "auth") return std::string("`millrace auth token list` shows the tokens");
    return std::string("check the path and the name");
  };
  // A file on this machine.
  if (error.code() == "BAS-0008") return "check the path";
  switch (error.kind()) {
    case ErrorKind::Invalid: {
      if (path.empty()) return "`millrace --help` lists the commands";
      return fmt::format("`millrace {} --help` says what it takes", path);
    }
    case ErrorKind::Unauthorized:
      return "give a token: --token-file FILE, MILLRACE_TOKEN, or --data DIR of a server of yours";
    case ErrorKind::Forbidden: return "`millrace auth whoami` shows what this token may do";
    case ErrorKind::NotFound: return of_noun("list", "shows what there is");
    case ErrorKind::Unavailable:
      return "is the server up? `millrace up` starts one; --data, --url or MILLRACE_URL say where";
    case ErrorKind::Timeout: return "`millrace execution list` shows whether it still runs";
    case ErrorKind::Conflict:
    case ErrorKind::Mismatch:
    case ErrorKind::Stale: return of_noun("list", "shows the present state");
    case ErrorKind::Busy:
      return error.retry_after_ms() > 0
                 ? fmt::format("try again in {} s", (error.retry_after_ms() + 999) / 1000)
                 : "try again in a moment";
    case ErrorKind::TooLarge:
    case ErrorKind::Unsupported:
    case ErrorKind::Internal: return "the server's log says more under this request id";
  }
  return "`millrace --help` lists the commands";
}

std::string local_hint_for(const Error& error, std::string_view path) {
  // Of another server, or of its files.
  if (error.code() == "CLI-0009") return "docs/errors/CLI-0009.md says what to do";
  // A mistake in the configuration.
  if (error.code() == "BAS-0010") {
    return "`millrace config check` without --config and --set prints every key with its meaning";
  }
  switch (error.kind()) {
    case ErrorKind::Invalid: return fmt::format("`millrace {} --help` says what it takes", path);
    case ErrorKind::Unauthorized:
    case ErrorKind::Forbidden: return "run it as the user who owns these files";
    case ErrorKind::NotFound: return "check the path; --data names the data folder of a server";
    default: return fmt::format("docs/errors/{}.md says what to do", error.code());
  }
}

int report(const Error& error, std::string_view path) {
  if (error.code() == kNotWritten) return kFailed;  // finish_stdout tells
  tell(fmt::format("millrace: {}\nhint: {}\n", error.describe(), hint_for(error, path)));
  return exit_code_of(error);
}

int report_local(const Error& error, std::string_view path) {
  tell(fmt::format("millrace: {}\nhint: {}\n", error.describe(), local_hint_for(error, path)));
  return error.kind() == ErrorKind::Unavailable ? kFailed : exit_code_of(error);
}

}  // namespace millrace::cli
