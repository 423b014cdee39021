// SPDX-License-Identifier: Apache-2.0
#include "rules/criteria.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/regex_cost.h"
#include "base/text.h"

namespace millrace::rules {
namespace {

constexpr std::string_view kConditions[] = {"any", "all", "all2any", "any2any"};
constexpr size_t kDeepest = 32;
constexpr size_t kMostCriteria = 1000;

uint32_t slot_of(const Path& path, std::vector<Path>& paths) {
  auto known = std::ranges::find(paths, path.key(), &Path::key);
  if (known == paths.end()) known = paths.insert(known, path);
  return static_cast<uint32_t>(known - paths.begin());
}

class Compiler {
 public:
  Compiler(expr::Engine& engine, std::vector<Path>& paths, std::vector<Problem>& problems)
      : engine_(engine), paths_(paths), problems_(problems) {}

  Criterion criteria(const Value& source, const std::string& at, PathRoot root) {
    Criterion node{.label = "all"};
    if (++depth_ > kDeepest) {
      add(at, fmt::format("nested deeper than {} levels", kDeepest));
    } else if (source.is_string()) {
      node = expression(source.as_string(), at);
    } else if (source.is_map()) {
      for (const auto& [key, value] : source.as_map()) {
        if (++criteria_ > kMostCriteria) {
          if (criteria_ == kMostCriteria + 1) {
            add(at, fmt::format("expected at most {} criteria in a rule", kMostCriteria));
          }
          break;
        }
        auto entry_at = json_pointer(at, key.as_string());
        node.parts.push_back(entry(key.as_string(), value, entry_at, root));
      }
    } else if (!source.is_null()) {
      add(at,
          fmt::format("expected a map of criteria or an expression, found {}", source.type_name()));
    }
    --depth_;
    return node;
  }

 private:
  void add(const std::string& at, std::string message) {
    problems_.push_back({at, std::move(message)});
  }

  Criterion entry(std::string_view key, const Value& value, const std::string& at, PathRoot root) {
    if (key == "all") return list(Criterion::Kind::All, key, value, at, root);
    if (key == "any") return list(Criterion::Kind::Any, key, value, at, root);
    if (key == "not") {
      Criterion node{.kind = Criterion::Kind::Not, .label = "not"};
      node.parts.push_back(criteria(value, at, root));
      return node;
    }
    return test(key, value, at, root);
  }

  // `all` and `any` take a list; a map stands for the list of its entries.
  Criterion list(Criterion::Kind kind, std::string_view name, const Value& value,
                 const std::string& at, PathRoot root) {
    Criterion node{.kind = kind, .label = std::string(name)};
    if (value.is_list()) {
      for (size_t i = 0; i < value.size(); ++i) {
        node.parts.push_back(criteria(value.as_list()[i], json_pointer(at, i), root));
      }
    } else if (value.is_map()) {
      node.parts = criteria(value, at, root).parts;
    } else {
      add(at, fmt::format("expected a list of criteria, found {}", value.type_name()));
    }
    return node;
  }

  Criterion expression(std::string_view text, const std::string& at) {
    Criterion node{.kind = Criterion::Kind::Expression, .label = std::string(text)};
    if (expr::detect(text, expr::Mode::Native) == expr::Language::None) {
      add(at,
          fmt::format("expected an expression such as {{{{ trigger.x == 1 }}}}, found '{}'", text));
      return node;
    }
    node.expression = compiled(text, at);
    return node;
  }

  expr::TemplatePtr compiled(std::string_view text, const std::string& at) {
    auto program = engine_.compile(text, expr::Mode::Native);
    if (program) return std::move(program).value();
    add(at, program.error().message());
    return nullptr;
  }

  Criterion test(std::string_view key, const Value& spec, const std::string& at, PathRoot root) {
    Criterion node{.kind = Criterion::Kind::Test, .label = std::string(key)};
    if (auto path = Path::parse(key, root)) {
      node.path = std::move(*path);
      if (root == PathRoot::Event) node.slot = slot_of(node.path, paths_);
    } else {
      add(at, path.error().message());
    }
    if (!spec.is_map()) {
      add(at,
          fmt::format("expected {{type: OPERATOR, pattern: VALUE}}, found {}", spec.type_name()));
      return node;
    }
    node.pattern = spec["pattern"];
    std::optional<Operator> op = read_operator(spec, at);
    check_keys(spec, op == Operator::Search, at);
    if (!op) return node;
    node.op = *op;
    if (*op == Operator::Search) {
      read_search(node, spec, at);
    } else {
      read_pattern(node, json_pointer(at, "pattern"));
    }
    return node;
  }

