// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/workflows.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/text.h"
#include "engine/transitions/enforce_event.h"
#include "engine/transitions/executions.h"
#include "engine/transitions/idempotency.h"

namespace millrace::engine {

using namespace kernel;

namespace {

Result<const ExecutionRow*> find_row(Context& ctx, ExecutionId id, TenantId tenant) {
  const auto* row = ctx.rows().execution(id);
  if (row && row->tenant == tenant) return row;
  return Error(ErrorKind::NotFound, "EXE-0010", fmt::format("no execution {}", id.value));
}

}  // namespace

std::unique_ptr<Transition> make_message(const MessageRow& message) {
  switch (message.kind) {
    case MessageKind::EnforceEvent: return std::make_unique<EnforceEvent>(message);
    case MessageKind::CancelExecution: return std::make_unique<CancelExecution>(message);
    case MessageKind::AdvanceWorkflow: return std::make_unique<AdvanceWorkflow>(message);
  }
  return std::make_unique<EnforceEvent>(message);
}

// AdvanceWorkflow

AdvanceWorkflow::AdvanceWorkflow(const MessageRow& message)
    : message_{message.tenant, message.id}, subject_(message.subject) {
  key = message.id.value;  // the sweep may bring the same message twice
}

void AdvanceWorkflow::want(Wanted& wanted) const {
  wanted.messages.push_back(message_);
  wanted.lineages.push_back(subject_);
  wanted.results.push_back(subject_);
}

Result<void> AdvanceWorkflow::decide(Context& ctx) {
  if (!ctx.rows().has_message(message_.id)) return {};  // handled before (K4)
  changes.acked.push_back(message_);
  const auto* row = ctx.rows().execution(subject_);
  if (!row) return {};  // expired by retention
  if (is_final(row->status)) {
    tell_workflow(ctx, *this, *row, ctx.rows().result(subject_));
  } else {
    go_on(ctx, *this, *row);
  }
  return {};
}

// PauseExecution

PauseExecution::PauseExecution(Caller caller, ExecutionId id, Wish wish, Reply<ExecutionRow> reply)
    : caller_(std::move(caller)), wish_(wish), reply_(std::move(reply)) {
  key = id.value;
}

void PauseExecution::want(Wanted& wanted) const {
  wanted.lineages.push_back(ExecutionId{key});
  wanted.executions.push_back(ExecutionId{key});
  wanted.trees.push_back(ExecutionId{key});
}

Result<void> PauseExecution::ask(Context& ctx, ExecutionId id) {
  const auto* found = ctx.execution(*this, id);
  if (!found || is_final(found->status) || found->worker) return {};
  ExecutionRow row = *found;
  const LiveWorkflow* live = ctx.workflow(*this, id);
  if (again || !live) return {};
  std::vector<ExecutionId> below;
  for (const auto& [step, what] : live->open) below.push_back(step);
  bool pauses = conductor::kPause.has(live->conductor->state().status);
  if (wish_ == Wish::Pause) {
    TRY(ask_workflow(ctx, *this, row, conductor::Status::Paused));
  } else if (pauses) {
    TRY(ask_workflow(ctx, *this, row, conductor::Status::Resuming));
  }
  for (ExecutionId step : below) {
    if (again) return {};
    TRY(ask(ctx, step));
  }
  if (!again) go_on(ctx, *this, *ctx.execution(*this, id));
  return {};
}

Result<void> PauseExecution::decide(Context& ctx) {
  TRY(const auto* row, find_row(ctx, ExecutionId{key}, caller_.tenant));
  if (is_final(row->status)) {
    return Error(ErrorKind::Conflict, "EXE-0011",
                 fmt::format("execution {} is final already: {}", key, to_string(row->status)));
  }
  bool is_workflow = ctx.workflow(*this, row->id) != nullptr;
  if (again) return {};
  if (!is_workflow && broken_workflows.empty()) {
    return Error(ErrorKind::Conflict, "EXE-0014",
                 fmt::format("execution {} runs action '{}', which is no workflow: only workflows "
                             "can be paused and resumed",
                             key, row->action));
  }
  TRY(ask(ctx, ExecutionId{key}));
  if (again) return {};
  const auto* after = ctx.execution(*this, ExecutionId{key});
  bool pauses =
      after->status == ExecutionStatus::Pausing || after->status == ExecutionStatus::Paused;
  if (wish_ == Wish::Pause && pauses) {
    ctx.edit(*this, ExecutionRow(*after)).held =
        fmt::format("paused by {}: millrace execution resume {}", caller_.identity, key);
  }
  row_ = *ctx.execution(*this, ExecutionId{key});
  return {};
}

// RerunExecution

RerunExecution::RerunExecution(Caller caller, ExecutionId id, Rerun request,
                               Reply<ExecutionRow> reply)
    : caller_(std::move(caller)),
      original_(id),
      request_(std::move(request)),
      reply_(std::move(reply)) {}

void RerunExecution::want(Wanted& wanted) const {
  wanted.executions.push_back(original_);
  wanted.states.push_back(original_);
  wanted.executions_of_keys |= !taken_keys.empty();
}

// The runs of the named tasks, on every route that they took.
Result<std::vector<conductor::RerunRequest>> RerunExecution::requested(
    const store::StoredWorkflow& state) const {
  std::set<std::pair<std::string, int>> runs;
  for (const auto& text : state.entries) {
    TRY(Value entry, parse_json(text));
    runs.emplace(entry.string_or("id", ""), static_cast<int>(entry.int_or("route", 0)));
  }
  std::vector<conductor::RerunRequest> requests;
  for (const auto& task : request_.tasks) {
    size_t before = requests.size();
    std::vector<std::string> known;
    for (const auto& [name, route] : runs) {
      known.push_back(name);
      if (name == task) requests.push_back({task, route, request_.reset_items});
    }
    if (requests.size() > before) continue;
    return Error(ErrorKind::Invalid, "EXE-0017",
                 fmt::format("execution {} has not run a task '{}'{}", original_.value, task,
                             did_you_mean(task, known)));
  }
  return requests;
}

Result<void> RerunExecution::rerun_whole(Context& ctx, const ExecutionRow& original) {
  StartRequest request;
  request.tenant = original.tenant;
  request.action = original.action;
  TRY(request.parameters, parse_json(original.parameters_json));
  request.inherited_env = original.env_json;
  request.priority = original.priority;
  request.timeout_ms = original.timeout_ms;
  request.original = original.id;
  request.identity = caller_.identity;
  request.trace = caller_.trace;
  TRY(auto started, start_execution(ctx, *this, request));
  row_ = *ctx.execution(*this, started.id);
  return {};
}

Result<void> RerunExecution::decide(Context& ctx) {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) {
    if (const auto* row = ctx.rows().execution(ExecutionId{*earlier})) row_ = *row;
    return {};
  }
  TRY(const auto* original, find_row(ctx, original_, caller_.tenant));
  if (!is_final(original->status)) {
    return Error(ErrorKind::Conflict, "EXE-0018",
                 fmt::format("execution {} is {}: only one that is final can be run again",
                             original_.value, to_string(original->status)));
  }
  const auto* stored = ctx.rows().workflow(original_);
  bool whole =
      !stored || (request_.tasks.empty() && original->status == ExecutionStatus::Succeeded);
  if (whole && !request_.tasks.empty()) {
    return Error(ErrorKind::Invalid, "EXE-0014",
                 fmt::format("execution {} runs action '{}', which is no workflow: it has no tasks",
                             original_.value, original->action));
  }
  if (whole) {
    TRY(rerun_whole(ctx, *original));
  } else {
    TRY(auto requests, requested(stored->state));
    ExecutionRow row = *original;
    row.id = row.root = ctx.new_id<ExecutionId>();
    row.parent = {};
    row.task.clear();
    row.task_item = -1;
    row.task_route = 0;
    row.original = original->id;
    row.enforcement = {};
    row.failure = FailureClass::None;
    row.version = 1;
    row.created = row.updated = ctx.now();
    row.ended = 0;
    row.result_json.clear();
    row.result_size = 0;
    row.held.clear();
    row.identity = caller_.identity;
    row.trace = caller_.trace;
    TRY(begin_rerun(ctx, *this, row, *original, requests));
    if (again) return {};
    if (!is_final(row.status) && row.timeout_ms > 0) {
      set_timer(ctx, *this, row, TimerKind::Timeout, ctx.now() + row.timeout_ms);
    }
    note_execution(ctx, *this, row, ChangeOp::Created);
    row_ = row;
    changes.new_executions.push_back(std::move(row));
  }
  remember_answer(ctx, *this, caller_, row_.id.value);
  return {};
}

