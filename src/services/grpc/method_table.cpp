// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/method_table.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <set>

#include "base/problems.h"

namespace millrace::rpc {
namespace {

const google::protobuf::ServiceDescriptor* service_of(std::string_view method) {
  auto service = std::string(method.substr(0, method.find('/')));
  return google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
}

std::string what_is_wrong(const Method& method) {
  const auto* service = service_of(method.name);
  if (!service) return "no service of api/proto has that name";
  const auto* rpc = service->FindMethodByName(method.name.substr(method.name.find('/') + 1));
  if (!rpc) return "its service has no such method";
  bool is_stream = rpc->client_streaming() || rpc->server_streaming();
  if (is_stream != method.is_stream()) return "expected the handler of its kind: unary or stream";
  if (method.access.kind() == Access::Kind::Undeclared) return "says not who may call it";
  return {};
}

}  // namespace

Result<MethodTable> MethodTable::create(std::vector<Method> methods) {
  MethodTable table;
  Problems problems;
  std::set<const google::protobuf::ServiceDescriptor*> offered;
  for (auto& method : methods) {
    auto name = method.name;
    if (auto wrong = what_is_wrong(method); !wrong.empty()) {
      problems.add(name, wrong);
    } else if (!table.by_name_.emplace(name, std::move(method)).second) {
      problems.add(name, "stands twice");
    } else if (const auto* service = service_of(name); offered.insert(service).second) {
      table.services_.push_back(service->full_name());
    }
  }
  for (const auto* service : offered) {
    for (int i = 0; i < service->method_count(); ++i) {
      auto name = service->full_name() + '/' + service->method(i)->name();
      if (!table.by_name_.contains(name)) problems.add(name, "has no handler");
    }
  }
  if (problems.empty()) return table;
  return Error(ErrorKind::Internal, "RPC-0001", "the table of gRPC methods is wrong")
      .with_problems(std::move(problems).take());
}

const Method* MethodTable::find(std::string_view path) const {
  if (!path.starts_with('/')) return nullptr;
  auto found = by_name_.find(path.substr(1));
  return found == by_name_.end() ? nullptr : &found->second;
}

}  // namespace millrace::rpc
