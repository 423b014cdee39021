// SPDX-License-Identifier: Apache-2.0
// Every SQL text of the store: it is prepared against the schema, binds the tenant (K10), walks an
// index, and stands in golden/statements.txt. ./dev check finds a text that does not come by here.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <regex>

#include "every_row.h"
#include "store/backup.h"
#include "store/copy.h"
#include "store/doctor.h"
#include "store/repository.h"
#include "store/retention.h"
#include "store/schema.h"
#include "store/servers.h"
#include "store/tables.h"
#include "store/watched_store.h"
#include "store/writer.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

const std::string kGolden =
    std::string(MILLRACE_SOURCE_DIR) + "/tests/contract/golden/statements.txt";

class Statements : public StoreContract {
 protected:
  Statements() : watched_(*store_) {
    desk_->close();
    auto db = must(watched_.open_writer());
    must(migrate(*db));
    epoch_ = must(claim_shards(*db, 0, kAllShards));
    writer_ = must(Writer::open(watched_, {.owner_epoch = epoch_, .full_retry_ms = 1}));
    must(schema_version(*db));
  }

  WriteEnd write(std::vector<Changes> changes) {
    std::vector<std::unique_ptr<Step>> steps;
    for (auto& c : changes) {
      steps.push_back(std::make_unique<Step>());
      steps.back()->changes = std::move(c);
    }
    auto written = writer_->write(steps, {kNow, 0});
    for (const auto& w : written) EXPECT_EQ(w.end, WriteEnd::Committed) << w.reason;
    return written.back().end;
  }

  // Runs all that the store can be asked.
  const std::set<std::string, std::less<>>& collect() {
    Changes all = everything(1);
    all.new_executions.push_back(ended(execution(1)));  // old enough to go
    write({std::move(all)});
    KeyRow gone{.key = {kTenant, "system", "a1"}, .version = 2, .deleted = true};
    write({{.keys = {gone}}});
    lose_keys();
    move_recent_keys();
    fill_the_disk();
    read_all_rows();
    migrate_empty();
    copy_all();
    serve();
    return watched_.watch.texts;
  }

  WatchedStore watched_;
  int64_t epoch_ = 0;
  std::unique_ptr<Writer> writer_;

