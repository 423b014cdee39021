// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"

// Tokens of Jinja 3.1 with trim_blocks and lstrip_blocks, as both Orquesta and StackStorm set them.
namespace millrace::expr {

struct JinjaToken {
  enum class Kind : uint8_t {
    End,
    Data,        // value: text between tags
    BlockBegin,  // {%
    BlockEnd,
    PrintBegin,  // {{
    PrintEnd,
    Name,
    Literal,  // value: number or string
    Punct,
  };
  Kind kind = Kind::End;
  std::string text;
  Value value;
  int line = 1;
};

// A whole template, or the inside of one `{{ }}`.
Result<std::vector<JinjaToken>> lex_jinja_template(std::string_view source);
Result<std::vector<JinjaToken>> lex_jinja_expression(std::string_view source);

}  // namespace millrace::expr
