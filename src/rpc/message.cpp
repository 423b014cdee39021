// SPDX-License-Identifier: Apache-2.0
#include "rpc/message.h"

#include <fmt/format.h>
#include <grpcpp/support/slice.h>

#include <vector>

namespace millrace::rpc {

grpc::ByteBuffer to_bytes(const google::protobuf::MessageLite& message) {
  grpc::Slice slice(message.ByteSizeLong());
  // A slice that was made for a size belongs to us alone until it is sent.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): gRPC has no other way to fill one
  auto* begin = const_cast<uint8_t*>(slice.begin());
  message.SerializeWithCachedSizesToArray(begin);
  return {&slice, 1};
}

Result<void> from_bytes(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message) {
  grpc::Slice slice;
  bool is_read = bytes.Valid() && bytes.DumpToSingleSlice(&slice).ok() &&
                 message.ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
  if (is_read) return {};
  return Error(ErrorKind::Invalid, "RPC-0003",
               fmt::format("expected a message {}, found {} bytes that are none",
                           message.GetTypeName(), bytes.Length()));
}

}  // namespace millrace::rpc