 private:
  void migrate_empty() {
    TempFolder folder;
    auto store = must(GetParam().open(folder.path()));
    WatchedStore watched(*store);
    auto db = must(watched.open_writer());
    must(migrate(*db));
    watched_.watch.texts.merge(watched.watch.texts);
  }
  void copy_all() {
    TempFolder folder;
    auto store = must(GetParam().open(folder.path()));
    WatchedStore watched(*store);
    auto to = must(watched.open_writer());
    must(migrate(*to));
    auto from = must(watched_.open_reader());
    must(copy_rows(*from, *to, [](const CopiedTable&) {}));
    // Behind what is there: the texts of a second page and of a copy that goes on.
    must(mark_copy(*to, must(state_of_copy(*from))));
    must(copy_rows(*from, *to, [](const CopiedTable&) {}));
    watched_.watch.texts.merge(watched.watch.texts);
  }
  void serve() {
    auto db = must(watched_.open_writer());
    must(claim_shards(*db, 0, ShardSet::of(1)));
    auto server = must(join(*db, {.name = "a", .home = "h"}));
    must(beat(*db, server));
    must(reassign(*db, server, {.seen = must(look(*db)), .wanted = ShardSet::of(2)}));
    must(take_lease(*db, "sensor", server, {}));
    must(give_lease(*db, "sensor", server));
    must(forget(*db, server));
    must(leave(*db, server));
    must(fence(*db));
  }
  void lose_keys() {
    std::vector<std::unique_ptr<Step>> steps;
    for (const std::vector<DedupeRow>& keys :
         {std::vector{key("x"), key("k1")}, std::vector{key("x")}}) {
      steps.push_back(std::make_unique<Step>());
      steps.back()->changes.dedupe = keys;
    }
    DedupeRow of_event = key("of no event");  // the doctor looks for that
    of_event.scope = "event:ci";
    of_event.value = std::to_string(first_id_at(kNow));
    steps.push_back(std::make_unique<Step>());
    steps.back()->changes.dedupe = {of_event};
    writer_->write(steps, {kNow, 0});
  }
  void move_recent_keys() {
    auto writer = must(Writer::open(watched_, {.owner_epoch = epoch_, .recent_keys = 1}));
    for (const char* name : {"r1", "r2", "r3", "r4"}) {
      std::vector<std::unique_ptr<Step>> one;
      one.push_back(std::make_unique<Step>());
      one[0]->changes.dedupe = {key(name)};
      EXPECT_EQ(writer->write(one, {kNow, 0}).at(0).end, WriteEnd::Committed);
    }
  }
  void fill_the_disk() {
    watched_.watch.fail = [](std::string_view text) -> std::optional<Error> {
      if (text != "COMMIT") return std::nullopt;
      return Error(ErrorKind::Unavailable, std::string(sql::kFull), "planted");
    };
    std::vector<std::unique_ptr<Step>> one;
    one.push_back(std::make_unique<Step>());
    writer_->write(one, {kNow, 0});
    watched_.watch.fail = nullptr;
    writer_->write({}, {kNow, 100});
    EXPECT_FALSE(writer_->read_only());
  }
  void read_all_rows() {
    auto db = must(watched_.open_reader());
    must(examine(*db, {.now_ms = kNow}));
    Retention retention;
    using enum Expirable;
    for (auto kind : {Events, Executions, Changes, Dedupe, Quarantine, Keys, Operations, Gauges}) {
      must(retention.due(*db, kAllShards, {kind, kNow + 90 * kDay, 10}));
    }
    must(begin_snapshot(*db));
    must(end_snapshot(*db));
    must(find_execution(*db, kTenant, ExecutionId{1}));
    must(has_execution(*db, kTenant, ExecutionId{1}));
    for (auto order : {store::Order::NewestFirst, store::Order::OldestFirst}) {
      Page page{.order = order};
      for (const ExecutionFilter& filter :
           std::vector<ExecutionFilter>{{},
                                        {.status = ExecutionStatus::Running},
                                        {.action = "a"},
                                        {.parent = ExecutionId{1}},
                                        {.open_only = true}}) {
        must(list_executions(*db, kTenant, filter, page));
      }
      must(list_events(*db, kTenant, "", page));
      must(list_events(*db, kTenant, "t", page));
      must(list_enforcements(*db, kTenant, RuleId{1}, page));
      must(list_enforcements(*db, kTenant, {}, page));
    }
    must(children_of(*db, kTenant, ExecutionId{1}));
    must(open_descendants(*db, kTenant, ExecutionId{1}));
    std::vector<ExecutionStatus> live{ExecutionStatus::Running};
    must(executions_in(*db, kAllShards, live));
    must(pinned_releases(*db));
    must(find_result_blob(*db, kTenant, ExecutionId{1}));
    must(outputs_of(*db, kTenant, ExecutionId{1}));
    must(find_event(*db, kTenant, EventId{1}));
    must(find_enforcement(*db, kTenant, EnforcementId{1}));
    must(enforcements_of(*db, kTenant, EventId{1}));
    must(load_workflow(*db, kTenant, ExecutionId{100}));
    must(workflow_runs(*db, kTenant, ExecutionId{1}, false));
    must(workflow_runs(*db, kTenant, ExecutionId{1}, true));
    must(task_runs(*db, kTenant, ExecutionId{1}, "t", 0));
    must(find_inquiry(*db, kTenant, InquiryId{1}));
    must(list_inquiries(*db, kTenant, {}, {}));
    must(list_inquiries(*db, kTenant, InquiryStatus::Pending, {}));
    must(queue_head(*db, kAllShards, kTenant, "", 1));
    must(list_queue(*db, kTenant, 1));
    must(queue_depths(*db, kAllShards));
    must(find_dedupe(*db, kTenant, "s", "k"));
    must(load_timer(*db, kTenant, TimerId{1}));
    must(message_waits(*db, kTenant, MessageId{1}));
    must(stored_ends(*db, kTenant, ExecutionId{1}));
    must(timers_until(*db, kAllShards, kNow, 1));
    must(messages(*db, kAllShards, 0, 1));
    must(outbox(*db, kAllShards, 0, 1));
    must(named_timers(*db, kTenant));
    must(named_timer(*db, kTenant, "n"));
    must(named_timers_after(*db, kAllShards, TimerId{1}, 1));
    must(timers_ahead(*db, kAllShards, kNow, TimerId{1}, 1));
    must(find_timer_of(*db, kTenant, ExecutionId{1}, TimerKind::Wake));
    must(releases_waited_for(*db, kTenant));
    must(executions_held_for(*db, kAllShards, kTenant, "d", {}, 1));
    must(executions_pinned_to(*db, kAllShards, kTenant, "d", {}, 1));
    must(executions_of_release(*db, kTenant, "d"));
    must(current_releases(*db));
    must(has_release(*db, "p", "d"));
    must(release_before(*db, kTenant, "p", "d"));
    must(gone_pack_rules(*db));
    must(find_token(*db, kTenant, TokenId{1}));
    must(output_blobs(*db));
    must(named_releases(*db));
    must(sealed_keys(*db));
    must(unfinished(*db));
    must(list_quarantine(*db, kTenant, {}));
    must(ends_in_quarantine(*db));
    must(changes_after(*db, kTenant, 0, 1));
    must(feed_ends(*db));
    must(newest_id(*db));
    must(rules_of_all_tenants(*db));
    must(webhooks_of_all_tenants(*db));
    must(policies_of_all_tenants(*db));
    must(find_policy(*db, kTenant, PolicyId{1}));
    must(find_gauge(*db, kTenant, "g"));
    must(gauges_between(*db, kTenant, "g", "h", 1));
    must(first_places(*db, kTenant, "g", PlaceState::Waits, 1));
    must(waiting_gauges(*db, kTenant, "g", 1));
    must(tokens_of_all_tenants(*db));
    must(tokens_of(*db, kTenant));
    must(list_operations(*db, kTenant, {}));
    must(find_operation(*db, kTenant, OperationId{1}));
    must(operations_left(*db, "s"));
    must(rule_revisions(*db, kTenant, RuleId{1}));
    must(rule_history(*db, kTenant, "r", 1));
    must(find_rule(*db, kTenant, "r"));
    must(rule_at(*db, kTenant, "r", kNow));
    must(find_key(*db, {kTenant, "system", "k"}));
    must(list_keys(*db, {kTenant, "", ""}, "", 1));
    must(list_keys(*db, {kTenant, "", ""}, "system", 1));
    must(all_workers(*db));
    must(catalogs_of_all_tenants(*db));
    must(catalog_of(*db, kTenant));
    must(find_webhook(*db, kTenant, WebhookId{1}));
    must(all_changes_after(*db, 0, 1));
  }
};
STORE_CONTRACT(Statements);

