// SPDX-License-Identifier: Apache-2.0
#include "store/repository.h"

#include <fmt/format.h>

namespace millrace::store {

Error stale(std::string message) {
  return Error(ErrorKind::Unavailable, sql::kStale, std::move(message));
}

Error not_its_own(std::string_view what, std::string_view name) {
  return Error(ErrorKind::Internal, sql::kConstraint,
               fmt::format("{} {}: belongs to another tenant", what, name));
}

}  // namespace millrace::store
