// SPDX-License-Identifier: Apache-2.0
// What people name and change by version: rules, webhooks, tokens, keys; tenants and shards apart.
#include "row_fields.h"

namespace millrace::store::testing {
namespace {

class NamedRows : public StoreContract {};
STORE_CONTRACT(NamedRows);

TEST_P(NamedRows, ARuleIsItsNewestRevision) {
  RuleRow first{.id = RuleId{77},
                .tenant = kTenant,
                .ref = "ci.on_push",
                .pack = "ci",
                .author = "ann",
                .spec_json = kBytes,
                .override_json = kBytes,
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
  auto history = must(rule_history(*reader_, kTenant, "ci.on_push", 10));
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(fields(history[0]), fields(second));
  EXPECT_EQ(must(rule_history(*reader_, kTenant, "ci.on_push", 1)).size(), 1U);
  EXPECT_TRUE(must(rule_history(*reader_, kOtherTenant, "ci.on_push", 10)).empty());
  EXPECT_TRUE(must(find_rule(*reader_, kTenant, "ci.old"))->deleted);
  EXPECT_EQ(must(find_rule(*reader_, kTenant, "ci.on_push"))->revision, 2);
  EXPECT_FALSE(must(find_rule(*reader_, kOtherTenant, "ci.on_push")).has_value());
}

TEST_P(NamedRows, ARefThatWasDeletedAndMadeAgainIsFoundByTime) {
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

TEST_P(NamedRows, ARevisionThatIsThereAlreadyIsStale) {
  RuleRow rule{.id = RuleId{77}, .tenant = kTenant, .ref = "ci.on_push"};
  desk_->write({.rules = {rule}});
  auto again = desk_->commit({{{.rules = {rule}}}});
  EXPECT_EQ(ends(again), std::vector{WriteEnd::Stale});
  EXPECT_EQ(again[0].reason, "rule 'ci.on_push': revision 1 is there already");
}

TEST_P(NamedRows, AWebhookIsChangedOnlyOnItsVersion) {
  WebhookRow row{.id = WebhookId{81},
                 .tenant = kTenant,
                 .name = "github",
                 .scheme = "github",
                 .trigger = "core.webhook",
                 .sealed_secrets = "sealed",
                 .url = "https://hooks.example.com/in",
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

TEST_P(NamedRows, APolicyIsChangedOnlyOnItsVersion) {
  PolicyRow row{.id = PolicyId{81},
                .tenant = kTenant,
                .ref = "ci.one",
                .spec_json = kBytes,
                .created = kNow,
                .updated = kNow};
  desk_->write({.policies = {row}});
  row.version = 2;
  row.enabled = false;
  desk_->write({.policies = {row}});
  auto live = must(policies_of_all_tenants(*reader_));
  ASSERT_EQ(live.size(), 1U);
  EXPECT_EQ(fields(live[0]), fields(row));
  EXPECT_EQ(fields(*must(find_policy(*reader_, kTenant, row.id))), fields(row));
  EXPECT_FALSE(must(find_policy(*reader_, kOtherTenant, row.id)));
  EXPECT_EQ(ends(desk_->commit({{{.policies = {row}}}})), std::vector{WriteEnd::Stale});
  row.version = 3;
  row.deleted = true;
  desk_->write({.policies = {row}});
  EXPECT_TRUE(must(policies_of_all_tenants(*reader_)).empty());
}

TEST_P(NamedRows, AGaugeIsWrittenOnlyOnItsVersionAndKnowsWhoIsFirst) {
  auto gauge = [](std::string name, int64_t version, int64_t waiting) {
    return GaugeRow{.tenant = kTenant,
                    .name = std::move(name),
                    .version = version,
                    .held = 1,
                    .waiting = waiting,
                    .full_at_us = 4,
                    .window = 5,
                    .used = 6,
                    .idle_at = 7,
                    .was = version - 1};
  };
  auto place = [](int64_t id, int64_t rank, PlaceState state = PlaceState::Waits) {
    return PlaceRow{.tenant = kTenant,
                    .gauge = "p/c",
                    .execution = ExecutionId{id},
                    .root = ExecutionId{id + 1},
                    .state = state,
                    .rank = rank};
  };
  // What rests on one that was not written finds none.
  EXPECT_EQ(ends(desk_->commit({{{.gauges = {gauge("p/c", 5, 2)}}}})),
            std::vector{WriteEnd::Stale});
  auto fresh = [&](std::string name, int64_t waiting) {
    auto row = gauge(std::move(name), 5, waiting);
    row.was = 0;
    return row;
  };
  desk_->write({.gauges = {fresh("p/c", 2), fresh("p/r", 0), fresh("q/c", 1)},
                .places = {place(1, 9), place(2, 8), place(3, 1, PlaceState::Holds)}});
  // Two steps of one batch, one after the other.
  desk_->commit({{{.gauges = {gauge("p/c", 6, 3)}, .places = {place(4, 7)}}},
                 {{.gauges = {gauge("p/c", 7, 2)}, .places = {place(2, 8, PlaceState::Holds)}}}});
  EXPECT_EQ(fields(*must(find_gauge(*reader_, kTenant, "p/c"))), fields(gauge("p/c", 7, 2)));
  EXPECT_FALSE(must(find_gauge(*reader_, kOtherTenant, "p/c")));
  EXPECT_EQ(ends(desk_->commit({{{.gauges = {gauge("p/c", 7, 9)}}}})),
            std::vector{WriteEnd::Stale});
  EXPECT_EQ(ends(desk_->commit({{{.gauges = {fresh("p/c", 9)}}}})), std::vector{WriteEnd::Stale});
  // A number that is higher by one says nothing: it must be the one that was read.
  auto other = gauge("p/c", 8, 9);
  other.was = 6;
  EXPECT_EQ(ends(desk_->commit({{{.gauges = {other}}}})), std::vector{WriteEnd::Stale});
  EXPECT_EQ(must(gauges_between(*reader_, kTenant, "p/", "p0", 9)).size(), 2U);
  auto waiting = must(first_places(*reader_, kTenant, "p/c", PlaceState::Waits, 9));
  ASSERT_EQ(waiting.size(), 2U);
  EXPECT_EQ(fields(waiting[0]), fields(place(4, 7)));
  EXPECT_EQ(waiting[1].execution, ExecutionId{1});
  EXPECT_EQ(must(first_places(*reader_, kTenant, "p/c", PlaceState::Holds, 9)).size(), 2U);
  auto where = must(waiting_gauges(*reader_, {}, "", 9));
  ASSERT_EQ(where.size(), 2U);
  EXPECT_EQ(must(waiting_gauges(*reader_, kTenant, "p/c", 9)).size(), 1U);
  auto gone = place(4, 7);
  gone.gone = true;
  desk_->write({.places = {gone}});
  EXPECT_EQ(must(first_places(*reader_, kTenant, "p/c", PlaceState::Waits, 9)).size(), 1U);
}

TEST_P(NamedRows, TokensPackReleasesAndWorkersComeBack) {
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
                   .updated = kNow,
                   .home = 7,
                   .ttl_ms = 30'000,
                   .session = SessionId{93},
                   .labels = "gpu,os=linux",
                   .opening = 4};
  PackReleaseRow release{
      .tenant = kTenant, .pack = "ci", .version = "1.0", .digest = "d", .created = kNow};
  desk_->write({.tokens = {token}, .pack_releases = {release}, .workers = {worker}});
  EXPECT_EQ(fields(must(tokens_of_all_tenants(*reader_)).at(0)), fields(token));
  worker.instance = "boot-2";
  worker.version += 1;
  desk_->write(
      {.tokens_done = {{kTenant, TokenId{91}}}, .pack_releases = {release}, .workers = {worker}});
  EXPECT_TRUE(must(tokens_of_all_tenants(*reader_)).empty());
  ASSERT_EQ(must(all_workers(*reader_)).size(), 1U);
  EXPECT_EQ(fields(must(all_workers(*reader_)).at(0)), fields(worker));
  EXPECT_EQ(count("SELECT count(*) FROM pack_release"), 1);
  release.source_json = R"({"kind":"archive","from":"ci.tar.gz"})";
  release.installer = "ann";
  desk_->write({.pack_releases = {release}});
  EXPECT_EQ(fields(must(current_releases(*reader_)).rows.at(0)), fields(release));
  OperationRow operation{.id = OperationId{95},
                         .tenant = kTenant,
                         .kind = "pack.install",
                         .subject = "https://example.org/tea.git",
                         .progress = "fetches",
                         .identity = "ann",
                         .server = "n1",
                         .created = kNow};
  desk_->write({.operations = {operation}});
  EXPECT_EQ(fields(must(operations_left(*reader_, "n1")).at(0)), fields(operation));
  EXPECT_TRUE(must(operations_left(*reader_, "n2")).empty());
  operation.status = OperationStatus::Succeeded;
  operation.result_json = R"({"ref":"tea"})";
  operation.updated = kNow + 5;
  desk_->write({.operations = {operation}});
  EXPECT_EQ(fields(*must(find_operation(*reader_, kTenant, OperationId{95}))), fields(operation));
  EXPECT_FALSE(must(find_operation(*reader_, kOtherTenant, OperationId{95})));
  EXPECT_EQ(must(list_operations(*reader_, kTenant, {})).size(), 1U);
  EXPECT_TRUE(must(operations_left(*reader_, "n1")).empty());
  EXPECT_FALSE(must(release_before(*reader_, kTenant, "ci", "d")));
  auto next = release;
  next.digest = "e";
  next.updated = release.updated + 1;
  desk_->write({.pack_releases = {next}});
  EXPECT_EQ(must(release_before(*reader_, kTenant, "ci", "e"))->digest, "d");
}

TEST_P(NamedRows, AKeyComesBackByteForByteForItsTenantOnly) {
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

TEST_P(NamedRows, AKeyIsChangedAndDeletedOnlyOnItsVersion) {
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

TEST_P(NamedRows, KeysAreListedByScopeAndName) {
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

TEST_P(NamedRows, TheNewestIdIsTheHighestOfAnyKind) {
  EXPECT_EQ(must(newest_id(*reader_)), 0);
  desk_->write({.events = {event(5)}});
  EXPECT_EQ(must(newest_id(*reader_)), 5);
  desk_->write({.outbox = {outbox_row(9, 1)}, .rules = {{.id = RuleId{8}, .tenant = kTenant}}});
  EXPECT_EQ(must(newest_id(*reader_)), 9);
}

// K10: nothing of one tenant is changed or deleted by another, although it knows the id.
TEST_P(NamedRows, AnotherTenantsRowsAreNeitherChangedNorDeleted) {
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
                .outbox_done = {{kThief, OutboxId{7}}}});
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
  expect_not_written({.tokens_done = {{kThief, TokenId{8}}}});
  EXPECT_EQ(count("SELECT count(*) FROM token"), 1);
  piece.cut = run.reset = false;
  expect_not_written({.workflow_pieces = {piece}});
  expect_not_written({.workflow_runs = {run}});
  EXPECT_TRUE(must(find_execution(*reader_, kTenant, ExecutionId{1})).has_value());
}

// Two owners of one store: each reads what its shards hold.
TEST_P(NamedRows, TheKernelReadsOnlyTheRowsOfItsShards) {
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
    EXPECT_EQ(must(queue_head(*reader_, halves[i], kTenant, "", 100)).size(), size);
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
