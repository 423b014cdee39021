// SPDX-License-Identifier: Apache-2.0
#include "base/regex_cost.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

namespace millrace {
namespace {

// Measured: `.` and letters whose case is ignored, `a{1000}`, `\pL` and `(?i)[\PL]`.
constexpr uint64_t kBaseSteps = 1000;
constexpr uint64_t kByteSteps = 40;
constexpr uint64_t kRepetitionSteps = 1000;
constexpr uint64_t kClassSteps = 4000;
constexpr uint64_t kFoldedClassSteps = 8000;

// Counts what is dear in a pattern. Reads escapes as RE2 does; where RE2 stops with an error, what
// follows counts for nothing.
class DearParts {
 public:
  explicit DearParts(std::string_view pattern) : rest_(pattern) {
    while (!rest_.empty()) {
      if (rest_[0] == '\\') {
        escape();
      } else if (rest_.starts_with("(?")) {
        flags();
      } else {
        bool is_count = rest_[0] == '{' && rest_.size() > 1 && rest_[1] >= '0' && rest_[1] <= '9';
        repetitions += is_count ? 1 : 0;
        skip(1);
      }
    }
  }

  size_t classes = 0;
  size_t repetitions = 0;
  bool ignores_case = false;

 private:
  void skip(size_t bytes) { rest_.remove_prefix(std::min(bytes, rest_.size())); }
  void skip_past(std::string_view end) {
    size_t at = rest_.find(end);
    skip(at == rest_.npos ? rest_.size() : at + end.size());
  }
  void escape() {
    char c = rest_.size() > 1 ? rest_[1] : '\0';
    skip(2);
    if (c == 'p' || c == 'P') ++classes;
    if (c == 'Q') return skip_past("\\E");
    bool is_named = (c == 'p' || c == 'P' || c == 'x') && rest_.starts_with('{');
    if (is_named) skip_past("}");
  }
  void flags() {
    skip(2);
    for (; !rest_.empty() && ((rest_[0] >= 'a' && rest_[0] <= 'z') || rest_[0] == '-'); skip(1)) {
      ignores_case = ignores_case || rest_[0] == 'i';
    }
  }
  std::string_view rest_;
};

}  // namespace

RegexDemand regex_demand(std::string_view pattern, bool ignore_case, size_t written_bytes) {
  auto refused = [](size_t most, std::string_view what, size_t found) -> RegexDemand {
    return {.refusal =
                fmt::format("expected at most {} {} in a pattern, found {}", most, what, found)};
  };
  if (written_bytes > kMostRegexBytes) return refused(kMostRegexBytes, "bytes", written_bytes);
  DearParts dear(pattern);
  if (dear.classes > kMostUnicodeClasses) {
    constexpr std::string_view kWhat = "classes of Unicode (\\p, and what \\w, \\d and \\s make)";
    return refused(kMostUnicodeClasses, kWhat, dear.classes);
  }
  if (dear.repetitions > kMostRepetitions) {
    return refused(kMostRepetitions, "counted repetitions", dear.repetitions);
  }
  bool is_folded = ignore_case || dear.ignores_case;
  return {.steps = kBaseSteps + kByteSteps * pattern.size() + kRepetitionSteps * dear.repetitions +
                   (is_folded ? kFoldedClassSteps : kClassSteps) * dear.classes};
}

std::unique_ptr<re2::RE2> user_regex(std::string_view pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemory);
  return std::make_unique<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
}

uint64_t regex_places(std::string_view pattern, const re2::RE2& compiled) {
  re2::RE2::Options options;
  options.Copy(compiled.options());
  // With one byte a character \w is a dozen ranges; in UTF-8 it is a thousand.
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  re2::RE2 narrow(re2::StringPiece(pattern.data(), pattern.size()), options);
  int size =
      narrow.ok() ? std::min(narrow.ProgramSize(), compiled.ProgramSize()) : compiled.ProgramSize();
  return static_cast<uint64_t>(std::max(size, 1));
}

}  // namespace millrace