std::string whole_schema() {
  std::string schema;
  for (auto step : schema_steps()) schema += step;
  return schema;
}

// The tables with a tenant in them.
std::set<std::string> tenant_tables() {
  static const std::regex kTable(R"(CREATE TABLE (\w+) \(([^;]*)\))");
  std::set<std::string> tables;
  std::string schema = whole_schema();
  for (std::sregex_iterator it(schema.begin(), schema.end(), kTable), end; it != end; ++it) {
    if ((*it)[2].str().find("tenant BIGINT NOT NULL") != std::string::npos) tables.insert((*it)[1]);
  }
  return tables;
}

int64_t matches(const std::string& text, const std::regex& pattern) {
  return std::distance(std::sregex_iterator(text.begin(), text.end(), pattern),
                       std::sregex_iterator());
}

// Of what kind a statement is that reads over all tenants; empty: it does not say so.
std::string exception_of(const std::string& text) {
  static const std::regex kMark(R"(/\*every tenant: (\w+)\*/)");
  std::smatch mark;
  return std::regex_search(text, mark, kMark) ? mark[1].str() : "";
}

// How a statement fails to bind the tenant for each table that it names; empty: it does bind it.
std::string tenant_problem(const std::string& text) {
  if (auto word = exception_of(text); !word.empty()) {
    bool listed = whole_schema().find("\n--   " + word + " ") != std::string::npos;
    return listed ? "" : "'" + word + "' is no exception of the schema";
  }
  static const std::regex kNamed(R"(\b(?:FROM|JOIN|UPDATE|INTO) (\w+))");
  static const std::regex kBound(R"(\btenant = (?:\$\d+|\w+\.tenant))");
  static const std::regex kInserted(R"(INSERT INTO \w+ \([^)]*\btenant\b)");
  static const std::regex kTarget(R"(ON CONFLICT \([^)]*\btenant\b)");
  auto tables = tenant_tables();
  int64_t named = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), kNamed), end; it != end; ++it) {
    if (tables.contains((*it)[1])) ++named;
  }
  int64_t bound = matches(text, kBound) + matches(text, kInserted);
  // An upsert touches a row that another tenant may have made.
  if (named > 0 && text.find("DO UPDATE") != std::string::npos) {
    ++named;
    bound += matches(text, kTarget);
  }
  if (bound >= named) return "";
  return fmt::format("names {} times what has a tenant, binds it {} times", named, bound);
}

