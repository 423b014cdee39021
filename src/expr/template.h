// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "expr/ast.h"

namespace millrace::expr {

// `{{ ... }}`, `{% ... %}` or `<% ... %>` in a text, as the reference finds them: from an opening
// mark to the nearest closing one. Only with `across_lines` they may hold line ends.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  std::string_view of(std::string_view text) const { return text.substr(begin, end - begin); }
};
std::vector<Span> find_spans(std::string_view text, std::string_view open, std::string_view close,
                             bool across_lines = false);
bool has_span(std::string_view text, std::string_view open, std::string_view close,
              bool across_lines = false);

// The expression without its marks: the reference strips their characters from both ends.
std::string_view strip_marks(std::string_view expression, Language language);

// In Orquesta mode a syntax error becomes part of the Program. `language` None: as detect says.
Result<std::unique_ptr<const Program>> compile_program(std::string_view text, Mode mode,
                                                       Language language = Language::None);

// Inspection
Reads reads_of(const Program& program);
void check_text(std::string_view text, Mode mode, std::vector<SyntaxProblem>& problems);
// The variables that the reference's regular expressions find in the text, by language, sorted.
std::vector<VariableRead> orquesta_variables(std::string_view text);

}  // namespace millrace::expr
