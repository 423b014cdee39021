// SPDX-License-Identifier: Apache-2.0
#include "packs/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/text.h"
#include "model/casts.h"
#include "packs/process_texts.h"

namespace millrace::packs {

bool is_template(const Value& value) {
  return value.is_string() &&
         expr::detect(value.as_string(), expr::Mode::Native) != expr::Language::None;
}

namespace {

bool allows_null(const Value& schema) {
  const Value& type = schema["type"];
  if (type.is_string()) return type.as_string() == "null";
  if (!type.is_list()) return false;
  return std::ranges::find(type.as_list(), Value("null")) != type.as_list().end();
}

}  // namespace

bool is_given(const Parameter& parameter, const Value& given) {
  const Value* value = given.is_map() ? given.find(parameter.name) : nullptr;
  return value && (!value->is_null() || allows_null(parameter.schema));
}

namespace {

class Call {
 public:
  Call(const Action& action, const CallScope& scope, expr::Engine& engine)
      : action_(action), scope_(scope), engine_(engine) {}

  Result<Value> check(const Value& given) {
    if (!given.is_null() && !given.is_map()) {
      return Error(ErrorKind::Invalid, "PCK-0003",
                   fmt::format("action '{}': expected a map of parameters, found {}", action_.ref,
                               given.type_name()));
    }
    if (given.is_map()) refuse_unknown(given);
    for (const Parameter& parameter : action_.parameters) take(parameter, given);
    TRY(render_defaults());
    for (const Parameter& parameter : action_.parameters) judge(parameter);
    check_process_texts(action_, values_, problems_);
    if (problems_.empty()) return std::move(values_);
    return Error(ErrorKind::Invalid, "PCK-0003",
                 fmt::format("action '{}': the parameters are not valid", action_.ref))
        .with_problems(std::move(problems_).take());
  }

 private:
  void add(const Parameter& parameter, std::string message) {
    problems_.add(json_pointer("", parameter.name), std::move(message));
  }

  void refuse_unknown(const Value& given) {
    std::vector<std::string_view> names;
    for (const Parameter& parameter : action_.parameters) names.push_back(parameter.name);
    auto sorted = names;
    std::ranges::sort(sorted);
    for (const auto& [key, value] : given.as_map()) {
      std::string_view name = key.as_string();
      if (std::ranges::binary_search(sorted, name)) continue;
      if (problems_.full()) return;
      problems_.add(json_pointer("", name),
                    fmt::format("unknown parameter '{}'{}", name, did_you_mean(name, names)));
    }
  }

  void set(const Parameter& parameter, const Value& value) {
    values_.set(parameter.name, cast_value(parameter.schema, value));
  }

  void take(const Parameter& parameter, const Value& given) {
    bool has_value = is_given(parameter, given);
    if (has_value && parameter.immutable) {
      add(parameter, "is immutable: the action sets it itself");
    }
    if (has_value && !parameter.immutable) {
      set(parameter, given[parameter.name]);
    } else if (parameter.default_value && is_template(*parameter.default_value)) {
      templates_.push_back(&parameter);
    } else if (parameter.default_value) {
      set(parameter, *parameter.default_value);
    } else if (parameter.required && !parameter.immutable) {
      add(parameter, "is required");
    }
  }

  // Each default behind those that it reads, as far as its text tells.
  void order_templates() {
    std::map<std::string_view, size_t> numbers;
    for (size_t i = 0; i < templates_.size(); ++i) numbers.emplace(templates_[i]->name, i);
    std::vector<std::vector<size_t>> readers(templates_.size());
    std::vector<size_t> unread(templates_.size());
    for (size_t i = 0; i < templates_.size(); ++i) {
      auto text = engine_.compile(templates_[i]->default_value->as_string(), expr::Mode::Native);
      if (!text.ok()) continue;  // its evaluation tells
      for (const auto& name : (*text)->reads().names) {
        auto read = numbers.find(name);
        if (read == numbers.end()) continue;
        readers[read->second].push_back(i);
        ++unread[i];
      }
    }
    std::vector<size_t> order;
    for (size_t i = 0; i < templates_.size(); ++i) {
      if (unread[i] == 0) order.push_back(i);
    }
    for (size_t at = 0; at < order.size(); ++at) {
      for (size_t reader : readers[order[at]]) {
        if (--unread[reader] == 0) order.push_back(reader);
      }
    }
    for (size_t i = 0; i < templates_.size(); ++i) {
      if (unread[i] > 0) order.push_back(i);  // they read each other
    }
    std::vector<const Parameter*> ordered;
    for (size_t i : order) ordered.push_back(templates_[i]);
    templates_ = std::move(ordered);
  }

  // Defaults may read each other: each round renders those whose names are all there.
  Result<void> render_defaults() {
    if (templates_.empty()) return {};
    if (templates_.size() > 1) order_templates();
    expr::Scope scope = expression_scope();
    while (!templates_.empty()) {
      size_t before = templates_.size();
      std::vector<const Parameter*> waiting;
      std::optional<Error> needs;  // of all defaults at once
      std::vector<Problem> failed;
      for (const Parameter* parameter : templates_) {
        auto value = engine_.evaluate(parameter->default_value->as_string(), scope);
        if (value) {
          set(*parameter, *value);
          if (!scope.names.find(parameter->name)) {
            scope.names.set(parameter->name, values_[parameter->name]);
          }
          continue;
        }
        if (!expr::needed_key(value.error()).empty()) {
          expr::add_needs(needs, value.error());
          continue;
        }
        waiting.push_back(parameter);
        failed.push_back(
            {json_pointer("", parameter->name),
             fmt::format("its default cannot be rendered: {}", value.error().message())});
      }
      if (needs) return std::move(*needs);
      if (waiting.size() == before) {
        for (Problem& problem : failed) {
          problems_.add(std::move(problem.path), std::move(problem.message));
        }
        return {};
      }
      templates_ = std::move(waiting);
    }
    return {};
  }

