// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include "base/result.h"

namespace millrace::rpc {

// A message as gRPC carries it.
grpc::ByteBuffer to_bytes(const google::protobuf::MessageLite& message);
// Errors: Invalid, RPC-0003.
Result<void> from_bytes(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message);

}  // namespace millrace::rpc
