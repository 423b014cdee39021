// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// The grammar of RFC 3986, for texts that others wrote.
namespace millrace::net {

// HOST or HOST:PORT, as Host and an absolute target have it (RFC 9110, 7.2): a name, an IPv4
// address or [IPv6]; no user information. A comma, which a name could have, would be two of them.
bool is_authority(std::string_view text);

// With a scheme; a fragment may follow.
bool is_uri(std::string_view text);
// A URI, or one relative to another: also an empty text.
bool is_uri_reference(std::string_view text);

}  // namespace millrace::net
