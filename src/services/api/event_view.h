// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/fields.h"
#include "kernel/rows.h"

namespace millrace::api {

// An event as the API shows it. In lists without payload.
struct EventView {
  EventId id;
  std::string trigger;
  std::string source;
  std::string source_id;
  std::optional<std::string> type;
  EventId replay_of;
  std::string trace;
  Timestamp created;
  std::optional<Value> trigger_parameters;
  std::optional<Value> payload;

  static const Fields& fields();
};
EventView brief_view(const kernel::EventRow& row);
EventView full_view(const kernel::EventRow& row);

// What a sender gets.
struct AcceptedView {
  EventId event;
  bool duplicate = false;

  static const Fields& fields();
};

struct EnforcementView {
  EnforcementId id;
  RuleId rule;
  std::string rule_ref;
  int64_t rule_revision = 0;
  EventId event;
  ExecutionId execution;
  kernel::EnforcementStatus status = kernel::EnforcementStatus::Created;
  std::optional<std::string> error;
  Value verdicts;
  Timestamp created;

  static const Fields& fields();
};
EnforcementView enforcement_view(const kernel::EnforcementRow& row);

Error no_event(EventId id);  // NotFound, EVT-0002

}  // namespace millrace::api
