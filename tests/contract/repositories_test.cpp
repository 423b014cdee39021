// SPDX-License-Identifier: Apache-2.0
// What is written can be read, byte for byte, by its own tenant only.
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

class Repositories : public StoreContract {};
STORE_CONTRACT(Repositories);

auto fields(const EventRow& r) {
  return std::tie(r.id, r.tenant, r.trigger, r.source, r.source_id, r.type, r.payload_json,
                  r.trigger_parameters_json, r.trace, r.replay_of, r.created);
}
auto fields(const EnforcementRow& r) {
  return std::tie(r.id, r.tenant, r.rule, r.rule_ref, r.rule_revision, r.event, r.execution,
                  r.status, r.verdicts_json, r.error, r.created);
}
auto head(const ExecutionRow& r) {
  return std::tie(r.id, r.tenant, r.action, r.release, r.status, r.failure, r.effect_class,
                  r.priority, r.attempt, r.epoch, r.worker, r.parent, r.root, r.enforcement,
                  r.original, r.timeout_ms, r.created, r.updated, r.started, r.ended, r.version,
                  r.identity, r.trace, r.held);
}
auto fields(const ExecutionRow& r) {
  return std::tuple_cat(head(r),
                        std::tie(r.parameters_json, r.env_json, r.result_json, r.result_size));
}
auto fields(const OutputRow& r) {
  return std::tie(r.execution, r.tenant, r.attempt, r.stream, r.content.bytes, r.content.blob,
                  r.content.size, r.content.dropped);
}
auto fields(const ResultBlobRow& r) { return std::tie(r.execution, r.tenant, r.bytes); }
auto fields(const TimerRow& r) {
  return std::tie(r.id, r.tenant, r.shard, r.due, r.kind, r.subject, r.name, r.body_json);
}
auto fields(const MessageRow& r) {
  return std::tie(r.id, r.tenant, r.shard, r.kind, r.subject, r.body_json, r.created);
}
auto fields(const OutboxRow& r) {
  return std::tie(r.id, r.tenant, r.shard, r.destination, r.subject, r.body_json, r.created);
}
auto fields(const DedupeRow& r) { return std::tie(r.tenant, r.scope, r.key, r.value, r.expires); }
auto fields(const QuarantineRow& r) {
  return std::tie(r.id, r.tenant, r.kind, r.subject, r.reason, r.body_json, r.created);
}
auto fields(const ChangeRow& r) {
  return std::tie(r.seq, r.tenant, r.type, r.op, r.entity, r.detail, r.at);
}
auto fields(const RuleRow& r) {
  return std::tie(r.id, r.tenant, r.ref, r.revision, r.enabled, r.deleted, r.pack, r.spec_json,
                  r.created, r.updated);
}
auto fields(const WebhookRow& r) {
  return std::tie(r.id, r.tenant, r.name, r.scheme, r.trigger, r.sealed_secrets, r.deleted,
                  r.created, r.updated, r.version);
}
auto fields(const TokenRow& r) {
  return std::tie(r.id, r.tenant, r.hash, r.identity, r.permissions, r.execution, r.created,
                  r.expires);
}
auto fields(const KeyRow& r) {
  return std::tie(r.key, r.value_json, r.encrypted, r.version, r.expires, r.created, r.updated);
}
auto fields(const WorkerRow& r) {
  return std::tie(r.id, r.tenant, r.name, r.instance, r.slots, r.updated);
}

template <typename Row>
std::vector<int64_t> ids(const std::vector<Row>& rows) {
  std::vector<int64_t> out;
  for (const auto& row : rows) out.push_back(row.id.value);
  return out;
}
using Ids = std::vector<int64_t>;

