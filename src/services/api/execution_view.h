// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/fields.h"
#include "engine/engine.h"
#include "engine/machine/catalog.h"
#include "kernel/rows.h"

namespace millrace::api {

// An execution as the API shows it. In lists without parameters, env and result.
struct ExecutionView {
  ExecutionId id;
  std::string action;
  std::string release;
  ExecutionStatus status = ExecutionStatus::Requested;
  std::optional<FailureClass> failure;
  std::optional<std::string> held;
  EffectClass effect_class = EffectClass::AtMostOnce;
  Priority priority = Priority::Normal;
  int32_t attempt = 1;
  ExecutionId parent;
  ExecutionId root;
  EnforcementId enforcement;
  ExecutionId original;
  std::optional<std::string> task;
  std::optional<int32_t> task_route;
  std::optional<int32_t> task_item;
  std::optional<int64_t> timeout_ms;
  Timestamp created;
  Timestamp updated;
  Timestamp started;
  Timestamp ended;
  std::optional<int64_t> duration_ms;
  std::string identity;
  std::string trace;
  std::optional<Value> parameters;
  std::optional<Value> defaults;  // names of those that were not given
  std::optional<Value> env;
  std::optional<Value> result;
  std::optional<std::string> result_error;
  std::optional<int64_t> result_size;

  static const Fields& fields();
};

ExecutionView brief_view(const kernel::ExecutionRow& row);
// Secret parameters are masked. The result as far as the row has it: one that is larger was read
// through before (read_result).
ExecutionView full_view(const kernel::ExecutionRow& row, const engine::TenantCatalog& catalog);

// The action as the execution's release has it, or nullptr when that release is gone.
std::shared_ptr<const Action> action_of(const engine::TenantCatalog& catalog,
                                        const std::string& action, const std::string& release);

}  // namespace millrace::api
