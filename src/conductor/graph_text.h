// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "conductor/definition.h"

// A workflow's graph for people and for tools.
namespace millrace::conductor {

// Where each task of a run stands, by its name; a task without one has not been reached.
using TaskStatuses = std::map<std::string, std::string, std::less<>>;

// {nodes: [{name, action, start?, join?, with_items?, retry?, ..., status?}],
//  edges: [{from, to, when?, else?, publish?}]}, in the order in which the tasks are reached.
Value graph_view(const Definition& definition, const TaskStatuses& statuses = {});

// A view as lines of text: a task, then the ways out of it.
std::string graph_text(const Value& view);

// A view in Graphviz' language: `dot -Tsvg`.
std::string graph_dot(const Value& view, std::string_view title);

}  // namespace millrace::conductor