TEST_P(Repositories, AnEventComesBackByteForByteForItsTenantOnly) {
  EventRow row = event(11);
  row.payload_json = kBytes;
  row.trigger_parameters_json = kBytes + "2";
  row.replay_of = EventId{3};
  desk_->write({.events = {row, event(12), event(13, kOtherTenant)}});
  EXPECT_EQ(fields(*must(find_event(*reader_, kTenant, EventId{11}))), fields(row));
  EXPECT_EQ(fields(*must(find_event(*reader_, kTenant, EventId{11}))), fields(row));
  EXPECT_FALSE(must(find_event(*reader_, kOtherTenant, EventId{11})).has_value());
  EXPECT_FALSE(must(find_event(*reader_, kTenant, EventId{99})).has_value());

  auto all = must(list_events(*reader_, kTenant, "", {}));
  EXPECT_EQ(ids(all), (Ids{12, 11}));
  row.payload_json.clear();
  EXPECT_EQ(fields(all[1]), fields(row));
  EXPECT_EQ(ids(must(list_events(*reader_, kTenant, "core.webhook", {.before = 12}))), Ids{11});
  EXPECT_EQ(ids(must(list_events(*reader_, kTenant, "core.webhook", {.limit = 1}))), Ids{12});
  EXPECT_EQ(ids(must(list_events(*reader_, kTenant, "other", {}))), Ids{});
  Page oldest{.before = 11, .order = store::Order::OldestFirst};
  EXPECT_EQ(ids(must(list_events(*reader_, kTenant, "", oldest))), Ids{12});
  EXPECT_EQ(ids(must(list_events(*reader_, kTenant, "core.webhook", oldest))), Ids{12});
}

TEST_P(Repositories, AnEnforcementIsFoundByEventAndByRule) {
  EnforcementRow row = enforcement(21, 11, 31);
  row.status = EnforcementStatus::Failed;
  row.error = "parameter 'n': no such variable";
  row.verdicts_json = kBytes;
  EnforcementRow of_other_rule = enforcement(22, 11);
  of_other_rule.rule = RuleId{78};
  desk_->write({.enforcements = {row, of_other_rule, enforcement(23, 12),
                                 enforcement(24, 11, 0, kOtherTenant)}});
  EXPECT_EQ(fields(*must(find_enforcement(*reader_, kTenant, EnforcementId{21}))), fields(row));
  EXPECT_FALSE(must(find_enforcement(*reader_, kOtherTenant, EnforcementId{21})).has_value());
  EXPECT_EQ(ids(must(enforcements_of(*reader_, kTenant, EventId{11}))), (Ids{21, 22}));
  EXPECT_EQ(ids(must(list_enforcements(*reader_, kTenant, RuleId{77}, {}))), (Ids{23, 21}));
  EXPECT_EQ(ids(must(list_enforcements(*reader_, kTenant, {}, {.limit = 2}))), (Ids{23, 22}));
}

ExecutionRow full_execution(int64_t id) {
  ExecutionRow row = execution(id);
  row.failure = FailureClass::InfraLost;
  row.effect_class = EffectClass::Keyed;
  row.priority = Priority::High;
  row.attempt = 4;
  row.epoch = 5;
  row.worker = WorkerId{6};
  row.parent = ExecutionId{7};
  row.root = ExecutionId{8};
  row.enforcement = EnforcementId{9};
  row.original = ExecutionId{10};
  row.timeout_ms = 60'000;
  row.started = kNow + 1;
  row.ended = kNow + 2;
  row.held = "needs a decision";
  row.parameters_json = kBytes;
  row.env_json = kBytes + "2";
  row.result_json = kBytes + "3";
  row.result_size = 7;
  return row;
}

TEST_P(Repositories, AnExecutionComesBackByteForByteForItsTenantOnly) {
  ExecutionRow row = full_execution(31);
  desk_->write({.new_executions = {row}});
  EXPECT_EQ(fields(*must(find_execution(*reader_, kTenant, ExecutionId{31}))), fields(row));
  EXPECT_EQ(fields(*must(find_execution(*reader_, kTenant, ExecutionId{31}))), fields(row));
  EXPECT_FALSE(must(find_execution(*reader_, kOtherTenant, ExecutionId{31})).has_value());
  auto listed = must(list_executions(*reader_, kTenant, {}, {}));
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(head(listed[0]), head(row));
}

