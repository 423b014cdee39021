// SPDX-License-Identifier: Apache-2.0
#include "rules/template_tree.h"

#include "base/json_schema.h"

namespace millrace::rules {
namespace {

bool is_expression(const Value& value) {
  return value.is_string() &&
         expr::detect(value.as_string(), expr::Mode::Native) != expr::Language::None;
}

}  // namespace

TemplateTree::TemplateTree(Value source, const std::string& at, expr::Engine& engine,
                           std::vector<Problem>& problems)
    : source_(std::move(source)) {
  compile(source_, at, engine, problems);
}

void TemplateTree::compile(const Value& value, const std::string& at, expr::Engine& engine,
                           std::vector<Problem>& problems) {
  if (is_expression(value)) {
    auto compiled = engine.compile(value.as_string(), expr::Mode::Native);
    if (!compiled) problems.push_back({at, compiled.error().message()});
    expressions_.push_back(compiled ? *compiled : nullptr);
  } else if (value.is_list()) {
    for (size_t i = 0; i < value.size(); ++i) {
      compile(value.as_list()[i], json_pointer(at, i), engine, problems);
    }
  } else if (value.is_map()) {
    for (const auto& [key, child] : value.as_map()) {
      compile(child, json_pointer(at, key.as_string()), engine, problems);
    }
  }
}

// Goes through the source in the order of compile() and takes the expressions one by one.
struct TemplateTree::Walk {
  const expr::Scope& scope;
  expr::Engine& engine;
  Problems& problems;
  std::vector<expr::TemplatePtr>::const_iterator next;
  std::optional<Error> needs;

  Value render(const Value& value, const std::string& at) {
    if (is_expression(value)) return evaluate(**next++, at);
    if (value.is_list()) {
      Value out = Value::list();
      for (size_t i = 0; i < value.size(); ++i) {
        out.push_back(render(value.as_list()[i], json_pointer(at, i)));
      }
      return out;
    }
    if (value.is_map()) {
      Value out = Value::map();
      for (const auto& [key, child] : value.as_map()) {
        out.mutable_map().set(key, render(child, json_pointer(at, key.as_string())));
      }
      return out;
    }
    return value;
  }

  Value evaluate(const expr::Template& expression, const std::string& at) {
    if (problems.full()) return Value();  // it comes to nothing
    auto value = engine.evaluate(expression, scope);
    if (value) return std::move(*value);
    if (expr::needed_key(value.error()).empty()) {
      problems.add(at, value.error().message());
    } else {
      expr::add_needs(needs, value.error());
    }
    return Value();
  }
};

Result<Value> TemplateTree::render(const expr::Scope& scope, const std::string& at,
                                   expr::Engine& engine, Problems& problems) const {
  if (!has_expressions()) return source_;
  Walk walk{scope, engine, problems, expressions_.begin(), {}};
  Value rendered = walk.render(source_, at);
  if (walk.needs) return std::move(*walk.needs);
  return rendered;
}

}  // namespace millrace::rules
