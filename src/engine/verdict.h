// SPDX-License-Identifier: Apache-2.0
// What rules make of events, for people who ask: nothing is stored or run. All of it is computed
// from the store, of the event and of the rule as it stood: every server says the same, after a
// restart too. The time is the event's. What rules read of keys and configurations is of today.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/value.h"
#include "engine/engine.h"
#include "kernel/rows.h"
#include "model/pack.h"

namespace millrace::engine {

class Judgement;

// A rule held against an event.
struct RuleVerdict {
  RuleSpec spec;
  int64_t revision = 0;
  EventId event;
  int64_t event_created = 0;
  bool matched = false;
  std::string reason;     // when it was not even tried: disabled, other trigger, not there yet
  Value criteria;         // list of {criterion, operator, holds, expected, found, note, parts}
  Value parameters;       // rendered, when it matched
  std::string error;      // the parameters could not be rendered
  ExecutionId execution;  // that it started
};

// A rule against an event of the past or one that is given. Blocks: reads the keys that it names.
Result<RuleVerdict> test_rule(const Engine& engine, sql::Connection& reader, const RuleSpec& spec,
                              const kernel::EventRow& event);
// The same against the last events of its trigger, newest first; of 16 MiB of payloads at most.
Result<std::vector<RuleVerdict>> test_rule_on_last(const Engine& engine, sql::Connection& reader,
                                                   TenantId tenant, const RuleSpec& spec,
                                                   int limit);

// The rule as it was when the event came.
Result<RuleVerdict> why(const Engine& engine, sql::Connection& reader, TenantId tenant,
                        const std::string& rule_ref, EventId event);
// The same of the last events of the rule's trigger.
Result<std::vector<RuleVerdict>> last_verdicts(const Engine& engine, sql::Connection& reader,
                                               TenantId tenant, const std::string& rule_ref,
                                               int limit);

// All rules on the trigger of one event.
struct EventVerdicts {
  size_t rules = 0;                   // on its trigger
  size_t matched = 0;                 // of those that were judged
  size_t judged = 0;                  // at most kMostJudged
  std::vector<RuleVerdict> verdicts;  // those that matched, then those that came nearest
};
inline constexpr size_t kMostJudged = 1000;
enum class RulesOf : uint8_t { ThatTime, Today };
Result<EventVerdicts> judge_event(const Engine& engine, sql::Connection& reader,
                                  const kernel::EventRow& event, RulesOf rules, size_t limit);

}  // namespace millrace::engine
