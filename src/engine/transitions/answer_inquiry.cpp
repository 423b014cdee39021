// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/json_schema.h"
#include "base/time.h"
#include "engine/transitions/request.h"
#include "engine/transitions/told_events.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// An answer to an inquiry: checked, and its execution ends with it.
class AnswerInquiry final : public Request<InquiryRow> {
 public:
  AnswerInquiry(Caller caller, InquiryId id, Answer answer, Reply<InquiryRow> reply)
      : Request(std::move(caller), std::move(reply)), id_(id), answer_(std::move(answer)) {}
  std::string_view name() const override { return "answer_inquiry"; }
  About about() const override { return {.tenant = caller_.tenant, .subject = id_.value}; }
  Turn turn() const override { return Turn::shared(id_); }
  void want(Wanted& wanted) const override {
    wanted.inquiries.push_back({caller_.tenant, id_});
    wanted.lineages.push_back({caller_.tenant, execution()});
  }
  ExecutionId tree(const Loaded&) const override { return execution(); }
  Decided decide(Context& ctx) const override;

 private:
  ExecutionId execution() const { return ExecutionId{id_.value}; }
  Result<void> check(const InquiryRow& inquiry) const;
  InquiryId id_;
  Answer answer_;
};

Result<void> AnswerInquiry::check(const InquiryRow& inquiry) const {
  auto is_one_of = [](const std::string& json, std::string_view name) {
    auto list = parse_json(json.empty() ? "[]" : json, kOwnJson);
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
        fmt::format("inquiry {} is put to users {} and roles {}; you are '{}'", id_.value,
                    inquiry.users_json.empty() ? "[]" : inquiry.users_json,
                    inquiry.roles_json.empty() ? "[]" : inquiry.roles_json, caller_.identity));
  }
  if (inquiry.schema_json.empty()) return {};
  TRY(Value schema, parse_json(inquiry.schema_json, kOwnJson));
  auto problems = validate_json(schema, answer_.response);
  if (problems.empty()) return {};
  return Error(ErrorKind::Invalid, "EXE-0020",
               fmt::format("the answer to inquiry {} does not fit its schema", id_.value))
      .with_problems(std::move(problems));
}

// Its own time, or that of the execution that asks: whichever is over first.
int64_t end_of(const InquiryRow& inquiry, const ExecutionRow& row) {
  int64_t end = inquiry.expires > 0 ? inquiry.expires : INT64_MAX;
  return row.timeout_ms > 0 ? std::min(end, row.started + row.timeout_ms) : end;
}

Decided AnswerInquiry::decide(Context& ctx) const {
  const auto* inquiry = ctx.rows().inquiry({caller_.tenant, id_});
  const auto* row = ctx.rows().execution(Of{caller_.tenant, execution()});
  if (!inquiry || !row) {
    return Error(ErrorKind::NotFound, "EXE-0019", fmt::format("no inquiry {}", id_.value));
  }
  if (inquiry->status != InquiryStatus::Pending || row->status != ExecutionStatus::Pending) {
    std::string_view how = inquiry->status != InquiryStatus::Pending ? to_string(inquiry->status)
                                                                     : to_string(row->status);
    return Error(ErrorKind::Conflict, "EXE-0015",
                 fmt::format("inquiry {} is {}: it takes no more answers", id_.value, how));
  }
  // Though its timer has not run yet.
  if (int64_t end = end_of(*inquiry, *row); end <= ctx.now()) {
    return Error(ErrorKind::Conflict, "EXE-0015",
                 fmt::format("inquiry {} is over since {}: it takes no more answers", id_.value,
                             to_rfc3339(end)));
  }
  TRY(check(*inquiry));
  InquiryRow answered = *inquiry;
  answered.status = InquiryStatus::Answered;
  answered.responder = caller_.identity;
  answered.response_json = to_json(answer_.response);
  answered.version += 1;
  answered.updated = ctx.now();
  ctx.changes.inquiries.push_back(answered);
  tell_answered(ctx, *row, answered);
  ctx.changes.feed.push_back({.tenant = answered.tenant,
                              .type = EntityType::Inquiry,
                              .op = ChangeOp::Updated,
                              .entity = id_.value,
                              .detail = "answered",
                              .at = ctx.now()});
  finish(ctx, execution(), ExecutionStatus::Succeeded, FailureClass::None,
         Value::map({{"response", answer_.response},
                     {"responder", caller_.identity},
                     {"output", answer_.response}}));
  TRY(work_off(ctx));
  return answer(ctx, std::move(answered));
}

}  // namespace

Message command::answer(Caller caller, InquiryId id, Answer answer, Reply<InquiryRow> reply) {
  return std::make_unique<AnswerInquiry>(std::move(caller), id, std::move(answer),
                                         std::move(reply));
}

}  // namespace millrace::engine
