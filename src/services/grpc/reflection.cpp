// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include <grpc/reflection/v1alpha/reflection.pb.h>

namespace millrace::rpc {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
using Services = std::vector<std::string>;

// The file after all that it imports.
void add_file(const FileDescriptor& file, std::set<std::string>& seen, Response& response) {
  if (!seen.insert(file.name()).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) add_file(*file.dependency(i), seen, response);
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
}

void answer_file(const FileDescriptor* file, Response& response) {
  if (file) {
    std::set<std::string> seen;
    return add_file(*file, seen, response);
  }
  auto& error = *response.mutable_error_response();
  error.set_error_code(grpc::StatusCode::NOT_FOUND);
  error.set_error_message("no such file or symbol");
}

Response answer_to(const Request& request, const Services& services) {
  const auto& pool = *DescriptorPool::generated_pool();
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kListServices:
      for (const auto& name : services) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      return response;
    case Request::kFileByFilename:
      answer_file(pool.FindFileByName(request.file_by_filename()), response);
      return response;
    case Request::kFileContainingSymbol:
      answer_file(pool.FindFileContainingSymbol(request.file_containing_symbol()), response);
      return response;
    default: answer_file(nullptr, response); return response;  // we have no extensions
  }
}

using Asked = Stream<Request, Response>;

// One question at a time: the next is read when the answer has left.
void serve(const Asked& stream, const std::shared_ptr<const Services>& services) {
  stream.read([stream, services](const std::optional<Request>& request) {
    if (!request) return stream.finish({});
    stream.write(answer_to(*request, *services), [stream, services](bool written) {
      if (written) serve(stream, services);
    });
  });
}

}  // namespace

std::vector<Method> reflection(Services services) {
  auto shared = std::make_shared<const Services>(std::move(services));
  return {stream<Request, Response>("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                    Access::open(), [shared](const Asked& asked) {
                                      asked.on_drain([asked] { asked.finish({}); });
                                      serve(asked, shared);
                                    })};
}

}  // namespace millrace::rpc
