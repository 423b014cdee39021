// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace::net {

// The body before its Content-Encoding (RFC 9110, 8.4): gzip, x-gzip, deflate, identity, several
// with commas between. `most`: bytes of the result, checked while it grows.
// Errors: Unsupported, NET-0020, another coding; Invalid, NET-0021, not what its coding says, cut
// or followed by something; TooLarge, NET-0015.
Result<std::string> decode_content(std::string body, std::string_view content_encoding,
                                   size_t most);

// As a gzip file of one member, the same for the same bytes. Errors: Unavailable, NET-0021.
Result<std::string> gzip(std::string_view bytes);

}  // namespace millrace::net
