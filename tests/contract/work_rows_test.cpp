// SPDX-License-Identifier: Apache-2.0
// What moves executions: the queue, timers, messages, workflows, what is owed.
#include "row_fields.h"

namespace millrace::store::testing {
namespace {

class WorkRows : public StoreContract {};
STORE_CONTRACT(WorkRows);

TEST_P(WorkRows, TheQueueGivesTheLowestRankFirst) {
  desk_->write({.enqueue = {{ExecutionId{1}, kTenant, 300},
                            {ExecutionId{2}, kTenant, 100},
                            {ExecutionId{3}, kTenant, 100},
                            {ExecutionId{4}, kOtherTenant, 1}}});
  auto head = must(queue_head(*reader_, kAllShards, kTenant, "", 2));
  ASSERT_EQ(head.size(), 2U);
  EXPECT_EQ(head[0].execution, ExecutionId{2});
  EXPECT_EQ(head[0].rank, 100);
  EXPECT_EQ(head[0].tenant, kTenant);
  EXPECT_EQ(head[1].execution, ExecutionId{3});
  auto depths = must(queue_depths(*reader_, kAllShards));
  ASSERT_EQ(depths.size(), 2U);
  EXPECT_EQ(depths[0].waiting, 3);
  desk_->write({.dequeue = {{kTenant, ExecutionId{2}}, {kTenant, ExecutionId{3}}}});
  EXPECT_EQ(must(queue_head(*reader_, kAllShards, kTenant, "", 9)).size(), 1U);
}

TEST_P(WorkRows, WhatNeedsDifferentWorkersWaitsInDifferentQueues) {
  desk_->write({.enqueue = {{ExecutionId{1}, kTenant, 1, {}, "gpu"},
                            {ExecutionId{2}, kTenant, 2},
                            {ExecutionId{3}, kTenant, 3, {}, "gpu"},
                            {ExecutionId{4}, kTenant, 4, {}, "gpu,os=linux"}}});
  EXPECT_EQ(must(queue_head(*reader_, kAllShards, kTenant, "", 9)).size(), 1U);
  auto gpu = must(queue_head(*reader_, kAllShards, kTenant, "gpu", 9));
  ASSERT_EQ(gpu.size(), 2U);
  EXPECT_EQ(gpu[1].execution, ExecutionId{3});
  EXPECT_EQ(gpu[1].needs, "gpu");
  EXPECT_EQ(must(queue_depths(*reader_, kAllShards)).size(), 3U);
  EXPECT_EQ(must(list_queue(*reader_, kTenant, 9)).size(), 4U);
}

TEST_P(WorkRows, AQueueRowCarriesTheShardOfItsRoot) {
  desk_->write(
      {.enqueue = {{ExecutionId{1}, kTenant, 1, ExecutionId{70}}, {ExecutionId{2}, kTenant, 1}}});
  EXPECT_EQ(count("SELECT shard FROM queue WHERE execution = 1"), shard_of(kTenant, 70));
  EXPECT_EQ(count("SELECT shard FROM queue WHERE execution = 2"), shard_of(kTenant, 2));
}

TEST_P(WorkRows, AMessageWaitsUntilItIsAcknowledged) {
  MessageRow row = message(41, 11, MessageKind::CancelExecution);
  row.body_json = kBytes;
  desk_->write({.messages = {row, message(40, 12)}});
  auto waiting = must(messages(*reader_, kAllShards, 0, 10));
  ASSERT_EQ(waiting.size(), 2U);
  EXPECT_EQ(waiting[0].id, MessageId{40});
  EXPECT_EQ(fields(waiting[1]), fields(row));
  EXPECT_EQ(must(messages(*reader_, kAllShards, 0, 1)).size(), 1U);
  EXPECT_EQ(must(messages(*reader_, kAllShards, 40, 10)).size(), 1U);
  desk_->write({.acked = {{kTenant, MessageId{40}}}});
  EXPECT_EQ(must(messages(*reader_, kAllShards, 0, 10)).size(), 1U);
}

TEST_P(WorkRows, TimersComeInDueOrderAndLeaveByIdOrSubject) {
  TimerRow row = timer(51, 300, 31);
  row.kind = TimerKind::CancelGrace;
  row.body_json = kBytes;
  desk_->write({.timers = {row, timer(52, 100, 31), timer(53, 100, 32), timer(54, 900)}});
  EXPECT_EQ(fields(*must(load_timer(*reader_, kTenant, TimerId{51}))), fields(row));
  auto due = [&](int64_t until, int limit) {
    Ids out;
    for (const auto& e : must(timers_until(*reader_, kAllShards, until, limit)))
      out.push_back(e.id.value);
    return out;
  };
  EXPECT_EQ(due(900, 10), (Ids{52, 53, 51}));
  EXPECT_EQ(due(900, 2), (Ids{52, 53}));
  EXPECT_EQ(due(100, 10), Ids{});
  desk_->write(
      {.timers_done = {{kTenant, TimerId{53}}}, .timers_of_done = {{kTenant, ExecutionId{31}}}});
  EXPECT_EQ(due(1000, 10), Ids{54});
  // Subject 0 means "of no execution": such timers have no common end.
  desk_->write({.timers_of_done = {{kTenant, ExecutionId{0}}}});
  EXPECT_EQ(due(1000, 10), Ids{54});
}

TEST_P(WorkRows, ANamedTimerTakesThePlaceOfItsPredecessor) {
  desk_->write({.timers = {timer(51, 300, 0, "interval:1"), timer(52, 300, 0, "interval:2")}});
  desk_->write({.timers = {timer(53, 400, 0, "interval:1")}});
  EXPECT_EQ(count("SELECT count(*) FROM timer WHERE name <> ''"), 2);
  EXPECT_FALSE(must(load_timer(*reader_, kTenant, TimerId{51})).has_value());
  EXPECT_EQ(must(load_timer(*reader_, kTenant, TimerId{53}))->due, 400);
}

TEST_P(WorkRows, OfTimersOfOneNameInOneDecisionTheLastStays) {
  desk_->write({.timers = {timer(51, 300, 0, "interval:1"), timer(52, 400, 0, "interval:1"),
                           timer(53, 500), timer(54, 600)}});
  EXPECT_EQ(count("SELECT id FROM timer WHERE name = 'interval:1'"), 52);
  EXPECT_EQ(count("SELECT count(*) FROM timer"), 3);
}

// Rows of a workflow's state are written cuts and resets first: the outcome is that of one after
// the other.
TEST_P(WorkRows, PiecesAreWrittenAsIfOneAfterTheOther) {
  auto piece = [](int64_t position, const char* body, PieceKind kind = PieceKind::Context) {
    return WorkflowPieceRow{.workflow = ExecutionId{1},
                            .tenant = kTenant,
                            .kind = kind,
                            .position = position,
                            .body_json = body};
  };
  auto cut = [&](int64_t position) {
    auto row = piece(position, "");
    row.cut = true;
    return row;
  };
  WorkflowRow head{.execution = ExecutionId{1}, .root = ExecutionId{1}, .tenant = kTenant};
  desk_->write({.workflows = {head},
                .workflow_pieces = {piece(0, "a"), piece(1, "b"), piece(2, "c"), piece(3, "d")}});
  desk_->write({.workflow_pieces = {piece(4, "never"), piece(1, "B"), cut(2), piece(2, "C"),
                                    piece(0, "e", PieceKind::Entry), piece(3, "never"), cut(3),
                                    piece(0, "A"), piece(0, "AA")}});
  auto stored = must(load_workflow(*reader_, kTenant, ExecutionId{1}));
  EXPECT_EQ(stored->contexts, (std::vector<std::string>{"AA", "B", "C"}));
  EXPECT_EQ(stored->entries, (std::vector<std::string>{"e"}));
}

TEST_P(WorkRows, RunsAreWrittenAsIfOneAfterTheOther) {
  auto run = [](int32_t item, int64_t id, int32_t status) {
    return WorkflowRunRow{.workflow = ExecutionId{1},
                          .tenant = kTenant,
                          .task = "t",
                          .item = item,
                          .execution = ExecutionId{id},
                          .status = status};
  };
  WorkflowRunRow reset = run(0, 0, 0);
  reset.reset = true;
  desk_->write({.workflow_runs = {run(0, 10, 3), run(1, 11, 4)}});
  desk_->write(
      {.workflow_runs = {run(2, 12, 5), run(1, 0, 9), reset, run(0, 0, 7), run(3, 13, 8)}});
  std::vector<std::pair<int64_t, int32_t>> seen;
  for (const auto& row : must(task_runs(*reader_, kTenant, ExecutionId{1}, "t", 0))) {
    seen.emplace_back(row.execution.value, row.status);
  }
  EXPECT_EQ(seen, (std::vector<std::pair<int64_t, int32_t>>{{10, 7}, {11, 0}, {12, 0}, {13, 8}}));
}

// A workflow begins in one decision of a batch and goes on in the next.
TEST_P(WorkRows, WhatIsNewStandsBeforeWhatTakesItsPlace) {
  auto piece = [](int64_t position, const char* body, bool is_new) {
    return WorkflowPieceRow{.workflow = ExecutionId{1},
                            .tenant = kTenant,
                            .position = position,
                            .body_json = body,
                            .is_new = is_new};
  };
  auto run = [](const char* task, int64_t id, bool is_new) {
    return WorkflowRunRow{.workflow = ExecutionId{1},
                          .tenant = kTenant,
                          .task = task,
                          .execution = ExecutionId{id},
                          .is_new = is_new};
  };
  WorkflowRow head{.execution = ExecutionId{1}, .root = ExecutionId{1}, .tenant = kTenant};
  Order made;
  made.changes.workflows = {head};
  made.changes.workflow_pieces = {piece(0, "a", true), piece(1, "b", true)};
  made.changes.workflow_runs = {run("s", 10, true), run("t", 11, true)};
  Order later;
  later.changes.workflow_pieces = {piece(1, "B", false), piece(2, "C", false)};
  later.changes.workflow_runs = {run("t", 12, false), run("u", 13, false)};
  using enum WriteEnd;
  EXPECT_EQ(ends(desk_->commit({made, later})), (std::vector{Committed, Committed}));
  auto stored = must(load_workflow(*reader_, kTenant, ExecutionId{1}));
  EXPECT_EQ(stored->contexts, (std::vector<std::string>{"a", "B", "C"}));
  for (auto [task, id] : {std::pair("s", 10), {"t", 12}, {"u", 13}}) {
    auto runs = must(task_runs(*reader_, kTenant, ExecutionId{1}, task, 0));
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].execution.value, id);
  }
}