TEST_P(Repositories, AnUpdateWritesAllThatMayChangeAndNothingElse) {
  desk_->write({.new_executions = {execution(31)}});
  ExecutionRow row = full_execution(31);
  row.version = 2;
  row.status = ExecutionStatus::Running;
  desk_->write({.executions = {row}});
  ExecutionRow expected = row;
  ExecutionRow first = execution(31);
  expected.effect_class = first.effect_class;
  expected.priority = first.priority;
  expected.parent = first.parent;
  expected.root = first.root;
  expected.enforcement = first.enforcement;
  expected.original = first.original;
  expected.timeout_ms = first.timeout_ms;
  expected.parameters_json = first.parameters_json;
  expected.env_json = first.env_json;
  EXPECT_EQ(fields(*must(find_execution(*reader_, kTenant, ExecutionId{31}))), fields(expected));
}

TEST_P(Repositories, ExecutionsAreListedByStatusActionAndParent) {
  ExecutionRow child = execution(33);
  child.parent = ExecutionId{31};
  child.root = ExecutionId{31};
  ExecutionRow grandchild = execution(35);
  grandchild.parent = ExecutionId{33};
  grandchild.root = ExecutionId{31};
  ExecutionRow other_action = execution(34);
  other_action.action = "ci.test";
  desk_->write({.new_executions = {running(execution(31)), ended(execution(32)), child,
                                   other_action, grandchild, execution(36, kOtherTenant)}});
  auto list = [&](const ExecutionFilter& filter, Page page = {}) {
    return ids(must(list_executions(*reader_, kTenant, filter, page)));
  };
  EXPECT_EQ(list({}), (Ids{35, 34, 33, 32, 31}));
  EXPECT_EQ(list({}, {.before = 34, .limit = 2}), (Ids{33, 32}));
  EXPECT_EQ(list({.status = ExecutionStatus::Running}), Ids{31});
  EXPECT_EQ(list({.status = ExecutionStatus::Succeeded}), Ids{32});
  EXPECT_EQ(list({.open_only = true}), (Ids{35, 34, 33, 31}));
  EXPECT_EQ(list({.open_only = true}, {.before = 35, .limit = 2}), (Ids{34, 33}));
  EXPECT_EQ(list({.action = "ci.test"}), Ids{34});
  EXPECT_EQ(list({.status = ExecutionStatus::Running, .action = "ci.build"}), Ids{31});
  EXPECT_EQ(list({.action = "ci.build", .open_only = true}), (Ids{35, 33, 31}));
  EXPECT_EQ(list({.parent = ExecutionId{31}}), Ids{33});
  EXPECT_EQ(list({.status = ExecutionStatus::Succeeded, .parent = ExecutionId{31}}), Ids{});
  EXPECT_EQ(list({.action = "ci.test", .parent = ExecutionId{31}}), Ids{});
  EXPECT_EQ(list({.parent = ExecutionId{31}, .open_only = true}), Ids{33});
  EXPECT_EQ(ids(must(children_of(*reader_, kTenant, ExecutionId{31}))), Ids{33});
  EXPECT_EQ(ids(must(open_descendants(*reader_, kTenant, ExecutionId{31}))), (Ids{33, 35}));
  std::vector<ExecutionStatus> live{ExecutionStatus::Running, ExecutionStatus::Requested};
  EXPECT_EQ(ids(must(executions_in(*reader_, kAllShards, live))), (Ids{31, 33, 34, 35, 36}));
}

TEST_P(Repositories, ExecutionsAreListedOldestFirstToo) {
  ExecutionRow child = execution(44);
  child.parent = ExecutionId{41};
  desk_->write({.new_executions = {execution(41), running(execution(42)), ended(execution(43)),
                                   child, execution(45, kOtherTenant)}});
  auto list = [&](const ExecutionFilter& filter, int64_t after, int limit) {
    Page page{after, limit, store::Order::OldestFirst};
    return ids(must(list_executions(*reader_, kTenant, filter, page)));
  };
  EXPECT_EQ(list({}, 0, 3), (Ids{41, 42, 43}));
  EXPECT_EQ(list({}, 42, 3), (Ids{43, 44}));
  EXPECT_EQ(list({.open_only = true}, 41, 1), Ids{42});
  EXPECT_EQ(list({.status = ExecutionStatus::Requested}, 41, 5), Ids{44});
  EXPECT_EQ(list({.action = "ci.build"}, 0, 2), (Ids{41, 42}));
  EXPECT_EQ(list({.parent = ExecutionId{41}}, 0, 5), Ids{44});
}

