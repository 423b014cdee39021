// SPDX-License-Identifier: Apache-2.0
#include "base/fuzzing.h"
#include "expr/ast.h"
#include "expr/template.h"

namespace millrace::expr {
namespace {

void parse(std::string_view text, std::string_view plant) {
  for (Mode mode : {Mode::Orquesta, Mode::Native}) {
    (void)compile_program(text, mode);
    std::vector<SyntaxProblem> problems;
    check_text(text, mode, problems);
    fuzz::plant(problems.empty() && text.contains(plant));
  }
}

// Any bytes as an expression and as a template: parsing ends with a tree or an error.
FUZZ(jinja) {
  for (Mode mode : {Mode::Orquesta, Mode::Native}) {
    Tree tree;
    (void)parse_jinja_expression(tree, input, mode);
  }
  parse(input, " // ");
}

// The same of YAQL, bare and between its marks.
FUZZ(yaql) {
  for (Mode mode : {Mode::Orquesta, Mode::Native}) {
    Tree tree;
    (void)parse_yaql(tree, input, mode);
  }
  parse("<% " + std::string(input) + " %>", "?.");
}

}  // namespace
}  // namespace millrace::expr
