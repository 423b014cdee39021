// SPDX-License-Identifier: Apache-2.0
#include "base/regex_cost.h"

#include <re2/re2.h>

#include <algorithm>

namespace millrace {

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
