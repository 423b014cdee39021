// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/advance.h"
#include "engine/transitions/commands.h"

namespace millrace::engine {

// The transition for a message that waits in the store.
std::unique_ptr<Transition> make_message(const kernel::MessageRow& message);

// A workflow goes on in a transition of its own: a step has ended whose workflow was not at hand,
// or the transition before had done its share.
class AdvanceWorkflow final : public Transition {
 public:
  explicit AdvanceWorkflow(const kernel::MessageRow& message);
  std::string_view name() const override { return "advance_workflow"; }
  int64_t subject() const override { return subject_.value; }
  void want(Wanted& wanted) const override;
  ExecutionId about(const Loaded&) const override { return subject_; }
  ExecutionId holds_up() const override { return subject_; }
  Result<void> decide(Context& ctx) override;
  bool insists() const override { return true; }

 private:
  kernel::Of<MessageId> message_;
  ExecutionId subject_;
};

// Pauses or resumes a workflow and the workflows below it.
class PauseExecution final : public Transition {
 public:
  enum class Wish : uint8_t { Pause, Resume };
  PauseExecution(Caller caller, ExecutionId id, Wish wish, Reply<kernel::ExecutionRow> reply);
  std::string_view name() const override {
    return wish_ == Wish::Pause ? "pause_execution" : "resume_execution";
  }
  void want(Wanted& wanted) const override;
  ExecutionId about(const Loaded&) const override { return ExecutionId{key}; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(row_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Result<void> ask(Context& ctx, ExecutionId id);
  Caller caller_;
  Wish wish_;
  Reply<kernel::ExecutionRow> reply_;
  kernel::ExecutionRow row_;
};

// Runs parts of a workflow again, as a new execution with a copy of its state; of any other
// execution the whole.
class RerunExecution final : public Transition {
 public:
  RerunExecution(Caller caller, ExecutionId id, Rerun request, Reply<kernel::ExecutionRow> reply);
  std::string_view name() const override { return "rerun_execution"; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(row_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Result<void> rerun_whole(Context& ctx, const kernel::ExecutionRow& original);
  Result<std::vector<conductor::RerunRequest>> requested(const store::StoredWorkflow& state) const;
  Caller caller_;
  ExecutionId original_;
  Rerun request_;
  Reply<kernel::ExecutionRow> reply_;
  kernel::ExecutionRow row_;
};

// An answer to an inquiry: checked, and its execution ends with it.
class AnswerInquiry final : public Transition {
 public:
  AnswerInquiry(Caller caller, InquiryId id, Answer answer, Reply<kernel::InquiryRow> reply);
  std::string_view name() const override { return "answer_inquiry"; }
  void want(Wanted& wanted) const override;
  ExecutionId about(const Loaded&) const override { return ExecutionId{key}; }
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(row_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Result<void> check(const kernel::InquiryRow& inquiry) const;
  Caller caller_;
  Answer answer_;
  Reply<kernel::InquiryRow> reply_;
  kernel::InquiryRow row_;
};

}  // namespace millrace::engine