TEST_P(WorkRows, AWorkflowsHeadStaysWhenOnlyItsVersionRises) {
  WorkflowRow row{.execution = ExecutionId{1}, .root = ExecutionId{1}, .tenant = kTenant};
  row.head_json = "one";
  Order made;
  made.changes.workflows = {row};
  row.version = 2;
  row.head_json.clear();
  Order touched;
  touched.changes.workflows = {row};
  row.version = 3;
  row.head_json = "three";
  Order moved;
  moved.changes.workflows = {row};
  using enum WriteEnd;
  EXPECT_EQ(ends(desk_->commit({made, touched})), (std::vector{Committed, Committed}));
  EXPECT_EQ(must(load_workflow(*reader_, kTenant, row.execution))->head.head_json, "one");
  EXPECT_EQ(ends(desk_->commit({moved, moved})), (std::vector{Committed, Stale}));
  EXPECT_EQ(must(load_workflow(*reader_, kTenant, row.execution))->head.head_json, "three");
}

TEST_P(WorkRows, AKeyMayChangeTwiceInOneBatch) {
  KeyRow row{.key = {kTenant, "system", "k"}, .value_json = "1"};
  Order made;
  made.changes.keys = {row};
  row.version = 2;
  row.deleted = true;
  Order gone;
  gone.changes.keys = {row};
  Order again = made;
  again.changes.keys[0].value_json = "2";
  using enum WriteEnd;
  EXPECT_EQ(ends(desk_->commit({made, gone, again})),
            (std::vector{Committed, Committed, Committed}));
  EXPECT_EQ(must(find_key(*reader_, row.key))->value_json, "2");
}