TEST_P(Repositories, TheQueueGivesTheLowestRankFirst) {
  desk_->write({.enqueue = {{ExecutionId{1}, kTenant, 300},
                            {ExecutionId{2}, kTenant, 100},
                            {ExecutionId{3}, kTenant, 100},
                            {ExecutionId{4}, kOtherTenant, 1}}});
  auto head = must(queue_head(*reader_, kAllShards, kTenant, 2));
  ASSERT_EQ(head.size(), 2U);
  EXPECT_EQ(head[0].execution, ExecutionId{2});
  EXPECT_EQ(head[0].rank, 100);
  EXPECT_EQ(head[0].tenant, kTenant);
  EXPECT_EQ(head[1].execution, ExecutionId{3});
  auto depths = must(queue_depths(*reader_, kAllShards));
  ASSERT_EQ(depths.size(), 2U);
  EXPECT_EQ(depths[0].waiting, 3);
  desk_->write({.dequeue = {{kTenant, ExecutionId{2}}, {kTenant, ExecutionId{3}}}});
  EXPECT_EQ(must(queue_head(*reader_, kAllShards, kTenant, 9)).size(), 1U);
}

TEST_P(Repositories, AQueueRowCarriesTheShardOfItsRoot) {
  desk_->write(
      {.enqueue = {{ExecutionId{1}, kTenant, 1, ExecutionId{70}}, {ExecutionId{2}, kTenant, 1}}});
  EXPECT_EQ(count("SELECT shard FROM queue WHERE execution = 1"), shard_of(kTenant, 70));
  EXPECT_EQ(count("SELECT shard FROM queue WHERE execution = 2"), shard_of(kTenant, 2));
}

