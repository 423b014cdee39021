// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/value.h"
#include "services/api/route.h"

namespace millrace::api {

// The OpenAPI 3.1 document of a route table. Depends on nothing else: the same table gives the
// same document, byte by byte.
Value openapi_document(const std::vector<Route>& routes, std::string_view version);

}  // namespace millrace::api