TEST_P(WorkRows, AnOutboxRowStaysUntilItIsDelivered) {
  OutboxRow row = outbox_row(61, 31);
  row.body_json = kBytes;
  desk_->write({.outbox = {row}});
  auto owed = must(outbox(*reader_, kAllShards, 0, 10));
  ASSERT_EQ(owed.size(), 1U);
  EXPECT_EQ(fields(owed[0]), fields(row));
  desk_->write({.outbox_done = {{kTenant, OutboxId{61}}}});
  EXPECT_TRUE(must(outbox(*reader_, kAllShards, 0, 10)).empty());
}

TEST_P(WorkRows, ADedupeKeyTellsWhatItsFirstRequestMade) {
  DedupeRow row = key("k", "4711");
  desk_->write({.dedupe = {row}});
  EXPECT_EQ(fields(*must(find_dedupe(*reader_, kTenant, row.scope, "k"))), fields(row));
  EXPECT_FALSE(must(find_dedupe(*reader_, kOtherTenant, row.scope, "k")).has_value());
  EXPECT_FALSE(must(find_dedupe(*reader_, kTenant, "idem:x", "k")).has_value());
}

TEST_P(WorkRows, QuarantineKeepsTheReason) {
  QuarantineRow row{.id = 71,
                    .tenant = kTenant,
                    .kind = "finish_run",
                    .subject = 31,
                    .reason = "a row conflicts",
                    .body_json = kBytes,
                    .created = kNow};
  desk_->write({.quarantine = {row}});
  auto kept = must(list_quarantine(*reader_, kTenant, {}));
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(fields(kept[0]), fields(row));
  EXPECT_TRUE(must(list_quarantine(*reader_, kOtherTenant, {})).empty());
}

TEST_P(WorkRows, TheFeedIsReadFromAPointOn) {
  ChangeRow row{.tenant = kTenant,
                .type = EntityType::Rule,
                .op = ChangeOp::Deleted,
                .entity = 77,
                .detail = "ci.on_push",
                .at = kNow};
  desk_->write({.feed = {change(1), row, change(3, "", kOtherTenant), change(4)}});
  auto after = must(changes_after(*reader_, kTenant, 1, 10));
  ASSERT_EQ(after.size(), 2U);
  row.seq = 2;
  EXPECT_EQ(fields(after[0]), fields(row));
  EXPECT_EQ(after[1].seq, 4);
  EXPECT_EQ(must(changes_after(*reader_, kTenant, 0, 1)).size(), 1U);
  EXPECT_EQ(must(last_change(*reader_)), 4);
}

}  // namespace
}  // namespace millrace::store::testing
