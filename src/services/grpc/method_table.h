// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "services/grpc/method.h"

namespace millrace::rpc {

// All methods of a server by their names.
class MethodTable {
 public:
  // Each method is one of a service of api/proto, of its kind (unary or stream), says who may call
  // it, and stands once; a service is offered whole. Errors: Internal, RPC-0001, one problem per
  // fault.
  static Result<MethodTable> create(std::vector<Method> methods);

  // `path`: "/SERVICE/METHOD". Null: there is none.
  const Method* find(std::string_view path) const;
  const std::vector<std::string>& services() const { return services_; }

 private:
  std::unordered_map<std::string, Method, StringHash, std::equal_to<>> by_name_;
  std::vector<std::string> services_;
};

}  // namespace millrace::rpc