TEST_P(Repositories, OutputAndResultsNeedNotBeText) {
  OutputRow out{.execution = ExecutionId{1},
                .tenant = kTenant,
                .attempt = 2,
                .stream = Stream::Stderr,
                .content = {.bytes = kBytes, .blob = "1/2.err", .size = 7, .dropped = 5}};
  OutputRow empty{.execution = ExecutionId{1}, .tenant = kTenant, .attempt = 1};
  ResultBlobRow blob{ExecutionId{1}, kTenant, kBytes + std::string(100'000, '\0')};
  desk_->write({.outputs = {out, empty}, .result_blobs = {blob}});
  auto outputs = must(outputs_of(*reader_, kTenant, ExecutionId{1}));
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(fields(outputs[0]), fields(empty));
  EXPECT_EQ(fields(outputs[1]), fields(out));
  EXPECT_TRUE(must(outputs_of(*reader_, kOtherTenant, ExecutionId{1})).empty());
  EXPECT_EQ(fields(*must(find_result_blob(*reader_, kTenant, ExecutionId{1}))), fields(blob));
  EXPECT_FALSE(must(find_result_blob(*reader_, kOtherTenant, ExecutionId{1})).has_value());
}

TEST_P(Repositories, AMessageWaitsUntilItIsAcknowledged) {
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

TEST_P(Repositories, TimersComeInDueOrderAndLeaveByIdOrSubject) {
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

TEST_P(Repositories, ANamedTimerTakesThePlaceOfItsPredecessor) {
  desk_->write({.timers = {timer(51, 300, 0, "interval:1"), timer(52, 300, 0, "interval:2")}});
  desk_->write({.timers = {timer(53, 400, 0, "interval:1")}});
  EXPECT_EQ(count("SELECT count(*) FROM timer WHERE name <> ''"), 2);
  EXPECT_FALSE(must(load_timer(*reader_, kTenant, TimerId{51})).has_value());
  EXPECT_EQ(must(load_timer(*reader_, kTenant, TimerId{53}))->due, 400);
}

TEST_P(Repositories, OfTimersOfOneNameInOneDecisionTheLastStays) {
  desk_->write({.timers = {timer(51, 300, 0, "interval:1"), timer(52, 400, 0, "interval:1"),
                           timer(53, 500), timer(54, 600)}});
  EXPECT_EQ(count("SELECT id FROM timer WHERE name = 'interval:1'"), 52);
  EXPECT_EQ(count("SELECT count(*) FROM timer"), 3);
}

// Rows of a workflow's state are written cuts and resets first: the outcome is that of one after
// the other.
TEST_P(Repositories, PiecesAreWrittenAsIfOneAfterTheOther) {
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

TEST_P(Repositories, RunsAreWrittenAsIfOneAfterTheOther) {
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

TEST_P(Repositories, AWorkflowsHeadStaysWhenOnlyItsVersionRises) {
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

TEST_P(Repositories, AKeyMayChangeTwiceInOneBatch) {
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

TEST_P(Repositories, AnOutboxRowStaysUntilItIsDelivered) {
  OutboxRow row = outbox_row(61, 31);
  row.body_json = kBytes;
  desk_->write({.outbox = {row}});
  auto owed = must(outbox(*reader_, kAllShards, 0, 10));
  ASSERT_EQ(owed.size(), 1U);
  EXPECT_EQ(fields(owed[0]), fields(row));
  desk_->write({.outbox_done = {{kTenant, OutboxId{61}}}});
  EXPECT_TRUE(must(outbox(*reader_, kAllShards, 0, 10)).empty());
}

TEST_P(Repositories, ADedupeKeyTellsWhatItsFirstRequestMade) {
  DedupeRow row = key("k", "4711");
  desk_->write({.dedupe = {row}});
  EXPECT_EQ(fields(*must(find_dedupe(*reader_, kTenant, row.scope, "k"))), fields(row));
  EXPECT_FALSE(must(find_dedupe(*reader_, kOtherTenant, row.scope, "k")).has_value());
  EXPECT_FALSE(must(find_dedupe(*reader_, kTenant, "idem:x", "k")).has_value());
}

TEST_P(Repositories, QuarantineKeepsTheReason) {
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

TEST_P(Repositories, TheFeedIsReadFromAPointOn) {
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

TEST_P(Repositories, ARuleIsItsNewestRevision) {
  RuleRow first{.id = RuleId{77},
                .tenant = kTenant,
                .ref = "ci.on_push",
                .pack = "ci",
                .spec_json = kBytes,
                .created = kNow,
                .updated = kNow};
  RuleRow second = first;
  second.revision = 2;
  second.enabled = false;
  RuleRow gone = first;
  gone.id = RuleId{78};
  gone.ref = "ci.old";
  gone.deleted = true;
  desk_->write({.rules = {first, gone}});
  desk_->write({.rules = {second}});
  auto current = must(rules_of_all_tenants(*reader_));
  ASSERT_EQ(current.size(), 1U);
  EXPECT_EQ(fields(current[0]), fields(second));
  auto revisions = must(rule_revisions(*reader_, kTenant, RuleId{77}));
  ASSERT_EQ(revisions.size(), 2U);
  EXPECT_EQ(fields(revisions[1]), fields(first));
  EXPECT_TRUE(must(rule_revisions(*reader_, kOtherTenant, RuleId{77})).empty());
  EXPECT_TRUE(must(find_rule(*reader_, kTenant, "ci.old"))->deleted);
  EXPECT_EQ(must(find_rule(*reader_, kTenant, "ci.on_push"))->revision, 2);
  EXPECT_FALSE(must(find_rule(*reader_, kOtherTenant, "ci.on_push")).has_value());
}

TEST_P(Repositories, ARefThatWasDeletedAndMadeAgainIsFoundByTime) {
  auto revision = [](int64_t id, int64_t number, int64_t at, bool deleted = false) {
    return RuleRow{.id = RuleId{id},
                   .tenant = kTenant,
                   .ref = "ci.on_push",
                   .revision = number,
                   .deleted = deleted,
                   .created = at,
                   .updated = at};
  };
  desk_->write({.rules = {revision(77, 1, 100), revision(77, 2, 200), revision(77, 3, 300, true),
                          revision(78, 1, 400), revision(78, 2, 500)}});
  auto found_at = [&](int64_t at, TenantId tenant = kTenant) {
    auto rule = must(rule_at(*reader_, tenant, "ci.on_push", at));
    return rule ? rule->id.value : 0;
  };
  EXPECT_EQ(found_at(99), 0);
  EXPECT_EQ(found_at(100), 77);
  EXPECT_EQ(found_at(399), 77);
  EXPECT_EQ(found_at(400), 78);
  EXPECT_EQ(found_at(900), 78);
  EXPECT_EQ(found_at(900, kOtherTenant), 0);
}

TEST_P(Repositories, ARevisionThatIsThereAlreadyIsStale) {
  RuleRow rule{.id = RuleId{77}, .tenant = kTenant, .ref = "ci.on_push"};
  desk_->write({.rules = {rule}});
  auto again = desk_->commit({{{.rules = {rule}}}});
  EXPECT_EQ(ends(again), std::vector{WriteEnd::Stale});
  EXPECT_EQ(again[0].reason, "rule 'ci.on_push': revision 1 is there already");
}

TEST_P(Repositories, AWebhookIsChangedOnlyOnItsVersion) {
  WebhookRow row{.id = WebhookId{81},
                 .tenant = kTenant,
                 .name = "github",
                 .scheme = "github",
                 .trigger = "core.webhook",
                 .sealed_secrets = "sealed",
                 .created = kNow,
                 .updated = kNow};
  desk_->write({.webhooks = {row}});
  row.version = 2;
  row.sealed_secrets = "sealed again";
  desk_->write({.webhooks = {row}});
  auto live = must(webhooks_of_all_tenants(*reader_));
  ASSERT_EQ(live.size(), 1U);
  EXPECT_EQ(fields(live[0]), fields(row));
  EXPECT_EQ(ends(desk_->commit({{{.webhooks = {row}}}})), std::vector{WriteEnd::Stale});
  row.version = 3;
  row.deleted = true;
  desk_->write({.webhooks = {row}});
  EXPECT_TRUE(must(webhooks_of_all_tenants(*reader_)).empty());
}

TEST_P(Repositories, TokensPackReleasesAndWorkersComeBack) {
  TokenRow token{.id = TokenId{91},
                 .tenant = kTenant,
                 .hash = "abc",
                 .identity = "admin",
                 .permissions = "*",
                 .execution = ExecutionId{31},
                 .created = kNow,
                 .expires = kNow + 1};
  WorkerRow worker{.id = WorkerId{92},
                   .tenant = kTenant,
                   .name = "local",
                   .instance = "boot-1",
                   .slots = 8,
                   .updated = kNow};
  PackReleaseRow release{
      .tenant = kTenant, .pack = "ci", .version = "1.0", .digest = "d", .created = kNow};
  desk_->write({.tokens = {token}, .pack_releases = {release}, .workers = {worker}});
  EXPECT_EQ(fields(must(tokens_of_all_tenants(*reader_)).at(0)), fields(token));
  worker.instance = "boot-2";
  desk_->write(
      {.tokens_done = {{kTenant, TokenId{91}}}, .pack_releases = {release}, .workers = {worker}});
  EXPECT_TRUE(must(tokens_of_all_tenants(*reader_)).empty());
  ASSERT_EQ(must(all_workers(*reader_)).size(), 1U);
  EXPECT_EQ(fields(must(all_workers(*reader_)).at(0)), fields(worker));
  EXPECT_EQ(count("SELECT count(*) FROM pack_release"), 1);
}

TEST_P(Repositories, AKeyComesBackByteForByteForItsTenantOnly) {
  KeyRow row{.key = {kTenant, "user:alice", "token.x"},
             .value_json = kBytes,
             .encrypted = true,
             .expires = kNow + 1,
             .created = kNow,
             .updated = kNow + 2};
  desk_->write({.keys = {row}});
  auto found = must(find_key(*reader_, row.key));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(fields(*found), fields(row));
  EXPECT_FALSE(must(find_key(*reader_, {kOtherTenant, "user:alice", "token.x"})).has_value());
  EXPECT_FALSE(must(find_key(*reader_, {kTenant, "system", "token.x"})).has_value());
}

TEST_P(Repositories, AKeyIsChangedAndDeletedOnlyOnItsVersion) {
  KeyRow row{.key = {kTenant, "system", "k"}, .value_json = "1", .created = kNow};
  desk_->write({.keys = {row}});
  EXPECT_EQ(ends(desk_->commit({{{.keys = {row}}}})), std::vector{WriteEnd::Stale});
  row.version = 2;
  row.value_json = "2";
  desk_->write({.keys = {row}});
  EXPECT_EQ(fields(*must(find_key(*reader_, row.key))), fields(row));
  row.deleted = true;
  EXPECT_EQ(ends(desk_->commit({{{.keys = {row}}}})), std::vector{WriteEnd::Stale});
  row.version = 3;
  desk_->write({.keys = {row}});
  EXPECT_FALSE(must(find_key(*reader_, row.key)).has_value());
}

TEST_P(Repositories, KeysAreListedByScopeAndName) {
  std::vector<KeyRow> rows;
  for (const char* scope : {"user:a", "system"}) {
    for (const char* name : {"y", "x"}) rows.push_back({.key = {kTenant, scope, name}});
  }
  rows.push_back({.key = {kOtherTenant, "system", "x"}});
  desk_->write({.keys = rows});
  auto names = [&](KeyName after, const std::string& scope, int limit) {
    std::vector<std::string> out;
    for (const auto& row : must(list_keys(*reader_, after, scope, limit))) {
      out.push_back(row.key.scope + "/" + row.key.name);
    }
    return out;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({kTenant, "", ""}, "", 10),
            (Names{"system/x", "system/y", "user:a/x", "user:a/y"}));
  EXPECT_EQ(names({kTenant, "system", "x"}, "", 2), (Names{"system/y", "user:a/x"}));
  EXPECT_EQ(names({kTenant, "", ""}, "user:a", 10), (Names{"user:a/x", "user:a/y"}));
  EXPECT_EQ(names({kTenant, "user:a", "x"}, "user:a", 10), (Names{"user:a/y"}));
}

TEST_P(Repositories, TheNewestIdIsTheHighestOfAnyKind) {
  EXPECT_EQ(must(newest_id(*reader_)), 0);
  desk_->write({.events = {event(5)}});
  EXPECT_EQ(must(newest_id(*reader_)), 5);
  desk_->write({.outbox = {outbox_row(9, 1)}, .rules = {{.id = RuleId{8}, .tenant = kTenant}}});
  EXPECT_EQ(must(newest_id(*reader_)), 9);
}

// K10: nothing of one tenant is changed or deleted by another, although it knows the id.
TEST_P(Repositories, AnotherTenantsRowsAreNeitherChangedNorDeleted) {
  WorkflowRow head{.execution = ExecutionId{1}, .root = ExecutionId{1}, .tenant = kTenant};
  head.head_json = "mine";
  WorkflowPieceRow piece{.workflow = ExecutionId{1}, .tenant = kTenant, .body_json = "mine"};
  WorkflowRunRow run{.workflow = ExecutionId{1},
                     .tenant = kTenant,
                     .task = "t",
                     .execution = ExecutionId{9},
                     .status = 3};
  WebhookRow webhook{.id = WebhookId{5}, .tenant = kTenant, .name = "mine"};
  WorkerRow worker{.id = WorkerId{6}, .tenant = kTenant, .name = "local", .instance = "mine"};
  InquiryRow question{.id = InquiryId{2}, .tenant = kTenant, .prompt = "mine"};
  desk_->write({.new_executions = {execution(1)},
                .enqueue = {{ExecutionId{1}, kTenant, 1}},
                .workflows = {head},
                .workflow_pieces = {piece},
                .workflow_runs = {run},
                .inquiries = {question},
                .messages = {message(3, 1)},
                .timers = {timer(4, 100, 1)},
                .outbox = {outbox_row(7, 1)},
                .webhooks = {webhook},
                .tokens = {{.id = TokenId{8}, .tenant = kTenant, .hash = "h"}},
                .workers = {worker}});

  constexpr TenantId kThief = kOtherTenant;
  desk_->write({.dequeue = {{kThief, ExecutionId{1}}},
                .acked = {{kThief, MessageId{3}}},
                .timers_done = {{kThief, TimerId{4}}},
                .timers_of_done = {{kThief, ExecutionId{1}}},
                .outbox_done = {{kThief, OutboxId{7}}},
                .tokens_done = {{kThief, TokenId{8}}}});
  piece.tenant = run.tenant = kThief;
  piece.cut = run.reset = true;
  desk_->write({.workflow_pieces = {piece}, .workflow_runs = {run}});
  for (std::string table : {"queue", "workflow_piece", "message", "timer", "outbox", "token"}) {
    EXPECT_EQ(count("SELECT count(*) FROM " + table), 1) << table;
  }
  EXPECT_EQ(count("SELECT status FROM workflow_run"), 3);

  auto expect_not_written = [&](Changes changes) {
    std::vector<Order> one;
    one.push_back({std::move(changes), 0});
    EXPECT_NE(ends(desk_->commit(std::move(one))), std::vector{WriteEnd::Committed});
  };
  auto stolen = running(execution(1));
  stolen.tenant = head.tenant = webhook.tenant = worker.tenant = question.tenant = kThief;
  head.version = webhook.version = question.version = 2;
  expect_not_written({.executions = {stolen}});
  expect_not_written({.workflows = {head}});
  expect_not_written({.inquiries = {question}});
  expect_not_written({.webhooks = {webhook}});
  expect_not_written({.workers = {worker}});
  piece.cut = run.reset = false;
  expect_not_written({.workflow_pieces = {piece}});
  expect_not_written({.workflow_runs = {run}});
  EXPECT_TRUE(must(find_execution(*reader_, kTenant, ExecutionId{1})).has_value());
}

// Two owners of one store: each reads what its shards hold.
TEST_P(Repositories, TheKernelReadsOnlyTheRowsOfItsShards) {
  Changes all;
  std::array<int, 2> expected{};
  auto half = [](int64_t root) { return shard_of(kTenant, root) < 32 ? 0 : 1; };
  for (int64_t id = 1; id <= 20; ++id) {
    ++expected[static_cast<size_t>(half(id))];
    auto leased = running(execution(id));
    all.new_executions.push_back(leased);
    all.enqueue.push_back({leased.id, kTenant, id});
    all.messages.push_back(message(100 + id, id));
    all.timers.push_back(timer(200 + id, id, id));
    all.outbox.push_back(outbox_row(300 + id, id));
  }
  ASSERT_GT(std::min(expected[0], expected[1]), 4);
  desk_->write(std::move(all));
  ShardSet halves[] = {ShardSet::range(0, 32), ShardSet::range(32, kShards)};
  for (size_t i : {0U, 1U}) {
    auto size = static_cast<size_t>(expected[i]);
    std::vector<ExecutionStatus> leased{ExecutionStatus::Running};
    EXPECT_EQ(must(executions_in(*reader_, halves[i], leased)).size(), size);
    EXPECT_EQ(must(queue_head(*reader_, halves[i], kTenant, 100)).size(), size);
    EXPECT_EQ(must(queue_depths(*reader_, halves[i])).at(0).waiting, expected[i]);
    EXPECT_EQ(must(messages(*reader_, halves[i], 0, 100)).size(), size);
    EXPECT_EQ(must(outbox(*reader_, halves[i], 0, 100)).size(), size);
    auto due = must(timers_until(*reader_, halves[i], 1000, 100));
    EXPECT_EQ(due.size(), size);
    for (const auto& entry : due) {
      EXPECT_EQ(entry.tenant, kTenant);
      EXPECT_EQ(half(entry.id.value - 200), static_cast<int>(i));
    }
  }
}

}  // namespace
}  // namespace millrace::store::testing
