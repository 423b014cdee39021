// SPDX-License-Identifier: Apache-2.0
#include "conductor/renderable.h"

#include <cctype>

namespace millrace::conductor {
namespace {

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Each NAME of `root.NAME` in a text; `root` itself is no member of something else.
std::set<std::string> members_named(std::string_view text, std::string_view root) {
  std::set<std::string> names;
  for (size_t at = text.find(root); at != text.npos; at = text.find(root, at + 1)) {
    if (at > 0 && (is_name_char(text[at - 1]) || text[at - 1] == '.')) continue;
    std::string_view rest = text.substr(at + root.size());
    size_t size = 0;
    while (size < rest.size() && is_name_char(rest[size])) ++size;
    if (size > 0) names.emplace(rest.substr(0, size));
  }
  return names;
}

}  // namespace

Result<void> Renderable::compile(expr::Engine& engine, expr::Mode mode) {
  if (source_.is_string()) {
    if (expr::detect(source_.as_string(), mode) == expr::Language::None) return {};
    TRY(text_, engine.compile(source_.as_string(), mode));
    constant_ = false;
    if (mode == expr::Mode::Native) {
      named_tasks_ = members_named(source_.as_string(), "task.");
      named_keys_ = members_named(source_.as_string(), "keystore.");
      names_.insert(text_->reads().names.begin(), text_->reads().names.end());
      system_keys_ = members_named(source_.as_string(), "system.");
    }
  } else if (source_.is_list()) {
    for (const Value& item : source_.as_list()) children_.emplace_back(item);
  } else if (source_.is_map()) {
    for (const auto& [key, value] : source_.as_map()) {
      children_.emplace_back(key);
      children_.emplace_back(value);
    }
  }
  for (Renderable& child : children_) {
    TRY(child.compile(engine, mode));
    constant_ = constant_ && child.constant_;
    named_tasks_.insert(child.named_tasks_.begin(), child.named_tasks_.end());
    named_keys_.insert(child.named_keys_.begin(), child.named_keys_.end());
    names_.insert(child.names_.begin(), child.names_.end());
    system_keys_.insert(child.system_keys_.begin(), child.system_keys_.end());
  }
  if (constant_) children_.clear();
  return {};
}

Result<Value> Renderable::render(expr::Engine& engine, const expr::Scope& scope) const {
  if (constant_) return source_;
  if (text_) return engine.evaluate(*text_, scope);
  return source_.is_list() ? render_list(engine, scope) : render_map(engine, scope);
}

Result<Value> Renderable::render_list(expr::Engine& engine, const expr::Scope& scope) const {
  ValueList list;
  list.reserve(children_.size());
  std::optional<Error> needs;
  for (const Renderable& child : children_) {
    auto value = child.render(engine, scope);
    if (!value.ok() && expr::needed_key(value.error()).empty()) return value;
    if (value.ok()) {
      list.push_back(std::move(*value));
    } else {
      expr::add_needs(needs, value.error());
    }
  }
  if (needs) return std::move(*needs);
  return Value(std::move(list));
}

Result<Value> Renderable::render_map(expr::Engine& engine, const expr::Scope& scope) const {
  Value map = Value::map();
  std::optional<Error> needs;
  for (size_t i = 0; i < children_.size(); i += 2) {
    auto key = children_[i].render(engine, scope);
    if (!key.ok() && expr::needed_key(key.error()).empty()) return key;
    auto value = children_[i + 1].render(engine, scope);
    if (!value.ok() && expr::needed_key(value.error()).empty()) return value;
    if (!key.ok()) expr::add_needs(needs, key.error());
    if (!value.ok()) expr::add_needs(needs, value.error());
    if (!needs) map.set(expr::to_text(*key), std::move(*value));
  }
  if (needs) return std::move(*needs);
  return map;
}

}  // namespace millrace::conductor
