// SPDX-License-Identifier: Apache-2.0
// conformance [--time] [DIR]: replays each recorded set of a folder and prints how many cases came
// out as recorded. Exit 0: all did, or there is no folder (said visibly).
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "recorded.h"

namespace millrace::conformance {
namespace {

namespace fs = std::filesystem;

fs::path default_folder() {
  const char* named = std::getenv("MILLRACE_CONFORMANCE_DIR");
  fs::path base = named ? fs::path(named) : fs::path(MILLRACE_SOURCE_DIR) / "../shared/conformance";
  return fs::exists(base / "orquesta") ? base / "orquesta" : base;
}

// Recorded as an error with stand-ins that lack what StackStorm does before: docs/conformance.md.
constexpr std::string_view kFault = "<% to_json_string({a => 1}) %>";

// Without ids of their own: the first line holds the context of all others.
std::vector<Value> handmade(const fs::path& file) {
  auto lines = read_lines(file);
  std::vector<Value> cases;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].string_or("expr", "") == kFault) continue;
    lines[i].set("ctx", lines[0]["ctx"]);
    lines[i].set("id", fmt::format("line {}", i + 1));
    cases.push_back(std::move(lines[i]));
  }
  return cases;
}

Tally run_expressions(const fs::path& file) {
  std::string name = file.filename().string();
  bool by_hand = name == "expressions-handmade.jsonl";
  size_t mended = 0;
  std::string late;
  auto run_one = [&](const Value& c) {
    size_t before = mended;
    Verdict verdict = run_expression(c, mended);
    if (mended > before) late += fmt::format("  {}: recorded late\n", c.string_or("id", "?"));
    return verdict;
  };
  Tally tally = run_set(name, "", by_hand ? handmade(file) : read_lines(file), run_one);
  if (mended > 0) tally.way = fmt::format("{} recorded late", mended);
  fmt::print("{}", late);
  return tally;
}

Tally run_operators(const fs::path& file) {
  auto cases = read_lines(file);
  size_t searches = std::erase_if(cases, [](const Value& c) { return c["args"].size() != 2; });
  return run_set(file.filename().string(), fmt::format("{} search apart", searches), cases,
                 run_operator);
}

// Recorded without what StackStorm does before (docs/conformance.md): maps written by YAQL's
// functions. tools/st2_orquesta.py runs this workflow as StackStorm's own test has it.
bool is_recorded_late(const Value& recorded) {
  return recorded.string_or("source", "").ends_with("yaql-data-functions.yaml");
}

std::vector<Tally> run_file(const fs::path& file) {
  std::string name = file.filename().string();
  if (name.starts_with("conducting-")) {
    auto cases = read_lines(file);
    size_t late = std::erase_if(cases, is_recorded_late);
    auto way = [late](std::string_view how) {
      return late == 0 ? std::string(how) : fmt::format("{}, {} late apart", how, late);
    };
    return {
        run_set(name, way("plain"), cases, [](const Value& c) { return run_conducting(c, false); }),
        run_set(name, way("written"), cases,
                [](const Value& c) { return run_conducting(c, true); })};
  }
  if (name == "inspection.jsonl") return {run_set(name, "", read_lines(file), run_inspection)};
  if (name == "graphs.jsonl") return {run_set(name, "", read_lines(file), run_graph)};
  if (name.starts_with("expressions")) return {run_expressions(file)};
  if (name == "rule-operators.jsonl") return {run_operators(file)};
  fmt::print("{:40} not known, not run\n", name);
  return {};
}

int run(const fs::path& folder) {
  size_t passed = 0;
  size_t total = 0;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  for (const fs::path& file : files) {
    for (const Tally& tally : run_file(file)) {
      fmt::print("{:40} {:16} {:5}/{}\n", tally.set, tally.way, tally.passed, tally.total);
      for (const auto& [id, verdict] : tally.failures) fmt::print("  {}: {}\n", id, verdict);
      passed += tally.passed;
      total += tally.total;
    }
  }
  fmt::print("{} of {} cases as recorded in {}\n", passed, total, folder.string());
  return passed == total && total > 0 ? 0 : 1;
}

int time(const fs::path& folder) {
  Value medians = time_conducting(read_lines(folder / "conducting-unit.jsonl"));
  fmt::print("median us per operation over conducting-unit: {}\n", to_json(medians));
  return 0;
}

}  // namespace
}  // namespace millrace::conformance

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  bool timing = argc > 1 && std::string_view(argv[1]) == "--time";
  int first = timing ? 2 : 1;
  bool named = argc > first;
  fs::path folder = named ? fs::path(argv[first]) : millrace::conformance::default_folder();
  if (!fs::is_directory(folder)) {
    fmt::print("conformance: 0 cases run: no folder {}; set MILLRACE_CONFORMANCE_DIR\n",
               folder.string());
    return named ? 2 : 0;
  }
  return timing ? millrace::conformance::time(folder) : millrace::conformance::run(folder);
}