  expr::Scope expression_scope() const {
    expr::Scope scope;
    scope.names = values_;
    for (const Parameter& parameter : action_.parameters) {
      bool is_absent = !values_.find(parameter.name) && !parameter.default_value;
      if (is_absent) scope.names.set(parameter.name, Value());
    }
    auto add_name = [&](std::string_view name, Value value) {
      bool is_parameter = std::ranges::any_of(
          action_.parameters, [&](const Parameter& parameter) { return parameter.name == name; });
      if (!is_parameter) scope.names.set(name, std::move(value));
    };
    add_name("config_context", scope_.pack_config);
    add_name("action_context", scope_.action_context);
    add_name("pack", Value::map({{"config", scope_.pack_config}}));
    scope.lookup = scope_.lookup;
    scope.allowance = scope_.allowance;
    scope.mode = expr::Mode::Native;
    return scope;
  }

  void judge(const Parameter& parameter) {
    const Value* value = values_.find(parameter.name);
    if (!value) return;
    auto show = parameter.secret ? ShowValues::No : ShowValues::Yes;
    uint64_t* steps = scope_.allowance ? &scope_.allowance->left : nullptr;
    for (Problem& problem : validate_json(parameter.schema, *value, show, steps)) {
      problems_.add(json_pointer("", parameter.name) + problem.path, std::move(problem.message));
    }
  }

  const Action& action_;
  const CallScope& scope_;
  expr::Engine& engine_;
  Value values_ = Value::map();
  std::vector<const Parameter*> templates_;  // defaults that are still to be rendered
  Problems problems_;
};

void add_text(std::string_view text, std::vector<std::string>& out) {
  constexpr size_t kShortest = 4, kShortestLine = 8;
  if (text.size() < kShortest) return;
  out.emplace_back(text);
  std::string escaped = to_json(Value(text));
  std::string_view inside = std::string_view(escaped).substr(1, escaped.size() - 2);
  if (inside != text) out.emplace_back(inside);
  if (text.find('\n') == text.npos) return;
  for (std::string_view line : split(text, '\n')) {
    if (line.size() >= kShortestLine) out.emplace_back(line);
  }
}

void gather_texts(const Value& value, std::vector<std::string>& out) {
  if (value.is_list()) {
    for (const Value& item : value.as_list()) gather_texts(item, out);
  } else if (value.is_map()) {
    for (const auto& [key, item] : value.as_map()) gather_texts(item, out);
  } else if (value.is_string()) {
    add_text(value.as_string(), out);
  } else if (value.is_number()) {
    add_text(to_json(value), out);
  }
}

}  // namespace

Result<Value> check_parameters(const Action& action, const Value& given, const CallScope& scope,
                               expr::Engine& engine) {
  return Call(action, scope, engine).check(given);
}

Value secret_config(const Pack& pack, const Action& action) {
  Value secrets = Value::map();
  if (!action.says_result() || !pack.config.is_map()) return secrets;
  const Value& schemas = pack.config_schema["properties"];
  for (const auto& entry : pack.config.as_map()) {
    if (!schemas[entry.name()].bool_or("secret", false)) continue;
    secrets.set(entry.name(), entry.value);
  }
  return secrets;
}

std::vector<std::string> secret_values(const Action& action, const Value& parameters,
                                       const Value& secret_config) {
  std::vector<std::string> out;
  gather_texts(secret_config, out);
  for (const Parameter& parameter : action.parameters) {
    if (parameter.secret) gather_texts(parameters[parameter.name], out);
  }
  std::ranges::sort(out, [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  auto repeated = std::ranges::unique(out);
  out.erase(repeated.begin(), repeated.end());
  return out;
}

std::vector<std::string> argument_names(const Action& action) {
  if (action.runner != Runner::Shell && action.runtime != "shell") return {};
  std::vector<const Parameter*> positioned;
  for (const Parameter& parameter : action.parameters) {
    bool is_command = action.runner == Runner::Shell && parameter.name == "cmd";
    if (parameter.position && !parameter.of_runner && !is_command) positioned.push_back(&parameter);
  }
  std::ranges::sort(positioned, {}, [](const Parameter* p) { return std::pair(*p->position, p); });
  std::vector<std::string> names;
  for (const Parameter* parameter : positioned) names.push_back(parameter->name);
  return names;
}

std::string secret_argument(const Action& action) {
  auto names = argument_names(action);
  auto is_exposed = [&](const Parameter& p) {
    bool is_named = action.runner_type == "local-shell-script" && !p.of_runner;  // --NAME=VALUE
    return p.secret && (is_named || std::ranges::find(names, p.name) != names.end());
  };
  auto at = std::ranges::find_if(action.parameters, is_exposed);
  return at == action.parameters.end() ? std::string() : at->name;
}

std::vector<std::string> steering_names(const Action& action) {
  std::vector<std::string> names;
  for (const Parameter& parameter : action.parameters) {
    if (parameter.of_runner) names.push_back(parameter.name);
  }
  return names;
}

Value masked(const Action& action, const Value& parameters) {
  Value out = parameters;
  for (const Parameter& parameter : action.parameters) {
    const Value* value = parameters.find(parameter.name);
    if (parameter.secret && value && !value->is_null()) out.set(parameter.name, "********");
  }
  return out;
}

}  // namespace millrace::packs
