// SPDX-License-Identifier: Apache-2.0
#include "base/problems.h"

namespace millrace {

std::string shortened(std::string text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text += "...";
}

std::vector<Problem> limited(std::vector<Problem> problems) {
  if (problems.size() > kMostProblems) problems.resize(kMostProblems);
  for (Problem& problem : problems) {
    problem.path = shortened(std::move(problem.path));
    problem.message = shortened(std::move(problem.message));
  }
  return problems;
}

}  // namespace millrace