  void check_keys(const Value& spec, bool is_search, const std::string& at) {
    std::vector<std::string_view> known = {"type", "operator", "pattern"};
    if (is_search) known.push_back("condition");
    for (const auto& [key, value] : spec.as_map()) {
      std::string_view name = key.as_string();
      if (std::ranges::find(known, name) != known.end()) continue;
      add(json_pointer(at, name),
          fmt::format("unknown key '{}'{}", name, did_you_mean(name, known)));
    }
  }

  std::optional<Operator> read_operator(const Value& spec, const std::string& at) {
    const Value* given = spec.find("type");
    if (!given) given = spec.find("operator");
    if (!given) {
      add(at, "expected 'type', the name of an operator");
      return std::nullopt;
    }
    std::string name(given->is_string() ? given->as_string() : to_json(*given));
    auto op = parse_operator(name);
    if (!op) {
      add(json_pointer(at, "type"),
          fmt::format("unknown operator '{}'{}", name,
                      did_you_mean(to_lower_ascii(name), operator_names())));
    }
    return op;
  }

  void read_pattern(Criterion& node, const std::string& at) {
    if (node.pattern.is_string() &&
        expr::detect(node.pattern.as_string(), expr::Mode::Native) != expr::Language::None) {
      node.expression = compiled(node.pattern.as_string(), at);
      return;
    }
    if (auto fault = pattern_fault(node.op, node.pattern); !fault.empty()) return add(at, fault);
    auto steps = Matcher::compile_steps(node.op, node.pattern);
    if (!steps) return add(at, steps.error().message());
    if (*steps > regex_steps_left_) {
      return add(at, fmt::format("the patterns of one rule take more than {} steps to compile "
                                 "together",
                                 kRegexStepsOfDocument));
    }
    regex_steps_left_ -= *steps;
    auto matcher = Matcher::create(node.op, node.pattern);
    if (matcher) {
      node.matcher = std::move(*matcher);
    } else {
      add(at, matcher.error().message());
    }
  }

  void read_search(Criterion& node, const Value& spec, const std::string& at) {
    node.kind = Criterion::Kind::Search;
    const Value& condition = spec["condition"];
    std::string_view name = condition.is_string() ? condition.as_string() : std::string_view();
    auto found = std::ranges::find(kConditions, name);
    if (found == std::end(kConditions)) {
      add(json_pointer(at, "condition"),
          fmt::format("expected one of {}, found {}{}", fmt::join(kConditions, ", "),
                      to_json(condition), did_you_mean(name, kConditions)));
    } else {
      node.condition = static_cast<Criterion::Condition>(found - std::begin(kConditions));
    }
    auto pattern_at = json_pointer(at, "pattern");
    if (!node.pattern.is_map()) {
      add(pattern_at,
          fmt::format("expected a map of criteria on 'item.', found {}", node.pattern.type_name()));
      return;
    }
    node.parts = criteria(node.pattern, pattern_at, PathRoot::Item).parts;
  }

  expr::Engine& engine_;
  std::vector<Path>& paths_;
  std::vector<Problem>& problems_;
  size_t depth_ = 0;
  size_t criteria_ = 0;
  uint64_t regex_steps_left_ = kRegexStepsOfDocument;
};

}  // namespace

Criterion compile_criteria(const Value& criteria, const std::string& at, expr::Engine& engine,
                           std::vector<Path>& paths, std::vector<Problem>& problems) {
  return Compiler(engine, paths, problems).criteria(criteria, at, PathRoot::Event);
}

Criterion parameter_criterion(std::string_view name, Value value, std::vector<Path>& paths) {
  Criterion node{.kind = Criterion::Kind::Test, .label = "event.parameters"};
  if (!name.empty()) node.label += fmt::format(".{}", name);
  node.path = Path::of_parameter(name);
  node.slot = slot_of(node.path, paths);
  node.pattern = value;
  node.matcher = Matcher::create(Operator::Equals, std::move(value)).value();
  return node;
}

Value to_value(const Verdict& verdict) {
  Value out = Value::map(
      {{"criterion", verdict.criterion}, {"operator", verdict.op}, {"holds", verdict.holds}});
  if (verdict.parts.empty()) {
    // An event is not told again for each criterion.
    constexpr size_t kShown = 1024;
    out.set("expected", excerpt(verdict.expected, kShown));
    out.set("found", excerpt(verdict.found, kShown));
  }
  if (!verdict.note.empty()) out.set("note", verdict.note);
  if (verdict.parts.empty()) return out;
  Value parts = Value::list();
  for (const Verdict& part : verdict.parts) parts.push_back(to_value(part));
  out.set("parts", std::move(parts));
  return out;
}

}  // namespace millrace::rules