TEST(TenantProblem, IsSeen) {
  EXPECT_EQ(tenant_tables().size(), 28U);
  for (const char* text : {
           "SELECT id FROM event WHERE id = $1",
           "DELETE FROM message WHERE id = $1",
           "UPDATE execution SET status = $1 WHERE id = $2",
           "SELECT 1 FROM event AS e WHERE e.tenant = $1 AND EXISTS (SELECT 1 FROM execution AS x "
           "WHERE x.id = e.id)",
           "INSERT INTO webhook (id, tenant) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET "
           "name = excluded.name",
           "SELECT id FROM event /*every tenant: whim*/ WHERE id = $1",
       }) {
    EXPECT_NE(tenant_problem(text), "") << text;
  }
  for (const char* text : {
           "SELECT id FROM event WHERE id = $1 AND tenant = $2",
           "SELECT value FROM meta WHERE name = 'schema'",
           "INSERT INTO key_value (tenant, scope) VALUES ($1, $2) ON CONFLICT (tenant, scope) DO "
           "UPDATE SET scope = excluded.scope",
           "SELECT id FROM event /*every tenant: sweep*/ WHERE id < $1",
       }) {
    EXPECT_EQ(tenant_problem(text), "") << text;
  }
}

TEST_P(Statements, BindTheTenant) {
  for (const auto& text : collect()) EXPECT_EQ(tenant_problem(text), "") << text;
}

TEST_P(Statements, AreTheGoldenOnes) {
  const auto& found = collect();
  if (getenv("UPDATE_GOLDEN")) {
    std::ofstream out(kGolden);
    for (const auto& text : found) out << text << "\n";
  }
  std::set<std::string, std::less<>> golden;
  std::ifstream in(kGolden);
  for (std::string line; std::getline(in, line);) golden.insert(line);
  for (const auto& text : found) EXPECT_TRUE(golden.contains(text)) << "new: " << text;
  for (const auto& text : golden) EXPECT_TRUE(found.contains(text)) << "gone: " << text;
  if (HasFailure()) ADD_FAILURE() << "UPDATE_GOLDEN=1 writes the list again; review its diff";
}

// No statement of a running server walks a whole table of a tenant's rows, or sorts what an index
// could give.
TEST_P(Statements, WalkAnIndex) {
  if (std::string(GetParam().name) != "sqlite") GTEST_SKIP() << "reads SQLite's plans";
  auto texts = collect();
  auto tables = tenant_tables();
  EXPECT_GT(texts.size(), 150U);
  static const std::regex kScan(R"(SCAN (\w+))");
  static const std::regex kAlias(R"((\w+) AS (\w+))");
  for (const auto& text : texts) {
    std::string kind = exception_of(text);
    if (kind == "doctor" || kind == "start" || kind == "worker" || kind == "backup" ||
        kind == "releases" || text.find("FROM catalog") != std::string::npos) {
      continue;
    }
    std::map<std::string, std::string> alias;
    for (std::sregex_iterator it(text.begin(), text.end(), kAlias), end; it != end; ++it) {
      alias[(*it)[2]] = (*it)[1];
    }
    auto* explain = must(reader_->prepare("EXPLAIN QUERY PLAN " + text));
    ResetAtExit reset(*explain);
    while (must(explain->step())) {
      std::string line(explain->column_bytes(3));
      EXPECT_EQ(line.find("TEMP B-TREE"), std::string::npos) << text << "\n" << line;
      // All that is open may be much: only the start looks at all of it.
      if (text.find("pack_release") == std::string::npos ||
          text.find("digest IN") == std::string::npos) {
        EXPECT_EQ(line.find("(tenant=? AND status<?)"), std::string::npos) << text << "\n" << line;
      }
      std::smatch scan;
      // A walk in the order of the ids ends at its LIMIT.
      if (!std::regex_search(line, scan, kScan) || text.find("LIMIT") != std::string::npos)
        continue;
      std::string table = alias.contains(scan[1]) ? alias[scan[1]] : scan[1].str();
      EXPECT_FALSE(tables.contains(table)) << text << "\n" << line;
    }
  }
}

