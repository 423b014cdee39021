// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/value.h"
#include "net/http.h"

namespace millrace::api {

// RFC 9457: type, title, status, detail, code, kind, timestamp, request_id, and errors[] {path,
// message} where the input has several faults. 429 and 503 carry Retry-After, 401 WWW-Authenticate.
// `status`: of refusals that no ErrorKind stands for; 0: what the error's kind says.
net::HttpResponse problem(const Error& error, std::string_view request_id, int64_t now_ms,
                          int status = 0);

// The schema of the above, for the OpenAPI document.
Value problem_schema();

}  // namespace millrace::api
