// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/problems.h"
#include "conductor/flow.h"
#include "conductor/inspect.h"
#include "conductor/spec.h"

namespace millrace::conductor {

// Findings that one part gathers at most: more than are told, as some of them are found twice. It
// stops there, before it looks for what is dear to tell (the nearest name).
inline constexpr size_t kMostFindings = 2 * kMostProblems;

// The parts of inspect(). Each appends its findings in the order of the reference's walk.
void check_semantics(const Spec& spec, const Flow& flow, std::vector<Finding>& findings);
void check_expressions(const Value& document, const Spec& spec, expr::Engine& engine,
                       std::vector<Finding>& findings);
void check_context(const Value& document, const Spec& spec, const Flow& flow, expr::Engine& engine,
                   const std::vector<std::string>& known, std::vector<Finding>& findings);
void check_content(const Spec& spec, const FindAction& find_action, std::vector<Finding>& findings);

// Sets the lines of the findings.
void find_lines(const YamlNode& document, std::vector<Finding>& findings);

// A place of the document, by its path there and in the schema.
struct Place {
  std::string path;
  std::string schema;

  Place member(std::string_view name) const;
  Place item(size_t i) const;     // an item with a shape of its own
  Place element(size_t i) const;  // an item that the reference gives the schema path of its list
};
Place task_place(std::string_view task);

// `tasks.a.next[0]` as a JSON pointer: `/tasks/a/next/0`.
std::string to_pointer(std::string_view path);

inline constexpr std::string_view kTasksSchema = "properties.tasks";
inline constexpr std::string_view kTaskSchema = R"(properties.tasks.patternProperties.^\w+$)";

}  // namespace millrace::conductor
