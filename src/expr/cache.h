// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "expr/expr.h"
#include "expr/regex.h"

namespace millrace::expr {

// Compiled templates by (mode, language, text); the least recently used go first.
class TemplateCache {
 public:
  explicit TemplateCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  // `language` None: the one that detect gives the text to.
  Result<TemplatePtr> get(std::string_view text, Mode mode, Language language = Language::None);

  RegexCache regexes;

 private:
  struct Entry {
    std::string key;
    TemplatePtr compiled;
  };

  size_t max_bytes_;
  size_t bytes_ = 0;
  std::list<Entry> order_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator, StringHash> entries_;
};

}  // namespace millrace::expr
