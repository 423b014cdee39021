// SPDX-License-Identifier: Apache-2.0
// What is written can be read, byte for byte, by its own tenant only.
#include "row_fields.h"

namespace millrace::store::testing {
namespace {

class Repositories : public StoreContract {};
STORE_CONTRACT(Repositories);

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
  row.defaults = "wait,loud";
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
  expected.defaults = first.defaults;
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

}  // namespace
}  // namespace millrace::store::testing
