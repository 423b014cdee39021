// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/grpc/method.h"

namespace millrace::rpc {

// grpc.reflection.v1alpha: what grpcurl and its like ask for. `services`: those that are offered.
std::vector<Method> reflection(std::vector<std::string> services);

}  // namespace millrace::rpc