// What an engine over a network would send for a commit does not grow with the rows.
TEST_P(Statements, AreAsManyMessagesForManyRowsAsForOne) {
  auto& watch = watched_.watch;
  auto messages_of = [&](std::vector<Changes> batch) {
    int64_t before = watch.messages;
    write(std::move(batch));
    return watch.messages - before;
  };
  write({{.feed = {change(1)}}});  // the first one looks at the shards
  int64_t of_one = messages_of({everything(1)});
  int64_t rows_before = watch.rows;
  // Under other ids: the same tables are not empty any more.
  Changes more = everything(101);
  auto rest = [](auto& rows, size_t per_id) {
    rows.erase(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(per_id));
  };
  ChangesMembers::all_of([&]<auto kMember>() {
    auto& rows = more.*kMember;
    rest(rows, rows.size() / 101);
    return true;
  });
  int64_t of_many = messages_of({std::move(more)});
  EXPECT_EQ(of_many, of_one);
  EXPECT_LT(of_one, 65);
  EXPECT_GT(watch.rows - rows_before, 3500);
  // Nor with the steps of a batch.
  std::vector<Changes> steps;
  for (int64_t i = 1; i <= 200; ++i) {
    steps.push_back({.dedupe = {key("s" + std::to_string(i))},
                     .events = {event(1'000'000 + i)},
                     .messages = {message(1'000'000 + i, 1)},
                     .feed = {change(i)}});
  }
  std::vector<Changes> one(steps.begin(), steps.begin() + 1);
  one[0].dedupe[0].key = "one";
  one[0].events[0].id = EventId{2'000'000};
  one[0].messages[0].id = MessageId{2'000'000};
  EXPECT_EQ(messages_of(std::move(one)), messages_of(std::move(steps)));
}

// The tables of the schema and those of tables.h are the same, column by column.
class Schema : public StoreContract {
 protected:
  template <typename Row>
  void expect_same() {
    SCOPED_TRACE(Table<Row>::kName);
    seen_.insert(std::string(Table<Row>::kName));
    std::vector<std::pair<std::string, std::string>> ours;
    for (const auto& column : column_texts<Row>()) ours.emplace_back(column.name, column.type);
    std::vector<std::pair<std::string, std::string>> stored;
    auto* info = must(reader_->prepare("SELECT name, type FROM pragma_table_info($1)"));
    ResetAtExit reset(*info);
    info->bind(Table<Row>::kName);
    while (must(info->step())) {
      std::string type(info->column_bytes(1));
      stored.emplace_back(info->column_bytes(0), type == "INT" ? "INTEGER" : type);
    }
    EXPECT_EQ(ours, stored);
  }
  template <auto kMember>
  void expect_same_of() {
    using Row = RowOf<kMember>;
    if constexpr (requires { Table<Row>::kName; }) expect_same<Row>();
  }
  std::set<std::string> seen_;
};
STORE_CONTRACT(Schema);

TEST_P(Schema, HasTheColumnsOfTheRows) {
  if (std::string(GetParam().name) != "sqlite") GTEST_SKIP() << "asks SQLite";
  ChangesMembers::all_of([&]<auto kMember>() {
    expect_same_of<kMember>();
    return true;
  });
  expect_same<RecentKeyRow>();  // no step has it: the writer's own
  EXPECT_EQ(seen_, tenant_tables());
}

}  // namespace
}  // namespace millrace::store::testing
