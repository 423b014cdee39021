// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/value.h"
#include "net/http_client.h"

namespace millrace::worker {

// The result of core.http: {status_code, headers, body, elapsed_ms}. Its Content-Encoding is taken
// off. `body` is
//   a value   when it is JSON by name or suffix;
//   a text    in the charset that it names, else in UTF-8;
//   base64    when it is neither: then `encoding` is "base64".
// `body_error` says why a body is not what it says that it is; its bytes are then kept as a text
// or as base64, never changed. Secrets are hidden in texts and headers, which people read; of
// data only values that are a secret as a whole.
Value http_result(const net::ClientResponse& response, const std::vector<std::string>& secrets,
                  int64_t elapsed_ms);

}  // namespace millrace::worker
