// SPDX-License-Identifier: Apache-2.0
#include "expr/cache.h"

#include "expr/template.h"

namespace millrace::expr {
namespace {

size_t cost_of(std::string_view key) { return key.size() + 64; }

}  // namespace

Result<TemplatePtr> TemplateCache::get(std::string_view text, Mode mode, Language language) {
  std::string key;
  key += static_cast<char>(mode);
  key += static_cast<char>(language);
  key += text;
  if (auto found = entries_.find(key); found != entries_.end()) {
    order_.splice(order_.begin(), order_, found->second);
    return found->second->compiled;
  }
  TRY(auto program, compile_program(text, mode, language));
  auto compiled = std::make_shared<const Template>(std::move(program));
  size_t cost = cost_of(key);
  if (cost > max_bytes_ / 4) return TemplatePtr(compiled);
  order_.push_front({key, compiled});
  entries_.emplace(order_.front().key, order_.begin());
  bytes_ += cost;
  while (bytes_ > max_bytes_) {
    bytes_ -= cost_of(order_.back().key);
    entries_.erase(order_.back().key);
    order_.pop_back();
  }
  return TemplatePtr(compiled);
}

}  // namespace millrace::expr
