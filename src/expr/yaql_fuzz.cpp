// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <string_view>

#include "expr/ast.h"
#include "expr/template.h"

// Any bytes as a YAQL expression, bare and between its marks.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace millrace::expr;
  if (size > 4096) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (Mode mode : {Mode::Orquesta, Mode::Native}) {
    Tree tree;
    (void)parse_yaql(tree, text, mode);
    std::string marked = "<% " + std::string(text) + " %>";
    (void)compile_program(marked, mode);
    std::vector<SyntaxProblem> problems;
    check_text(marked, mode, problems);
  }
  return 0;
}
