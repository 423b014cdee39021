// SPDX-License-Identifier: Apache-2.0
#include "app/workflow_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <tuple>

#include "app/embedded.h"
#include "base/files.h"
#include "base/yaml.h"
#include "cli/stdout.h"
#include "conductor/graph_text.h"
#include "conductor/inspect.h"
#include "conductor/rehearsal.h"
#include "engine/machine/catalog.h"
#include "packs/folder.h"
#include "packs/load.h"
#include "rules/check.h"

namespace millrace::app {
namespace {

constexpr size_t kMaxFile = 1 << 20;

// A workflow file, read and inspected.
struct Inspected {
  YamlNode document;
  expr::Mode mode;
  std::vector<conductor::Finding> findings;  // by line
};

Result<YamlNode> read_yaml(const std::string& file) {
  TRY(std::string text, read_file(file, kMaxFile));
  return parse_yaml(text, file);
}

// The pack that a file lies in; empty: it lies in none.
std::string pack_folder_of(const std::string& file) {
  std::error_code ec;
  auto folder = std::filesystem::absolute(file, ec).lexically_normal().parent_path();
  for (; folder != folder.parent_path(); folder = folder.parent_path()) {
    if (std::filesystem::exists(folder / "pack.yaml", ec)) return folder.string();
  }
  return {};
}

// Calls of its own pack and of core are looked at, too; what else is there it does not know.
Result<Inspected> inspect_file(const std::string& file, expr::Mode mode, expr::Engine& engine) {
  TRY(YamlNode document, read_yaml(file));
  auto core_files = core_pack();
  packs::PackReader core(core_files, engine);
  packs::PackFiles own_files;
  std::optional<packs::PackReader> own;
  rules::Catalog known;
  known.add(core.pack());
  if (auto folder = pack_folder_of(file); !folder.empty()) {
    TRY(own_files, packs::read_pack_folder(folder));
    own.emplace(own_files, engine, std::filesystem::path(folder).filename().string());
    known.add(own->pack());
  }
  auto options = engine::inspect_options(mode, engine::callees(known));
  auto findings = conductor::inspect(document, engine, options);
  std::ranges::sort(findings, {},
                    [](const auto& f) { return std::tie(f.line, f.path, f.message); });
  return Inspected{std::move(document), mode, std::move(findings)};
}

expr::Mode mode_of(const WorkflowOptions& options) {
  return options.language == "orquesta" ? expr::Mode::Orquesta : expr::Mode::Native;
}

Value shown(const conductor::Finding& finding) {
  return Value::map({{"line", finding.line},
                     {"class", conductor::to_string(finding.cls)},
                     {"path", finding.path},
                     {"message", finding.message}});
}

Value to_values(const std::vector<conductor::Finding>& findings) {
  Value list = Value::list();
  for (const auto& finding : findings) list.push_back(shown(finding));
  return list;
}

void print_findings(const std::string& file, const std::vector<conductor::Finding>& findings) {
  for (const auto& finding : findings) {
    std::string_view place = finding.path;
    cli::put("{}:{}: {}{}{}\n", file, finding.line, place, place.empty() ? "" : ": ",
             finding.message);
  }
}

void print_object(cli::Format format, const Value& value) {
  cli::put("{}", cli::Style{.format = format}.object(value));
}

Value strings(const std::vector<std::string>& texts) {
  return Value(ValueList(texts.begin(), texts.end()));
}

// One case of a rehearsal that has been played.
struct Played {
  const conductor::RehearsalCase* rehearsed;
  conductor::Outcome outcome;
  std::vector<conductor::Difference> differences;
};

Value to_value(const Played& played) {
  Value sequence = Value::list();
  for (const auto& step : played.outcome.sequence) {
    sequence.push_back(Value::map({{"task", step.task}, {"status", step.status}}));
  }
  Value differences = Value::list();
  for (const auto& difference : played.differences) {
    differences.push_back(Value::map({{"what", difference.what},
                                      {"expected", difference.expected},
                                      {"found", difference.found}}));
  }
  return Value::map({{"name", played.rehearsed->name},
                     {"line", played.rehearsed->line},
                     {"passed", played.differences.empty()},
                     {"differences", std::move(differences)},
                     {"status", played.outcome.status},
                     {"sequence", std::move(sequence)},
                     {"output", played.outcome.output},
                     {"errors", strings(played.outcome.errors)},
                     {"waiting", strings(played.outcome.waiting)}});
}

void print_case(const Played& played) {
  bool passed = played.differences.empty();
  cli::put("{}  {}\n", passed ? "ok  " : "FAIL", played.rehearsed->name);
  if (passed) return;
  for (const auto& difference : played.differences) {
    cli::put("        {}\n          expected  {}\n          found     {}\n", difference.what,
             difference.expected, difference.found);
  }
  for (const std::string& error : played.outcome.errors) cli::put("        error: {}\n", error);
}

int print_rehearsal(const WorkflowOptions& options, const std::string& workflow,
                    const std::vector<Played>& played) {
  auto failed =
      std::ranges::count_if(played, [](const Played& p) { return !p.differences.empty(); });
  if (options.format == cli::Format::Table) {
    for (const Played& one : played) print_case(one);
    cli::put("{}: {} of {} cases as expected\n", options.file,
             static_cast<std::ptrdiff_t>(played.size()) - failed, played.size());
  } else {
    Value cases = Value::list();
    for (const Played& one : played) cases.push_back(to_value(one));
    print_object(options.format, Value::map({{"file", options.file},
                                             {"workflow", workflow},
                                             {"passed", failed == 0},
                                             {"cases", std::move(cases)}}));
  }
  return failed == 0 ? 0 : 1;
}

int print_inspection(cli::Format format, const std::string& file,
                     const std::vector<conductor::Finding>& findings) {
  if (format == cli::Format::Table) {
    print_findings(file, findings);
    cli::put("{}: {} errors\n", file, findings.size());
  } else {
    print_object(format, Value::map({{"file", file}, {"errors", to_values(findings)}}));
  }
  return findings.empty() ? 0 : 1;
}

}  // namespace

Result<int> workflow_inspect(const WorkflowOptions& options) {
  expr::Engine engine;
  TRY(auto inspected, inspect_file(options.file, mode_of(options), engine));
  return print_inspection(options.format, options.file, inspected.findings);
}

namespace {

std::vector<Problem> problems_of(const Inspected& inspected, const std::string& file) {
  std::vector<Problem> problems;
  for (const auto& finding : inspected.findings) {
    problems.push_back({fmt::format("{}:{}", file, finding.line),
                        finding.path.empty()
                            ? finding.message
                            : fmt::format("{}: {}", finding.path, finding.message)});
  }
  return problems;
}

}  // namespace

// What can be drawn is drawn, whatever inspecting it would tell.
Result<int> workflow_graph(const WorkflowOptions& options, bool dot) {
  expr::Engine engine;
  TRY(auto inspected, inspect_file(options.file, mode_of(options), engine));
  auto definition =
      conductor::Definition::compile(inspected.document.value, engine, mode_of(options));
  if (!definition.ok()) {
    return std::move(definition).error().with_problems(problems_of(inspected, options.file));
  }
  Value view = conductor::graph_view(**definition);
  if (view["nodes"].size() == 0) {
    return Error(ErrorKind::Invalid, "CND-0016",
                 fmt::format("'{}' has no tasks to draw", options.file))
        .with_problems(problems_of(inspected, options.file));
  }
  if (options.format != cli::Format::Table) {
    print_object(options.format, view);
  } else {
    cli::put("{}", dot ? conductor::graph_dot(view, options.file) : conductor::graph_text(view));
  }
  return 0;
}

Result<int> workflow_test(const WorkflowOptions& options) {
  TRY(YamlNode document, read_yaml(options.file));
  TRY(auto rehearsal, conductor::read_rehearsal(document, options.file));
  std::string workflow =
      (std::filesystem::path(options.file).parent_path() / rehearsal.workflow).string();
  expr::Engine engine;
  TRY(auto inspected, inspect_file(workflow, rehearsal.mode, engine));
  if (!inspected.findings.empty()) {
    return print_inspection(options.format, workflow, inspected.findings);
  }
  TRY(auto definition,
      conductor::Definition::compile(inspected.document.value, engine, rehearsal.mode));
  std::vector<Played> played;
  for (const auto& rehearsed : rehearsal.cases) {
    TRY(auto outcome, conductor::rehearse(definition, rehearsed, engine));
    auto differences = conductor::differences(rehearsed.expect, outcome);
    played.push_back({&rehearsed, std::move(outcome), std::move(differences)});
  }
  return print_rehearsal(options, workflow, played);
}

Result<int> execution_graph(cli::Context& context) {
  const auto& id = context.in.get("ID");
  TRY(Value graph, context.session.get("/api/v1/executions/" + id + "/graph"));
  if (context.in.has("--dot")) {
    context.print(conductor::graph_dot(graph, graph.string_or("action", "")));
  } else if (!context.is_table()) {
    context.print_object(graph);
  } else {
    context.print(conductor::graph_text(graph));
  }
  return 0;
}

}  // namespace millrace::app
