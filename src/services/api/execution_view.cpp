// SPDX-License-Identifier: Apache-2.0
#include "services/api/execution_view.h"

#include <fmt/format.h>

#include "base/text.h"
#include "engine/machine/catalog.h"
#include "kernel/limits.h"
#include "packs/secrets.h"
#include "services/api/parse.h"

namespace millrace::api {

const Fields& ExecutionView::fields() {
  using V = ExecutionView;
  static const Field lines[] = {
      field("id", &V::id, ""),
      field("action", &V::action, "pack.name"),
      field("release", &V::release, "Digest of the pack release that it is pinned to."),
      field("status", &V::status, ""),
      field("failure", &V::failure, "Why it did not succeed, or needs a decision."),
      field("held", &V::held, "Why it waits, and for whom."),
      field("effect_class", &V::effect_class, "What may be done with a run that was lost."),
      field("priority", &V::priority, ""),
      field("attempt", &V::attempt, "From 1."),
      field("parent", &V::parent, ""),
      field("root", &V::root, "The top of its tree."),
      field("enforcement", &V::enforcement, "The match that asked for it."),
      field("original", &V::original, "Of a re-run: the execution that it repeats."),
      field("task", &V::task, "Of a step of a workflow: the task that it runs."),
      field("task_route", &V::task_route, "By which way the task was reached; 0: the only one."),
      field("task_item", &V::task_item, "Which item of the task, from 0."),
      field("timeout_ms", &V::timeout_ms, "").unit("ms"),
      field("created", &V::created, ""),
      field("updated", &V::updated, ""),
      field("started", &V::started, "Of the newest attempt."),
      field("ended", &V::ended, ""),
      field("duration_ms", &V::duration_ms, "From started to ended.").unit("ms"),
      field("identity", &V::identity, "Who asked for it."),
      field("trace", &V::trace, "W3C traceparent."),
      field("parameters", &V::parameters, "Secret ones are masked."),
      field("defaults", &V::defaults, "Names of those that were not given."),
      field("env", &V::env, "Added to the action's environment."),
      field("result", &V::result, "Up to 1 MiB."),
      field("result_error", &V::result_error, "Why a result does not stand here."),
      field("result_size", &V::result_size, "").unit("bytes"),
  };
  static const auto table = fields_of<V>("Execution", "One run of an action.", lines);
  return table;
}

ExecutionView brief_view(const kernel::ExecutionRow& row) {
  ExecutionView view;
  view.id = row.id;
  view.action = row.action;
  view.release = row.release;
  view.status = row.status;
  if (row.failure != FailureClass::None) view.failure = row.failure;
  if (!row.held.empty()) view.held = row.held;
  view.effect_class = row.effect_class;
  view.priority = row.priority;
  view.attempt = row.attempt;
  view.parent = row.parent;
  view.root = row.root;
  view.enforcement = row.enforcement;
  view.original = row.original;
  if (!row.task.empty()) {
    view.task = row.task;
    view.task_route = row.task_route;
    if (row.task_item >= 0) view.task_item = row.task_item;
  }
  if (row.timeout_ms > 0) view.timeout_ms = row.timeout_ms;
  view.created = {row.created};
  view.updated = {row.updated};
  view.started = {row.started};
  view.ended = {row.ended};
  if (row.started > 0 && row.ended > 0) view.duration_ms = row.ended - row.started;
  view.identity = row.identity;
  view.trace = row.trace;
  if (row.result_size > 0) view.result_size = row.result_size;
  return view;
}

std::shared_ptr<const Action> action_of(const engine::TenantCatalog& catalog,
                                        const std::string& action, const std::string& release) {
  auto found = catalog.find_action(action, release);
  return found ? found->action : nullptr;
}

ExecutionView full_view(const kernel::ExecutionRow& row, const engine::TenantCatalog& catalog) {
  auto view = brief_view(row);
  auto action = action_of(catalog, row.action, row.release);
  view.parameters = packs::mask_secrets(stored_json(row.parameters_json), action.get());
  if (!row.defaults.empty()) {
    Value names = Value::list();
    for (std::string_view name : split(row.defaults, ',')) names.push_back(name);
    view.defaults = std::move(names);
  }
  view.env = stored_json(row.env_json);
  if (!row.result_json.empty()) {
    view.result = stored_json(row.result_json);
  } else if (row.result_size > kernel::kShownResult.most) {
    view.result_error =
        fmt::format("{}; GET /api/v1/executions/{}/result has it whole",
                    kernel::exceeds(kernel::kShownResult, row.result_size), row.id.value);
  } else if (row.result_size > 0) {
    view.result_error = "its bytes are gone from the store; `millrace doctor` tells more";
  }
  return view;
}

}  // namespace millrace::api
