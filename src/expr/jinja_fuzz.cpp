// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string_view>

#include "expr/ast.h"
#include "expr/template.h"

// Any bytes as a Jinja expression and as a template: parsing ends with a tree or an error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace::expr;
  if (size > 4096) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (Mode mode : {Mode::Orquesta, Mode::Native}) {
    Tree expression;
    (void)parse_jinja_expression(expression, text, mode);
    (void)compile_program(text, mode);
    std::vector<SyntaxProblem> problems;
    check_text(text, mode, problems);
  }
  return 0;
}
