// SPDX-License-Identifier: Apache-2.0
#include "engine/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/json.h"
#include "engine/judgement.h"
#include "engine/transitions/rule_rows.h"
#include "store/read.h"

namespace millrace::engine {

using namespace kernel;

namespace {

constexpr size_t kMostPayloads = 16 << 20;  // of the events that one question reads, in bytes

Result<rules::RulePtr> compiled_row(const RuleRow& row, Judgement& judgement) {
  TRY(Value stored, parse_json(row.spec_json, kOwnJson));
  TRY(auto spec, rule_from_value(stored));
  return rules::compile(std::move(spec), row.id, row.revision, judgement.expressions());
}

const EnforcementRow* made_by(const std::vector<EnforcementRow>& made, RuleId rule) {
  auto found = std::ranges::find(made, rule, &EnforcementRow::rule);
  return found == made.end() ? nullptr : &*found;
}

// What has become of the event goes before what is computed: keys change.
void add_what_was_made(RuleVerdict& verdict, const EnforcementRow* made,
                       const std::vector<EnforcementRow>& of_others) {
  if (made) {
    if (!verdict.matched) {
      verdict.reason = "it matched then: what it reads of keys or configurations has changed since";
      if (auto then = parse_json(made->verdicts_json, kOwnJson); then.ok()) {  // may fail: as now
        verdict.criteria = std::move(*then);
      }
    }
    verdict.matched = true;
    verdict.execution = made->execution;
    if (verdict.error.empty()) verdict.error = made->error;
    return;
  }
  if (!verdict.matched) return;
  verdict.matched = false;
  if (verdict.spec.backstop && !of_others.empty()) {
    verdict.reason =
        fmt::format("it is a backstop, and rule '{}' has matched", of_others.front().rule_ref);
  } else {
    verdict.reason =
        "its criteria hold, but it did not match then: the event still waits, or what the rule "
        "names or reads (trigger, action, keys, configuration) was not there or was another";
  }
}

RuleVerdict not_there(RuleSpec spec, const EventRow& event, std::string reason) {
  RuleVerdict verdict;
  verdict.spec = std::move(spec);
  verdict.event = event.id;
  verdict.event_created = event.created;
  verdict.reason = std::move(reason);
  verdict.criteria = Value::list();
  return verdict;
}

Result<EventRow> event_of(sql::Connection& reader, TenantId tenant, EventId id) {
  TRY(auto event, store::find_event(reader, tenant, id));
  if (event) return *std::move(event);
  return Error(ErrorKind::NotFound, "EVT-0002", fmt::format("no event {}", id.value));
}

Result<RuleVerdict> why_of(const Engine& engine, sql::Connection& reader,
                           const std::string& rule_ref, const EventRow& event) {
  TRY(auto then, store::rule_at(reader, event.tenant, rule_ref, event.created));
  if (!then || then->deleted) {
    TRY(auto newest, store::find_rule(reader, event.tenant, rule_ref));
    if (!newest) {
      return Error(ErrorKind::NotFound, "RUL-0101", fmt::format("no rule '{}'", rule_ref));
    }
    TRY(Value stored, parse_json(newest->spec_json, kOwnJson));
    TRY(auto spec, rule_from_value(stored));
    auto verdict = not_there(std::move(spec), event,
                             then ? "the rule was deleted when the event came"
                                  : "the rule did not exist yet when the event came");
    verdict.revision = then ? then->revision : 0;
    return verdict;
  }
  TRY(auto judgement, Judgement::create(engine, reader, event));
  TRY(auto rule, compiled_row(*then, judgement));
  TRY(auto made, store::enforcements_of(reader, event.tenant, event.id));
  const auto* own = made_by(made, then->id);
  TRY(auto verdict, judgement.of(*rule, own ? own->id : EnforcementId{}));
  add_what_was_made(verdict, own, made);
  return verdict;
}

// The last events of a trigger, with payloads.
Result<std::vector<EventRow>> last_events(sql::Connection& reader, TenantId tenant,
                                          const std::string& trigger, int limit) {
  TRY(auto heads, store::list_events(reader, tenant, trigger, {.limit = limit}));
  std::vector<EventRow> events;
  size_t bytes = 0;
  for (const auto& head : heads) {
    TRY(auto event, store::find_event(reader, tenant, head.id));
    if (!event) continue;  // retention has come between
    bytes += event->payload_json.size();
    if (bytes > kMostPayloads && !events.empty()) break;
    events.push_back(*std::move(event));
  }
  return events;
}

size_t failing(const RuleVerdict& verdict) {
  if (!verdict.criteria.is_list()) return 0;
  return static_cast<size_t>(std::ranges::count_if(
      verdict.criteria.as_list(), [](const Value& one) { return !one.bool_or("holds", false); }));
}

}  // namespace

Result<RuleVerdict> test_rule(const Engine& engine, sql::Connection& reader, const RuleSpec& spec,
                              const EventRow& event) {
  TRY(auto judgement, Judgement::create(engine, reader, event));
  const auto* entry = judgement.catalog().find_rule(spec.ref);
  TRY(auto rule, rules::compile(spec, entry ? entry->row.id : RuleId{1},
                                entry ? entry->row.revision : 1, judgement.expressions()));
  return judgement.of(*rule);
}

Result<std::vector<RuleVerdict>> test_rule_on_last(const Engine& engine, sql::Connection& reader,
                                                   TenantId tenant, const RuleSpec& spec,
                                                   int limit) {
  TRY(auto events, last_events(reader, tenant, spec.trigger, limit));
  std::vector<RuleVerdict> verdicts;
  for (const auto& event : events) {
    TRY(auto verdict, test_rule(engine, reader, spec, event));
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

Result<RuleVerdict> why(const Engine& engine, sql::Connection& reader, TenantId tenant,
                        const std::string& rule_ref, EventId event_id) {
  TRY(auto event, event_of(reader, tenant, event_id));
  return why_of(engine, reader, rule_ref, event);
}

Result<std::vector<RuleVerdict>> last_verdicts(const Engine& engine, sql::Connection& reader,
                                               TenantId tenant, const std::string& rule_ref,
                                               int limit) {
  TRY(auto newest, store::find_rule(reader, tenant, rule_ref));
  if (!newest) return no_rule(*engine.catalog(tenant), rule_ref);
  TRY(Value stored, parse_json(newest->spec_json, kOwnJson));
  TRY(auto spec, rule_from_value(stored));
  TRY(auto events, last_events(reader, tenant, spec.trigger, limit));
  std::vector<RuleVerdict> verdicts;
  for (const auto& event : events) {
    TRY(auto verdict, why_of(engine, reader, rule_ref, event));
    verdicts.push_back(std::move(verdict));
  }
  return verdicts;
}

namespace {

// Holds the rules on one event's trigger against it, each as `RulesOf` says.
class EventJudge {
 public:
  EventJudge(sql::Connection& reader, const EventRow& event, RulesOf rules, Judgement& judgement)
      : reader_(reader), event_(event), rules_(rules), judgement_(judgement) {}

  EventVerdicts out;

  Result<void> judge_all() {
    if (rules_ == RulesOf::ThatTime) {
      TRY(made_, store::enforcements_of(reader_, event_.tenant, event_.id));
    }
    for (const auto& [ref, entry] : judgement_.catalog().rules()) {
      if (entry->spec.trigger != event_.trigger) continue;
      ++out.rules;
      if (out.judged < kMostJudged) {
        TRY(judge(*entry));
      }
    }
    if (rules_ == RulesOf::Today) hold_back_backstops();
    auto nearer = [](const RuleVerdict& a, const RuleVerdict& b) {
      return std::tuple(!a.matched, failing(a), std::string_view(a.spec.ref)) <
             std::tuple(!b.matched, failing(b), std::string_view(b.spec.ref));
    };
    std::ranges::sort(out.verdicts, nearer);
    out.matched =
        static_cast<size_t>(std::ranges::count(out.verdicts, true, &RuleVerdict::matched));
    return {};
  }

 private:
  Result<void> judge(const RuleEntry& entry) {
    rules::RulePtr rule = entry.compiled;
    if (rules_ == RulesOf::ThatTime && entry.row.updated > event_.created) {
      TRY(auto then, store::rule_at(reader_, event_.tenant, entry.row.ref, event_.created));
      if (!then || then->deleted) {
        ++out.judged;
        out.verdicts.push_back(
            not_there(entry.spec, event_, "it was not there when the event came"));
        return {};
      }
      auto made = compiled_row(*then, judgement_);
      rule = made.ok() ? *made : nullptr;  // may fail: it is out of force
    }
    ++out.judged;
    auto lacks = judgement_.catalog().unresolved(entry);
    bool is_out = !rule || (rules_ == RulesOf::Today && !lacks.empty());
    if (is_out) {
      out.verdicts.push_back(not_there(entry.spec, event_, rule ? lacks : entry.fault));
      return {};
    }
    const auto* own = made_by(made_, entry.row.id);
    auto judged = judgement_.of(*rule, own ? own->id : EnforcementId{});
    if (!judged.ok()) {  // the event's allowance is spent: it is so for the rules, too
      out.verdicts.push_back(not_there(entry.spec, event_, judged.error().describe()));
      return {};
    }
    if (rules_ == RulesOf::ThatTime) add_what_was_made(*judged, own, made_);
    out.verdicts.push_back(std::move(*judged));
    return {};
  }

  void hold_back_backstops() {
    auto first = std::ranges::find_if(
        out.verdicts, [](const RuleVerdict& one) { return one.matched && !one.spec.backstop; });
    if (first == out.verdicts.end()) return;
    auto reason = fmt::format("it is a backstop, and rule '{}' matches", first->spec.ref);
    for (auto& one : out.verdicts) {
      if (!one.matched || !one.spec.backstop) continue;
      one.matched = false;
      one.reason = reason;
      one.parameters = Value();
    }
  }

  sql::Connection& reader_;
  const EventRow& event_;
  RulesOf rules_;
  Judgement& judgement_;
  std::vector<EnforcementRow> made_;
};

}  // namespace

Result<EventVerdicts> judge_event(const Engine& engine, sql::Connection& reader,
                                  const EventRow& event, RulesOf rules, size_t limit) {
  TRY(auto judgement, Judgement::create(engine, reader, event));
  EventJudge judge(reader, event, rules, judgement);
  TRY(judge.judge_all());
  if (judge.out.verdicts.size() > limit) judge.out.verdicts.resize(limit);
  return std::move(judge.out);
}

}  // namespace millrace::engine
