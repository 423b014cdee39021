// SPDX-License-Identifier: Apache-2.0
// Questions, held tasks and compensation of the native language.
#include "conductor/test_rig.h"

namespace millrace::conductor {
namespace {

TEST(Inquiry, HoldsUpItsBranchOnly) {
  Rig run(R"(
tasks:
  ask:
    wait_for: inquiry
    input: {prompt: go on}
    next:
      - when: <% result().answer = "yes" %>
        do: deploy
  other: {next: [{do: more}]}
  more: {}
  deploy: {}
)");
  NextTask ask = run.offered("ask");
  EXPECT_TRUE(ask.waits_for_answer);
  EXPECT_TRUE(ask.actions[0].action.is_null());
  run.report("ask", Status::Pending);
  EXPECT_EQ(run.status(), Status::Running);
  run.succeed("other");
  run.succeed("more");
  EXPECT_EQ(run.status(), Status::Running);
  run.report("ask", Status::Succeeded, Value::map({{"answer", "yes"}}));
  EXPECT_EQ(run.next(), Names{"deploy"});
  run.succeed("deploy");
  EXPECT_EQ(run.status(), Status::Succeeded);
}

TEST(Inquiry, DoesNotKeepAWorkflowFromPausing) {
  Rig run("tasks: {ask: {wait_for: inquiry, next: [{do: b}]}, other: {}, b: {}}");
  run.next();
  run.report("ask", Status::Pending);
  run.report("other", Status::Running);
  ASSERT_TRUE(run.conductor().request_status(Status::Paused).ok());
  EXPECT_EQ(run.status(), Status::Pausing);
  run.report("other", Status::Succeeded);
  EXPECT_EQ(run.status(), Status::Paused);
  run.report("ask", Status::Succeeded);
  EXPECT_TRUE(run.next().empty());
  ASSERT_TRUE(run.conductor().request_status(Status::Resuming).ok());
  EXPECT_EQ(run.next(), Names{"b"});
}

TEST(Inquiry, ThatRunsOutOfTimeEndsAsTimeout) {
  Rig run(
      "tasks: {ask: {wait_for: inquiry, next: [{when: <% timed_out() %>, do: late}]}, late: {}}");
  run.next();
  run.report("ask", Status::Pending);
  run.report("ask", Status::Timeout);
  EXPECT_EQ(run.next(), Names{"late"});
}

TEST(Inquiry, ACancelWaitsForItsEnd) {
  Rig run("tasks: {ask: {wait_for: inquiry}}");
  run.next();
  run.report("ask", Status::Pending);
  ASSERT_TRUE(run.conductor().request_status(Status::Canceled).ok());
  EXPECT_EQ(run.status(), Status::Canceling);
  run.report("ask", Status::Canceled);
  EXPECT_EQ(run.status(), Status::Canceled);
}

constexpr std::string_view kHold = R"(
tasks:
  a:
    action: core.noop
    on_failure: hold
    next: [{when: <% succeeded() %>, publish: [{r: <% result() %>}], do: b}]
  b: {}
)";

TEST(Hold, KeepsTheBranchForAnOperator) {
  Rig run(kHold);
  run.fail("a");
  EXPECT_EQ(run.status(), Status::Running);
  EXPECT_EQ(run.status_of("a"), Status::Pending);
  EXPECT_TRUE(run.next().empty());
}

TEST(Hold, AnOperatorLetsItRunAgain) {
  Rig run(kHold);
  run.fail("a");
  ASSERT_TRUE(run.conductor().retry_held("a", 0).ok());
  EXPECT_EQ(run.next(), Names{"a"});
  run.succeed("a", 7);
  EXPECT_EQ(run.offered("b").ctx["r"], Value(7));
  auto again = run.conductor().retry_held("a", 0);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), "CND-0007");
}

TEST(Hold, AnOperatorMakesItSucceedOrFail) {
  Rig succeeded(kHold);
  succeeded.fail("a");
  succeeded.report("a", Status::Succeeded, 8);
  EXPECT_EQ(succeeded.offered("b").ctx["r"], Value(8));
  Rig failed(kHold);
  failed.fail("a");
  failed.report("a", Status::Failed);
  EXPECT_EQ(failed.status(), Status::Failed);
}