// AnswerInquiry

AnswerInquiry::AnswerInquiry(Caller caller, InquiryId id, Answer answer, Reply<InquiryRow> reply)
    : caller_(std::move(caller)), answer_(std::move(answer)), reply_(std::move(reply)) {
  key = id.value;
}

void AnswerInquiry::want(Wanted& wanted) const {
  wanted.inquiries.push_back({caller_.tenant, InquiryId{key}});
  wanted.lineages.push_back(ExecutionId{key});
}

Result<void> AnswerInquiry::check(const InquiryRow& inquiry) const {
  auto is_one_of = [](const std::string& json, std::string_view name) {
    auto list = parse_json(json.empty() ? "[]" : json);
    return list.ok() && list->is_list() && std::ranges::any_of(list->as_list(), [&](auto& each) {
             return each.is_string() && each.as_string() == name;
           });
  };
  bool open_to_all = inquiry.users_json.empty() && inquiry.roles_json.empty();
  bool has_role = std::ranges::any_of(
      answer_.roles, [&](const auto& role) { return is_one_of(inquiry.roles_json, role); });
  if (!open_to_all && !answer_.is_admin && !has_role &&
      !is_one_of(inquiry.users_json, caller_.identity)) {
    return Error(
        ErrorKind::Forbidden, "EXE-0021",
        fmt::format("inquiry {} is put to users {} and roles {}; you are '{}'", key,
                    inquiry.users_json.empty() ? "[]" : inquiry.users_json,
                    inquiry.roles_json.empty() ? "[]" : inquiry.roles_json, caller_.identity));
  }
  if (inquiry.schema_json.empty()) return {};
  TRY(Value schema, parse_json(inquiry.schema_json));
  auto problems = validate_json(schema, answer_.response);
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "EXE-0020",
               fmt::format("the answer to inquiry {} does not fit its schema", key))
      .with_problems(std::move(problems));
}

