// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/json.h"
#include "expr/expr.h"

// Evaluates recorded expressions of the reference: those of the conformance folder (found by
// MILLRACE_CONFORMANCE_DIR, or as shared/conformance beside the source tree or above it), and those
// of testdata/, which were made for this module.
namespace millrace::expr {
namespace {

std::filesystem::path conformance_folder() {
  if (const char* named = std::getenv("MILLRACE_CONFORMANCE_DIR")) return named;
  std::filesystem::path at = std::filesystem::path(MILLRACE_SOURCE_DIR);
  for (; at.has_relative_path(); at = at.parent_path()) {
    if (std::filesystem::exists(at.parent_path() / "shared/conformance")) {
      return at.parent_path() / "shared/conformance";
    }
  }
  return {};
}

// The workflow state that the recordings carry in the context.
class RecordedState : public Lookup {
 public:
  explicit RecordedState(const Value& ctx)
      : state_(ctx["__state"]), task_(ctx["__current_task"]), item_(ctx["__current_item"]) {}

  Answer task_status(std::string_view id, std::optional<int64_t> route) const override {
    int64_t at = route.value_or(task_.int_or("route", 0));
    while (true) {
      const Value* index = state_["tasks"].find(std::string(id) + "__r" + std::to_string(at));
      if (index) {
        const Value& entry = state_["sequence"].as_list()[static_cast<size_t>(index->as_int())];
        return Answer::of(entry["status"]);
      }
      auto earlier = earlier_route(at);
      if (!earlier) return Answer::absent();
      at = *earlier;
    }
  }
  Answer current_status() const override {
    if (task_.size() == 0) return Answer::absent();
    Answer status = task_status(task_["id"].as_string(), task_["route"].as_int());
    return status.found() && status.value().is_string() ? status : Answer::of(Value("unset"));
  }
  Answer result() const override {
    return task_.size() == 0 ? Answer::absent() : Answer::of(task_["result"]);
  }
  Answer item() const override { return Answer::of(item_); }

 private:
  std::optional<int64_t> earlier_route(int64_t route) const {
    if (route <= 0) return {};
    const auto& routes = state_["routes"].as_list();
    const auto& now = routes[static_cast<size_t>(route)].as_list();
    for (int64_t i = route - 1; i >= 0; --i) {
      bool inside = true;
      for (const auto& step : routes[static_cast<size_t>(i)].as_list()) {
        inside &= std::find(now.begin(), now.end(), step) != now.end();
      }
      if (inside) return i;
    }
    return {};
  }

  Value state_, task_, item_;
};

bool same_kind(const Value& a, const Value& b) { return a.kind() == b.kind() && a == b; }

bool matches(const Value& actual, const Value& expected) {
  if (expected.find("__repr__")) return true;
  if (const Value* set = expected.find("__set__")) {
    if (!actual.is_list() || actual.size() != set->size()) return false;
    for (const auto& item : set->as_list()) {
      bool found = false;
      for (const auto& other : actual.as_list()) found |= same_kind(item, other);
      if (!found) return false;
    }
    return true;
  }
  if (actual.kind() != expected.kind() || actual.size() != expected.size()) return false;
  if (expected.is_list()) {
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!matches(actual.as_list()[i], expected.as_list()[i])) return false;
    }
    return true;
  }
  if (expected.is_map()) {
    for (const auto& entry : expected.as_map()) {
      const Value* other = actual.find(entry.name());
      if (!other || !matches(*other, entry.value)) return false;
    }
    return true;
  }
  return actual == expected;
}

// Some contexts were recorded after the transition had published this very result into them. Gives
// the variables that hold it the value that the state says they had before.
Value before_publishing(const Value& ctx, const Value& result) {
  Value out = ctx;
  for (const auto& entry : ctx.as_map()) {
    if (entry.name().starts_with("__") || !(entry.value == result)) continue;
    out.mutable_map().erase(entry.name());
    for (const auto& part : ctx["__state"]["contexts"].as_list()) {
      const Value* before = part.find(entry.name());
      if (before && !(*before == result)) out.set(entry.name(), *before);
    }
  }
  return out;
}

// Recorded as an error with stand-ins that lack what StackStorm does before: docs/conformance.md.
constexpr std::string_view kFault = "<% to_json_string({a => 1}) %>";

struct Tally {
  int passed = 0;
  int total = 0;
  int published_before = 0;
};

Result<Value> evaluate(const Value& expr, const Value& ctx, Engine& engine) {
  RecordedState state(ctx);
  Value visible = Value::map();
  for (const auto& entry : ctx.as_map()) {
    if (!entry.name().starts_with("__")) visible.set(entry.name(), entry.value);
  }
  return engine.render(expr, {.ctx = visible, .lookup = &state, .mode = Mode::Orquesta});
}

bool passes(const Value& line, const Result<Value>& result) {
  if (line.find("error")) return !result.ok();
  if (!result.ok()) return false;
  // Random numbers cannot be compared.
  if (to_json(line["expr"]).find("random(") != std::string::npos) {
    return result->kind() == line["result"].kind();
  }
  return matches(*result, line["result"]);
}

void run_case(const Value& line, const Value& ctx, Engine& engine, Tally& tally) {
  ++tally.total;
  auto result = evaluate(line["expr"], ctx, engine);
  bool passed = passes(line, result);
  if (!passed && ctx.find("__state")) {
    passed = passes(line, evaluate(line["expr"], before_publishing(ctx, line["result"]), engine));
    tally.published_before += passed ? 1 : 0;
  }
  tally.passed += passed ? 1 : 0;
  if (passed) return;
  const Value* error = line.find("error");
  ADD_FAILURE() << line.string_or("id", "") << " " << to_json(line["expr"]) << "\n  expected "
                << (error ? "error " + to_json(line["detail"]) : to_json(line["result"]))
                << "\n  found    " << (result.ok() ? to_json(*result) : result.error().describe());
}

void run_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    std::cout << "conformance: 0 cases were run: " << path << " is not there\n";
    GTEST_SKIP();
  }
  Engine engine;
  Tally tally;
  Value ctx = Value::map();
  for (std::string text; std::getline(file, text);) {
    auto line = parse_json(text, {.rounds_numbers = true});
    ASSERT_TRUE(line.ok()) << line.error().describe() << "\n" << text;
    if (!line->find("expr")) {
      ctx = (*line)["ctx"];
      continue;
    }
    if (line->find("error") && line->string_or("expr", "") == kFault) continue;
    run_case(*line, line->find("ctx") ? (*line)["ctx"] : ctx, engine, tally);
  }
  std::cout << "conformance: " << path.filename().string() << " " << tally.passed << "/"
            << tally.total << " (" << tally.published_before
            << " contexts recorded after publishing)\n";
  EXPECT_GT(tally.total, 0);
}

std::filesystem::path own(const std::string& name) {
  return std::filesystem::path(MILLRACE_SOURCE_DIR) / "src/expr/testdata" / name;
}
std::filesystem::path recorded(const std::string& name) {
  return conformance_folder() / "orquesta" / name;
}

TEST(Conformance, RecordedExpressions) { run_file(recorded("expressions.jsonl")); }
TEST(Conformance, HandMadeExpressions) { run_file(recorded("expressions-handmade.jsonl")); }
TEST(Conformance, Yaql) { run_file(own("yaql.jsonl")); }
TEST(Conformance, Jinja) { run_file(own("jinja.jsonl")); }
TEST(Conformance, TextsAndTags) { run_file(own("text.jsonl")); }

}  // namespace
}  // namespace millrace::expr
