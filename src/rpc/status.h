// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "base/result.h"

// Errors on their way through gRPC: one table for the code, and millrace.v1.Error in a trailer for
// all the rest.
namespace millrace::rpc {

inline constexpr std::string_view kErrorTrailer = "millrace-error-bin";
// The code of the error that stands for a client that is gone: CANCELLED, whatever its kind.
inline constexpr std::string_view kClientLeft = "RPC-0010";

grpc::StatusCode code_of(const Error& error);
std::string_view name_of(grpc::StatusCode code);  // "NOT_FOUND"

// What stands in the trailer, at most 4 KiB: the peer's limit of headers is 8 KiB.
std::string error_detail(const Error& error, std::string_view request_id);
grpc::Status status_of(const Error& error);

// The other way. `detail`: the trailer, or empty, and then the error is RPC-0009 of the status's
// kind. The status is none that is OK.
Error error_of(const grpc::Status& status, std::string_view detail);

}  // namespace millrace::rpc