TEST(Hold, IsNotNeededWhereATransitionTakesCareOfTheFailure) {
  Rig run("tasks: {a: {on_failure: hold, next: [{when: <% failed() %>, do: b}]}, b: {}}");
  run.fail("a");
  EXPECT_EQ(run.next(), Names{"b"});
}

TEST(Hold, ComesAfterTheRetries) {
  Rig run("tasks: {a: {on_failure: hold, retry: {count: 1}}}");
  run.fail("a");
  EXPECT_EQ(run.status_of("a"), Status::Retrying);
  run.fail("a");
  EXPECT_EQ(run.status_of("a"), Status::Pending);
}

TEST(Hold, IsReleasedByACancel) {
  Rig run(kHold);
  run.fail("a");
  ASSERT_TRUE(run.conductor().request_status(Status::Canceled).ok());
  EXPECT_EQ(run.status(), Status::Canceled);
  EXPECT_TRUE(run.conductor().is_over());
}

constexpr std::string_view kSaga = R"(
tasks:
  book:
    action: hotel.book
    compensate: unbook
    next: [{publish: [{room: <% result() %>}], do: pay}]
  pay: {action: card.pay, compensate: refund, next: [{do: send}]}
  send: {action: mail.send}
  unbook: {action: hotel.cancel, input: {room: <% ctx().room %>}}
  refund: {action: card.refund, retry: {count: 1}}
)";

TEST(Compensate, DoesNotStartByItself) {
  Rig run(kSaga);
  EXPECT_EQ(run.next(), Names{"book"});
}

TEST(Compensate, UndoesInReverseOrderOfCompletion) {
  Rig run(kSaga);
  run.succeed("book", 12);
  run.succeed("pay");
  run.fail("send");
  EXPECT_EQ(run.status(), Status::Failed);
  EXPECT_FALSE(run.conductor().is_over());
  NextTask refund = run.offered("refund");
  EXPECT_EQ(refund.compensates, "pay");
  EXPECT_EQ(run.next(), Names{"refund"});
  run.succeed("refund");
  NextTask unbook = run.offered("unbook");
  EXPECT_EQ(to_json(unbook.actions[0].input), R"({"room":12})");
  run.succeed("unbook");
  EXPECT_TRUE(run.next().empty());
  EXPECT_TRUE(run.conductor().is_over());
  EXPECT_EQ(run.status(), Status::Failed);
}

TEST(Compensate, UndoesOnCancelWhenTheRunningTasksHaveEnded) {
  Rig run(kSaga);
  run.succeed("book", 1);
  run.next();
  run.report("pay", Status::Running);
  ASSERT_TRUE(run.conductor().request_status(Status::Canceled).ok());
  EXPECT_TRUE(run.next().empty());
  run.report("pay", Status::Succeeded);
  EXPECT_EQ(run.status(), Status::Canceled);
  EXPECT_EQ(run.next(), Names{"refund"});
}

TEST(Compensate, ThatFailsIsRetriedThenNeedsADecision) {
  Rig run(kSaga);
  run.succeed("book", 1);
  run.succeed("pay");
  run.fail("send");
  run.fail("refund");
  EXPECT_EQ(run.status_of("refund"), Status::Retrying);
  run.fail("refund");
  EXPECT_EQ(run.status_of("refund"), Status::Pending);
  EXPECT_TRUE(run.next().empty());
  EXPECT_FALSE(run.conductor().is_over());
  ASSERT_TRUE(run.conductor().retry_held("refund", 0).ok());
  run.succeed("refund");
  EXPECT_EQ(run.next(), Names{"unbook"});
}

TEST(Compensate, NothingIsUndoneAfterSuccess) {
  Rig run(kSaga);
  run.succeed("book", 1);
  run.succeed("pay");
  run.succeed("send");
  EXPECT_TRUE(run.next().empty());
  EXPECT_TRUE(run.conductor().is_over());
}

}  // namespace
}  // namespace millrace::conductor
