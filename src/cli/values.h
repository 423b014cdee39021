// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"

namespace millrace::cli {

// The parameters of an action from words:
//   key=value    as the parameter's schema says: an integer, a list as JSON or a,b,c, ...
//   key=@file    the content of a file ("-" is stdin), without its last line end
//   key:=json    any JSON
// `action` as the API shows it. A secret parameter is taken from a file only: what stands in a
// command line, others can see. Errors: usage, or the file's.
Result<Value> read_parameters(const Value& action, const std::vector<std::string>& words);

// One value of a JSON Schema. Errors: usage, naming `name`.
Result<Value> typed_value(std::string_view name, const Value& schema, std::string_view text);

// JSON, or what the extension .yaml or .yml says; "-" is stdin, either of them.
Result<Value> read_document(const std::string& path);
// The value of an option that takes either JSON or the name of a document, with or without @ before
// it. Errors: of the JSON, naming `option`; the file's.
Result<Value> json_or_file(std::string_view option, const std::string& text);
// As is; "-" is stdin.
Result<std::string> read_text(const std::string& path);
// Without the last line end (LF or CR LF) and without the mark (BOM) that an editor put before it.
Result<std::string> read_line_text(const std::string& path);

// Everything in it can be sent as it is. Error: Invalid, CLI-0006, which names the place whose text
// is not UTF-8: JSON would carry another one.
Result<void> check_texts(const Value& body);

// "500ms", "30s", "5m", "2h", "1d" in milliseconds. Errors: usage.
Result<int64_t> parse_duration(std::string_view name, std::string_view text);
// The same in seconds, for what counts in them. Errors: usage, when some would be lost.
Result<int64_t> parse_seconds(std::string_view name, std::string_view text);
Result<int64_t> parse_count(std::string_view name, std::string_view text, int64_t least);

}  // namespace millrace::cli
