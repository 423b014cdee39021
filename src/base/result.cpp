// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstdio>
#include <cstdlib>

#include "base/problems.h"

namespace millrace {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Invalid: return "invalid";
    case ErrorKind::Unauthorized: return "unauthorized";
    case ErrorKind::Forbidden: return "forbidden";
    case ErrorKind::NotFound: return "not_found";
    case ErrorKind::Conflict: return "conflict";
    case ErrorKind::TooLarge: return "too_large";
    case ErrorKind::Unsupported: return "unsupported";
    case ErrorKind::Mismatch: return "mismatch";
    case ErrorKind::Stale: return "stale";
    case ErrorKind::Busy: return "busy";
    case ErrorKind::Unavailable: return "unavailable";
    case ErrorKind::Timeout: return "timeout";
    case ErrorKind::Internal: return "internal";
  }
  return "internal";
}

std::string_view public_kind(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::Invalid:
    case ErrorKind::Mismatch:
    case ErrorKind::TooLarge:
    case ErrorKind::Unsupported: return "VALIDATION_FAILED";
    case ErrorKind::Unauthorized:
      return error.code() == "AUT-0003" ? "TOKEN_EXPIRED" : "UNAUTHORIZED";
    case ErrorKind::Forbidden: return "FORBIDDEN";
    case ErrorKind::NotFound: return "NOT_FOUND";
    case ErrorKind::Conflict:
    case ErrorKind::Stale: return "CONFLICT";
    case ErrorKind::Busy: return "RATE_LIMITED";
    case ErrorKind::Timeout: return "TIMEOUT";
    case ErrorKind::Unavailable: return "SERVICE_UNAVAILABLE";
    case ErrorKind::Internal: return "INTERNAL_ERROR";
  }
  return "INTERNAL_ERROR";
}

namespace {

// A message quotes what it is about, and is stored and shown as text: there no NUL may stand.
std::string without_nul(std::string message) {
  for (size_t at = 0; (at = message.find('\0', at)) != message.npos;) {
    message.replace(at, 1, "\\0");
  }
  return message;
}

}  // namespace

Error::Error(ErrorKind kind, std::string_view code, std::string message)
    : data_(std::make_unique<Data>(Data{.kind = kind,
                                        .code = std::string(code),
                                        .message = without_nul(std::move(message)),
                                        .problems = {}})) {}

const std::vector<Problem>& Error::problems() const { return data_->problems; }

Error Error::with_context(std::string_view where) && {
  data_->message = std::string(where) + ": " + data_->message;
  return std::move(*this);
}

Error Error::with_problem(std::string path, std::string message) && {
  if (data_->problems.size() == kMostProblems) return std::move(*this);
  data_->problems.push_back({shortened(std::move(path)), shortened(std::move(message))});
  return std::move(*this);
}

Error Error::with_problems(std::vector<Problem> problems) && {
  data_->problems = limited(std::move(problems));
  return std::move(*this);
}

Error Error::with_retry_after(int64_t ms) && {
  data_->retry_after_ms = ms;
  return std::move(*this);
}

std::string Error::describe() const {
  std::string out = data_->code + ": " + data_->message;
  for (const auto& problem : data_->problems) {
    out += "\n  " + problem.path + ": " + problem.message;
  }
  return out;
}

void detail::assert_failed(const char* expr, const char* file, int line, std::string_view message) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s %.*s\n", file, line, expr,
               static_cast<int>(message.size()), message.data());
  std::abort();
}

}  // namespace millrace