Result<void> AnswerInquiry::decide(Context& ctx) {
  const auto* inquiry = ctx.rows().inquiry(InquiryId{key});
  const auto* row = ctx.rows().execution(ExecutionId{key});
  if (!inquiry || !row || inquiry->tenant != caller_.tenant) {
    return Error(ErrorKind::NotFound, "EXE-0019", fmt::format("no inquiry {}", key));
  }
  if (inquiry->status != InquiryStatus::Pending || row->status != ExecutionStatus::Pending) {
    std::string_view how = inquiry->status != InquiryStatus::Pending ? to_string(inquiry->status)
                                                                     : to_string(row->status);
    return Error(ErrorKind::Conflict, "EXE-0015",
                 fmt::format("inquiry {} is {}: it takes no more answers", key, how));
  }
  TRY(check(*inquiry));
  row_ = *inquiry;
  row_.status = InquiryStatus::Answered;
  row_.responder = caller_.identity;
  row_.response_json = to_json(answer_.response);
  row_.version += 1;
  row_.updated = ctx.now();
  changes.inquiries.push_back(row_);
  changes.feed.push_back({.tenant = row_.tenant,
                          .type = EntityType::Inquiry,
                          .op = ChangeOp::Updated,
                          .entity = key,
                          .detail = "answered",
                          .at = ctx.now()});
  Value result = Value::map({{"response", answer_.response},
                             {"responder", caller_.identity},
                             {"output", answer_.response}});
  finish(ctx, *this, *row, ExecutionStatus::Succeeded, FailureClass::None, result);
  return {};
}

}  // namespace millrace::engine
