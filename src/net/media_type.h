// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

// What a Content-Type says, for whoever reads a body.
namespace millrace::net {

// What names a method, a header, a type (RFC 9110, 5.6.2).
bool is_token(std::string_view text);
// Whether it is written as RFC 9110 8.3.1 says: TYPE/SUBTYPE, then parameters.
bool is_media_type(std::string_view content_type);
// "application/json" of "Application/JSON; charset=utf-8".
std::string media_type(std::string_view content_type);
// "utf-8" of the same, in small letters; empty: none is said.
std::string charset_of(std::string_view content_type);

// By name or by structured suffix (RFC 6839): application/problem+json is JSON, a sequence of
// JSON texts is not.
bool is_json(std::string_view media_type);
// What people can read: text/*, JSON, XML, YAML, forms, scripts.
bool is_text(std::string_view media_type);

}  // namespace millrace::net
