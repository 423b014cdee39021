// SPDX-License-Identifier: Apache-2.0
#include "rpc/status.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include <millrace/v1/error.pb.h>
#include "base/problems.h"

namespace millrace::rpc {
namespace {

using grpc::StatusCode;

struct Line {
  ErrorKind kind;
  StatusCode code;
};

// platform.md 9. From a status back to a kind the first line counts.
constexpr Line kTable[] = {
    {ErrorKind::Invalid, StatusCode::INVALID_ARGUMENT},
    {ErrorKind::Unauthorized, StatusCode::UNAUTHENTICATED},
    {ErrorKind::Forbidden, StatusCode::PERMISSION_DENIED},
    {ErrorKind::NotFound, StatusCode::NOT_FOUND},
    {ErrorKind::Conflict, StatusCode::FAILED_PRECONDITION},
    {ErrorKind::Conflict, StatusCode::ALREADY_EXISTS},
    {ErrorKind::Stale, StatusCode::ABORTED},
    {ErrorKind::Mismatch, StatusCode::INVALID_ARGUMENT},
    {ErrorKind::Busy, StatusCode::RESOURCE_EXHAUSTED},
    {ErrorKind::TooLarge, StatusCode::RESOURCE_EXHAUSTED},
    {ErrorKind::Unsupported, StatusCode::UNIMPLEMENTED},
    {ErrorKind::Timeout, StatusCode::DEADLINE_EXCEEDED},
    {ErrorKind::Unavailable, StatusCode::UNAVAILABLE},
    {ErrorKind::Unavailable, StatusCode::CANCELLED},
    {ErrorKind::Internal, StatusCode::INTERNAL},
};
constexpr int kMostProblems = 16;

ErrorKind kind_of(StatusCode code) {
  for (const auto& line : kTable) {
    if (line.code == code) return line.kind;
  }
  return ErrorKind::Internal;
}

// The kind as it was, where its public name says so; others share a name, and the code tells.
ErrorKind kind_in(const v1::Error& detail, StatusCode code) {
  auto kind = kind_of(code);
  for (const auto& line : kTable) {
    if (line.code == code && public_kind({line.kind, "", ""}) == detail.kind()) return line.kind;
  }
  return kind;
}

}  // namespace

StatusCode code_of(const Error& error) {
  if (error.code() == kClientLeft) return StatusCode::CANCELLED;
  for (const auto& line : kTable) {
    if (line.kind == error.kind()) return line.code;
  }
  return StatusCode::INTERNAL;
}

std::string_view name_of(StatusCode code) {
  constexpr std::string_view kNames[] = {"OK",
                                         "CANCELLED",
                                         "UNKNOWN",
                                         "INVALID_ARGUMENT",
                                         "DEADLINE_EXCEEDED",
                                         "NOT_FOUND",
                                         "ALREADY_EXISTS",
                                         "PERMISSION_DENIED",
                                         "RESOURCE_EXHAUSTED",
                                         "FAILED_PRECONDITION",
                                         "ABORTED",
                                         "OUT_OF_RANGE",
                                         "UNIMPLEMENTED",
                                         "INTERNAL",
                                         "UNAVAILABLE",
                                         "DATA_LOSS",
                                         "UNAUTHENTICATED"};
  auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

std::string error_detail(const Error& error, std::string_view request_id) {
  v1::Error detail;
  detail.set_code(error.code());
  detail.set_kind(std::string(public_kind(error)));
  detail.set_message(shortened(error.message()));
  for (const auto& problem : error.problems()) {
    if (detail.problems_size() == kMostProblems) break;
    auto& entry = *detail.add_problems();
    entry.set_path(shortened(problem.path));
    entry.set_message(shortened(problem.message));
  }
  detail.set_retry_after_ms(error.retry_after_ms());
  detail.set_request_id(std::string(request_id));
  constexpr size_t kMostBytes = 4 << 10;
  while (detail.ByteSizeLong() > kMostBytes && detail.problems_size() > 0) {
    detail.mutable_problems()->RemoveLast();
  }
  return detail.SerializeAsString();
}

grpc::Status status_of(const Error& error) {
  return {code_of(error), fmt::format("{}: {}", error.code(), shortened(error.message()))};
}

Error error_of(const grpc::Status& status, std::string_view detail) {
  v1::Error said;
  bool is_told = !detail.empty() &&
                 said.ParseFromArray(detail.data(), static_cast<int>(detail.size())) &&
                 !said.code().empty();
  if (!is_told) {
    return Error(kind_of(status.error_code()), "RPC-0009",
                 fmt::format("the other side answered {}: {}", name_of(status.error_code()),
                             shortened(status.error_message())));
  }
  Error error(kind_in(said, status.error_code()), said.code(), said.message());
  for (const auto& problem : said.problems()) {
    error = std::move(error).with_problem(problem.path(), problem.message());
  }
  return std::move(error).with_retry_after(said.retry_after_ms());
}

}  // namespace millrace::rpc
