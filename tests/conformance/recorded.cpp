// SPDX-License-Identifier: Apache-2.0
#include "recorded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "base/json.h"

namespace millrace::conformance {

std::vector<Value> read_lines(const std::filesystem::path& file) {
  std::vector<Value> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    auto value = parse_json(line, {.rounds_numbers = true});  // Python's have no end
    if (!value.ok()) {
      fmt::print(stderr, "{}:{}: {}\n", file.string(), lines.size() + 1, value.error().message());
      std::exit(2);
    }
    lines.push_back(std::move(*value));
  }
  return lines;
}

Tally run_set(std::string set, std::string way, const std::vector<Value>& cases,
              const std::function<Verdict(const Value&)>& run) {
  Tally tally{std::move(set), std::move(way), 0, cases.size(), {}};
  for (size_t i = 0; i < cases.size(); ++i) {
    Verdict verdict = run(cases[i]);
    if (verdict.empty()) {
      ++tally.passed;
      continue;
    }
    std::string id(cases[i].string_or("id", ""));
    tally.failures.emplace_back(id.empty() ? fmt::format("case {}", i + 1) : id, verdict);
  }
  return tally;
}

std::string shown(const Value& value) {
  constexpr size_t kLongest = 400;
  std::string text = to_json(value);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

Verdict differ(std::string_view what, const Value& expected, const Value& found) {
  if (same_recorded(expected, found)) return {};
  return fmt::format("{}: expected {}, found {}", what, shown(expected), shown(found));
}

namespace {

bool same_set(const ValueList& expected, ValueList found) {
  if (expected.size() != found.size()) return false;
  for (const Value& value : expected) {
    auto it = std::ranges::find_if(found, [&](const Value& f) { return same_recorded(value, f); });
    if (it == found.end()) return false;
    found.erase(it);
  }
  return true;
}

}  // namespace

bool same_recorded(const Value& expected, const Value& found) {
  if (expected.is_map() && expected.size() == 1) {
    if (expected.find("__repr__")) return true;
    if (const Value* set = expected.find("__set__")) {
      return found.is_list() && same_set(set->as_list(), found.as_list());
    }
  }
  if (expected.is_list() && found.is_list()) {
    return std::ranges::equal(expected.as_list(), found.as_list(), same_recorded);
  }
  if (expected.is_map() && found.is_map()) {
    if (expected.size() != found.size()) return false;
    return std::ranges::all_of(expected.as_map(), [&](const auto& entry) {
      const Value* match = found.find(entry.name());
      return match && same_recorded(entry.value, *match);
    });
  }
  return expected.kind() == found.kind() && expected == found;
}

void RecordedLookup::note_task(std::string_view id, int64_t route, Value task) {
  tasks_.set(fmt::format("{}|{}", id, route), std::move(task));
}

const Value* RecordedLookup::noted_task(std::string_view id, int64_t route) const {
  return tasks_.find(fmt::format("{}|{}", id, route));
}

expr::Answer RecordedLookup::kv(std::string_view key, bool) const {
  const Value* found = kv_.find(key);
  return found ? expr::Answer::of(*found) : expr::Answer::absent();
}

expr::Answer RecordedLookup::task(std::optional<std::string_view> id,
                                  std::optional<int64_t> route) const {
  const Value* found = noted_task(id.value_or(""), route.value_or(0));
  return found ? expr::Answer::of(*found) : expr::Answer::absent();
}

expr::Answer RecordedLookup::task_status(std::string_view id, std::optional<int64_t> route) const {
  const Value& state = ctx_["__state"];
  std::optional<int64_t> at = route.value_or(ctx_["__current_task"].int_or("route", 0));
  for (; at; at = earlier_route(*at)) {
    const Value* index = state["tasks"].find(fmt::format("{}__r{}", id, *at));
    if (!index) continue;
    const Value& entry = state["sequence"].as_list()[static_cast<size_t>(index->as_int())];
    return expr::Answer::of(Value(entry.string_or("status", "null")));
  }
  return expr::Answer::of(Value("null"));
}

std::optional<int64_t> RecordedLookup::earlier_route(int64_t route) const {
  if (route <= 0) return std::nullopt;
  const auto& routes = ctx_["__state"]["routes"].as_list();
  const auto& steps = routes[static_cast<size_t>(route)].as_list();
  for (int64_t i = route - 1; i >= 0; --i) {
    bool inside = std::ranges::all_of(routes[static_cast<size_t>(i)].as_list(), [&](auto& step) {
      return std::ranges::find(steps, step) != steps.end();
    });
    if (inside) return i;
  }
  return std::nullopt;
}

expr::Answer RecordedLookup::current_status() const {
  const Value& task = ctx_["__current_task"];
  if (!task.is_map()) return expr::Answer::absent();
  return task_status(task.string_or("id", ""), task.int_or("route", 0));
}

expr::Answer RecordedLookup::result() const {
  const Value& task = ctx_["__current_task"];
  return task.is_map() ? expr::Answer::of(task["result"]) : expr::Answer::absent();
}

expr::Answer RecordedLookup::item() const {
  const Value* item = ctx_.find("__current_item");
  return item ? expr::Answer::of(*item) : expr::Answer::absent();
}

}  // namespace millrace::conformance
