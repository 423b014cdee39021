// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/yaml.h"
#include "conductor/definition.h"
#include "conductor/inspect.h"
#include "recorded.h"
#include "rules/operators.h"

namespace millrace::conformance {
namespace {

std::string language_name(expr::Language language) {
  if (language == expr::Language::Jinja) return "jinja";
  return language == expr::Language::Yaql ? "yaql" : "";
}

// The names that a recorded message quotes; ours must speak of the same.
std::vector<std::string> quoted_names(std::string_view message) {
  std::vector<std::string> names;
  while (true) {
    size_t open = message.find('"');
    if (open == message.npos) return names;
    size_t close = message.find('"', open + 1);
    if (close == message.npos) return names;
    names.emplace_back(message.substr(open + 1, close - open - 1));
    message.remove_prefix(close + 1);
  }
}

// Class, place and expression are compared; of the message, which names it speaks of.
bool is_recorded(const conductor::Finding& found, std::string_view cls, const Value& expected) {
  if (to_string(found.cls) != cls || found.path != expected.string_or("spec_path", "") ||
      found.schema_path != expected.string_or("schema_path", "") ||
      found.expression != expected.string_or("expression", "") ||
      language_name(found.language) != expected.string_or("type", "")) {
    return false;
  }
  if (cls == "syntax" || cls == "expressions") return true;
  return std::ranges::all_of(quoted_names(expected.string_or("message", "")), [&](auto& name) {
    return found.message.find(fmt::format("'{}'", name)) != std::string::npos;
  });
}

std::string described(const conductor::Finding& finding) {
  return fmt::format("{} {} ({}): {} {}", to_string(finding.cls), finding.path, finding.schema_path,
                     finding.message, finding.expression);
}

}  // namespace

Verdict run_inspection(const Value& recorded) {
  expr::Engine engine;
  auto document = parse_yaml(recorded.string_or("workflow", ""), "workflow");
  if (!document.ok()) return document.error().describe();
  conductor::InspectOptions options{.default_mode = expr::Mode::Orquesta};
  const Value& context = recorded["kwargs"]["app_ctx"];
  if (context.is_map()) {
    for (const auto& entry : context.as_map()) options.known_variables.emplace_back(entry.name());
  }
  auto found = inspect(*document, engine, options);
  for (const auto& [cls, errors] : recorded["errors"].as_map()) {
    for (const Value& error : errors.as_list()) {
      auto it = std::ranges::find_if(
          found, [&](const auto& f) { return is_recorded(f, cls.as_string(), error); });
      if (it == found.end()) return fmt::format("not found: {} {}", cls.as_string(), shown(error));
      if (it->line == 0) return "a finding has no line: " + described(*it);
      found.erase(it);
    }
  }
  return found.empty() ? Verdict() : "not expected: " + described(found.front());
}

Verdict run_graph(const Value& recorded) {
  expr::Engine engine;
  auto document = parse_yaml(recorded.string_or("workflow", ""), "workflow");
  if (!document.ok()) return document.error().describe();
  auto definition = conductor::Definition::compile(document->value, engine, expr::Mode::Orquesta);
  if (!definition.ok()) return definition.error().describe();
  return differ("graph", recorded["graph"], (*definition)->graph().to_value());
}

namespace {

Verdict evaluate_recorded(const Value& recorded, const Value& ctx) {
  RecordedLookup lookup(ctx);
  expr::Engine engine;
  expr::Scope scope{.ctx = ctx, .lookup = &lookup, .mode = expr::Mode::Orquesta};
  auto result = engine.render(recorded["expr"], scope);
  if (const Value* error = recorded.find("error")) {
    if (!result.ok()) return {};
    return fmt::format("{}: expected an error ({}), found {}", shown(recorded["expr"]),
                       shown(*error), shown(*result));
  }
  if (!result.ok()) {
    return fmt::format("{}: expected {}, found the error {}", shown(recorded["expr"]),
                       shown(recorded["result"]), result.error().message());
  }
  bool by_chance = shown(recorded["expr"]).find("random(") != std::string::npos;
  if (by_chance && result->kind() == recorded["result"].kind()) return {};
  return differ(shown(recorded["expr"]), recorded["result"], *result);
}

// The context with what the recorded state says a variable was before it took the result.
Value before_publishing(const Value& ctx, const Value& result) {
  Value out = ctx;
  for (const auto& entry : ctx.as_map()) {
    if (entry.name().starts_with("__") || entry.value != result) continue;
    out.mutable_map().erase(entry.name());
    for (const Value& part : ctx["__state"]["contexts"].as_list()) {
      const Value* before = part.find(entry.name());
      if (before && *before != result) out.set(entry.name(), *before);
    }
  }
  return out;
}

}  // namespace

Verdict run_expression(const Value& recorded, size_t& mended) {
  Value ctx = recorded["ctx"].is_map() ? recorded["ctx"] : Value::map();
  Verdict verdict = evaluate_recorded(recorded, ctx);
  if (verdict.empty() || !ctx.find("__state") || recorded.find("error")) return verdict;
  if (!evaluate_recorded(recorded, before_publishing(ctx, recorded["result"])).empty()) {
    return verdict;
  }
  ++mended;
  return {};
}

Verdict run_operator(const Value& recorded) {
  const ValueList& args = recorded["args"].as_list();
  auto op = rules::parse_operator(recorded.string_or("op", ""));
  if (!op) return "unknown operator " + shown(recorded["op"]);
  auto matcher = rules::Matcher::create(*op, args[1]);
  bool holds = matcher.ok() && matcher->holds(&args[0], 0);
  return differ(shown(recorded["op"]), recorded["result"], Value(holds));
}

}  // namespace millrace::conformance
