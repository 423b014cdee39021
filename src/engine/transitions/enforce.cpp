// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/enforce.h"

#include <fmt/format.h>

#include <functional>

#include "base/json.h"
#include "base/problems.h"
#include "engine/transitions/start.h"
#include "engine/transitions/told_events.h"

namespace millrace::engine {

using namespace kernel;

namespace {

Value verdict_list(const std::vector<rules::Verdict>& verdicts) {
  Value list = Value::list();
  for (const auto& verdict : verdicts) {
    if (list.size() == kMostProblems) break;
    list.push_back(rules::to_value(verdict));
  }
  return list;
}

// Notes what is done with a rule; an error when servers have ended of it.
Result<void> note(InHand& in_hand, std::string_view doing, const rules::CompiledRule& rule) {
  RuleInHand noted(doing, rule.id(), rule.revision());
  if (in_hand.is_dead(noted.item())) return noted.dead_error();
  in_hand.also(noted.item());
  return {};
}

// The execution that a matched rule, one of `matched`, asks for, or why there is none.
Result<ExecutionId> start_for(Context& ctx, const EventRow& event, const rules::CompiledRule& rule,
                              const rules::EventScope& scope, EnforcementId enforcement,
                              size_t matched) {
  if (event.chain >= kLongestChain) {
    return Error(
        ErrorKind::Conflict, "RUL-0013",
        fmt::format("rules lie {} deep behind this event, each by the one before: this one "
                    "starts nothing, for they seem to go round in a loop",
                    event.chain));
  }
  // What comes from outside may match any number of them.
  int32_t breadth = breadth_of(matched);
  if (event.chain > 0 && event.chain + breadth >= kLongestChain) {
    return Error(ErrorKind::Conflict, "RUL-0013",
                 fmt::format("{} rules match this event, to which others have led that multiply "
                             "as well: this one starts nothing, for they could start 10,000 "
                             "executions and more",
                             matched));
  }
  if (ctx.in_hand()) TRY(note(*ctx.in_hand(), "render", rule));
  TRY(Value parameters, rules::render_parameters(rule, scope, ctx.expressions(), enforcement));
  StartRequest request;
  request.tenant = event.tenant;
  request.action = rule.spec().action;
  request.parameters = std::move(parameters);
  request.enforcement = enforcement;
  request.identity = "rule:" + rule.spec().ref;
  request.trace = event.trace;
  request.rule_ref = rule.spec().ref;
  request.rule = rule.id();
  request.rule_revision = rule.revision();
  request.trigger_ref = event.trigger;
  request.chain = event.chain + breadth + 1;
  request.allowance = scope.allowance;
  return start_execution(ctx, request);
}

}  // namespace

void note_event(Context& ctx, const EventRow& event) {
  ctx.changes.feed.push_back({.tenant = event.tenant,
                              .type = EntityType::Event,
                              .entity = event.id.value,
                              .detail = event.trigger,
                              .at = ctx.now()});
}

Result<void> enforce(Context& ctx, const EventRow& event, const Value& payload) {
  Value trigger_parameters;
  if (!event.trigger_parameters_json.empty()) {
    TRY(trigger_parameters, parse_json(event.trigger_parameters_json, kOwnJson));
  }
  const auto& catalog = ctx.catalog(event.tenant);
  rules::EventScope scope = catalog.event_scope(ctx.now());
  KeyLookup keys = ctx.keys({.tenant = event.tenant, .user = std::string(kRuleUser)});
  scope.lookup = &keys;
  std::map<std::string, Value, std::less<>> configs;
  for (const auto& ref : catalog.config_readers()) {
    const Pack* pack = catalog.find_pack(ref);
    if (pack) configs.emplace(ref, ctx.config_of(*pack, {event.tenant, key_user("rule:"), ref}));
  }
  if (!configs.empty()) scope.pack_configs = &configs;
  if (ctx.lacks_config()) return needs_error();
  expr::Allowance allowance;  // one for all rules: many cheap ones are as dear as one
  scope.allowance = &allowance;
  scope.event = rules::event_value(event.id, event.trigger, event.created, payload,
                                   std::move(trigger_parameters));
  // Judging is quick, and noted only while something is suspected: the event that ended the server,
  // next time with the rule of which it did.
  std::function<Result<void>(const rules::CompiledRule&)> may_judge = [&](const auto& rule) {
    return note(*ctx.in_hand(), "judge", rule);
  };
  if (ctx.in_hand() && ctx.in_hand()->has_suspects()) scope.may_judge = &may_judge;
  auto matched = catalog.index().match(scope, ctx.expressions());
  if (scope.may_judge) ctx.in_hand()->no_more();
  if (!matched.ok()) {
    if (auto need = ctx.need(matched.error())) return std::move(*need);
    return std::move(matched).error();
  }
  const auto& matches = *matched;
  bool needs = false;  // of all rules at once
  for (const auto& match : matches) {
    const auto& rule = *match.rule;
    EnforcementRow row;
    row.id = ctx.new_id<EnforcementId>();
    row.tenant = event.tenant;
    row.rule = rule.id();
    row.rule_ref = rule.spec().ref;
    row.rule_revision = rule.revision();
    row.event = event.id;
    row.created = ctx.now();
    row.verdicts_json = to_json(verdict_list(match.verdicts));
    auto started = match.failure ? Result<ExecutionId>(*match.failure)
                                 : start_for(ctx, event, rule, scope, row.id, matches.size());
    if (started.ok()) {
      row.execution = *started;
    } else if (auto need = ctx.need(started.error())) {
      if (!is_needs(*need)) return std::move(*need);
      needs = true;
      continue;
    } else {
      row.status = EnforcementStatus::Failed;
      row.error = started.error().describe();
    }
    ctx.changes.feed.push_back({.tenant = row.tenant,
                                .type = EntityType::Enforcement,
                                .entity = row.id.value,
                                .detail = row.rule_ref,
                                .at = ctx.now()});
    ctx.changes.enforcements.push_back(std::move(row));
  }
  if (ctx.in_hand()) ctx.in_hand()->no_more();
  if (needs) return needs_error();
  return {};
}

void store_event_for_later(Context& ctx, EventRow event) {
  MessageRow message;
  message.id = ctx.new_id<MessageId>();
  message.tenant = event.tenant;
  message.shard = shard_of(event.tenant, event.id.value);
  message.kind = MessageKind::EnforceEvent;
  message.subject = event.id.value;
  message.created = ctx.now();
  note_event(ctx, event);
  ctx.changes.events.push_back(std::move(event));
  ctx.changes.messages.push_back(std::move(message));
}

}  // namespace millrace::engine
