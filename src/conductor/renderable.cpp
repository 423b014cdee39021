// SPDX-License-Identifier: Apache-2.0
#include "conductor/renderable.h"

namespace millrace::conductor {
namespace {

Error named(Error error, expr::Language language) {
  if (!expr::needed_key(error).empty()) return error;
  return std::move(error).with_context(
      language == expr::Language::Jinja ? "JinjaEvaluationException" : "YaqlEvaluationException");
}

}  // namespace

Result<void> Renderable::compile(expr::Engine& engine, expr::Mode mode) {
  if (source_.is_string()) {
    if (expr::detect(source_.as_string(), mode) == expr::Language::None) return {};
    TRY(text_, engine.compile(source_.as_string(), mode));
    constant_ = false;
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
  }
  if (constant_) children_.clear();
  return {};
}

Result<Value> Renderable::render(expr::Engine& engine, const expr::Scope& scope) const {
  if (constant_) return source_;
  if (text_) {
    auto result = engine.evaluate(*text_, scope);
    if (!result.ok()) return named(std::move(result).error(), text_->language());
    return result;
  }
  return source_.is_list() ? render_list(engine, scope) : render_map(engine, scope);
}

Result<Value> Renderable::render_list(expr::Engine& engine, const expr::Scope& scope) const {
  ValueList list;
  list.reserve(children_.size());
  for (const Renderable& child : children_) {
    TRY(Value value, child.render(engine, scope));
    list.push_back(std::move(value));
  }
  return Value(std::move(list));
}

Result<Value> Renderable::render_map(expr::Engine& engine, const expr::Scope& scope) const {
  Value map = Value::map();
  for (size_t i = 0; i < children_.size(); i += 2) {
    TRY(Value key, children_[i].render(engine, scope));
    TRY(Value value, children_[i + 1].render(engine, scope));
    map.set(expr::to_text(key), std::move(value));
  }
  return map;
}

}  // namespace millrace::conductor
