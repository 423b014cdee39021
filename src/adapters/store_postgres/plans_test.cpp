// SPDX-License-Identifier: Apache-2.0
// A plan that was made while the tables were empty is the one that is right when they are not.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <regex>

#include "adapters/store_postgres/dialect.h"
#include "adapters/store_postgres/store_postgres.h"
#include "adapters/store_postgres/test_support.h"
#include "store/migrate.h"
#include "store/read.h"
#include "store/row_reader.h"
#include "store/write.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

// Every table with a tenant: keys of their own, few kinds and states, a thousand of all else.
constexpr std::string_view kFill = R"(
DO $do$
DECLARE t record;
BEGIN
  FOR t IN SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ') AS columns,
    string_agg(CASE
      WHEN a.attname = 'tenant' OR a.attname IN ('status', 'failure', 'kind', 'state') THEN '1'
      WHEN a.attname = 'shard' THEN 'i % 64'
      WHEN a.attname = 'ref' THEN '''x'' || i'
      WHEN a.atttypid = 'bytea'::regtype THEN '''''::bytea'
      WHEN u.is_key THEN CASE WHEN a.atttypid = 'text'::regtype THEN '''x'' || i' ELSE 'i' END
      WHEN a.atttypid = 'text'::regtype THEN '''x'''
      ELSE '(i % 1000) + 1' END, ', ') AS expressions
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0,
    LATERAL (SELECT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique
      AND a.attnum = ANY (x.indkey)) AS is_key) AS u
    WHERE n.nspname = current_schema() AND c.relkind = 'r' GROUP BY c.relname
    HAVING bool_or(a.attname = 'tenant') AND c.relname <> 'catalog'
  LOOP
    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM generate_series(1, 20000) AS i',
                   t.name, t.columns, t.expressions);
  END LOOP;
END $do$)";

class Plans : public ::testing::Test {
 protected:
  Plans() {
    must(migrate(*db_));
    // It would plan anew whatever it looks at.
    each_table([&](const std::string& name) {
      must(db_->run(fmt::format("ALTER TABLE {} SET (autovacuum_enabled = off)", name)));
    });
  }

  void each_table(const std::function<void(const std::string&)>& visit) {
    auto names = must(query<std::string>(
        *db_,
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
        [](RowReader read, std::string& name) { read >> name; }));
    for (const auto& name : names) visit(name);
  }
  std::string explain(sql::Connection& db, const std::string& options, const std::string& call) {
    std::string plan;
    auto* statement = must(db.prepare(fmt::format("EXPLAIN ({}) EXECUTE {}", options, call)));
    ResetAtExit reset(*statement);
    while (must(statement->step())) plan += std::string(statement->column_bytes(0)) + "\n";
    return plan;
  }

  TempFolder folder_;
  std::unique_ptr<sql::Store> store_ =
      must(PostgresCluster::of_this_process().open(folder_.path()));
  std::unique_ptr<sql::Connection> db_ = must(store_->open_writer());
};

// Statements that may be planned by what is there.
bool is_planned_by_rows(const std::string& text) {
  // Once, at a start; all of a store; people's look-ups where there are few rows.
  static const std::regex kFree(
      R"(/\*every tenant: (doctor|backup|start|worker|releases)\*/|AS newest|FROM (shard|server|catalog)\b|)"
      R"(FROM token WHERE tenant = \$1 ORDER|FROM rule WHERE |digest IN \(SELECT|name <> '' AND \()");
  return std::regex_search(text, kFree);
}

// All that the store asks (tests/contract/golden), as calls of what was prepared.
std::map<std::string, std::string> prepare_all(sql::Connection& db) {
  std::map<std::string, std::string> calls;
  std::ifstream golden(MILLRACE_SOURCE_DIR "/tests/contract/golden/statements.txt");
  static const std::regex kAsks("^(SELECT|UPDATE|DELETE).*");
  for (std::string text; std::getline(golden, text);) {
    if (!std::regex_match(text, kAsks) || is_planned_by_rows(text)) continue;
    int parameters = 0;
    while (text.find(fmt::format("${}", parameters + 1)) != text.npos) ++parameters;
    // The one that PostgreSQL cannot guess.
    bool is_head = text.find("length($5)") != text.npos;
    auto name = fmt::format("p{}", calls.size());
    must(db.run(fmt::format("PREPARE {}{} AS {}", name,
                            is_head ? "(bigint, bigint, bigint, bigint, bytea)" : "", text)));
    std::string nulls;
    for (int i = 0; i < parameters; ++i) nulls += i == 0 ? "NULL" : ", NULL";
    calls.emplace(text, parameters == 0 ? name : fmt::format("{}({})", name, nulls));
  }
  return calls;
}

TEST_F(Plans, OfAnEmptyStoreAreThoseOfAFullOne) {
  auto calls = prepare_all(*db_);
  EXPECT_GT(calls.size(), 80U);
  auto plans = [&] {
    std::map<std::string, std::string> found;
    for (const auto& [text, call] : calls) found[text] = explain(*db_, "COSTS OFF", call);
    return found;
  };
  auto empty = plans();
  must(db_->run(kFill));
  each_table([&](const std::string& name) { must(db_->run("ANALYZE " + name)); });
  auto full = plans();
  // It was emptied, and the server knows it: a queue in the night.
  each_table([&](const std::string& name) {
    must(db_->run("DELETE FROM " + name));
    must(must(db_->prepare("VACUUM ANALYZE " + name))->execute());
  });
  auto emptied = plans();
  for (const auto& [text, plan] : full) {
    EXPECT_EQ(empty[text], plan) << "in an empty store: " << text;
    EXPECT_EQ(emptied[text], plan) << "in a store that was emptied: " << text;
    EXPECT_EQ(plan.find("Seq Scan"), plan.npos) << text << "\n" << plan;
  }
}

// A dump makes the primary keys first.
TEST_F(Plans, OfAStoreThatWasRestoredAreTheSame) {
  auto count = [&] {
    return must(query_int(*db_, fmt::format("SELECT count(*) {}", store_postgres::kOlderKeys)));
  };
  EXPECT_EQ(count(), 0);
  must(must(db_->prepare("CREATE INDEX later ON queue (tenant, execution)"))->execute());
  EXPECT_EQ(count(), 1);
  must(PostgresCluster::of_this_process().open(folder_.path()));
  EXPECT_EQ(count(), 0);
}

// What the statements of a running server touch, by the plans that they made when it was new.
TEST_F(Plans, TouchAsFewPagesOfAFullStoreAsOfANewOne) {
  auto reader = must(store_->open_reader());
  constexpr int kUntilGeneric = 10;
  for (int i = 0; i < kUntilGeneric; ++i) {
    must(find_execution(*reader, kTenant, ExecutionId{1}));
    must(find_event(*reader, kTenant, EventId{1}));
    must(load_timer(*reader, kTenant, TimerId{1}));
    must(find_inquiry(*reader, kTenant, InquiryId{1}));
    must(last_change(*reader));
    must(children_of(*reader, kTenant, ExecutionId{1}));
    must(workflow_runs(*reader, kTenant, ExecutionId{1}, true));
    must(enforcements_of(*reader, kTenant, EventId{1}));
    Changes done{.dequeue = {{kTenant, ExecutionId{1}}},
                 .acked = {{kTenant, MessageId{1}}},
                 .timers_done = {{kTenant, TimerId{1}}}};
    Changes* changes = &done;
    must(db_->run("BEGIN IMMEDIATE"));
    must(write_changes(*db_, {&changes, 1}));
    must(db_->run("COMMIT"));
  }
  must(db_->run(kFill));
  // By the beginning and the end of their texts, and with which parameters they are run.
  struct Call {
    std::string_view begins, ends, parameters;
    sql::Connection& of;
  };
  const Call kCalls[] = {
      {"SELECT id", "FROM execution WHERE id = $1 AND tenant = $2", "(19000, 1)", *reader},
      {"SELECT id", "FROM event WHERE id = $1 AND tenant = $2", "(19000, 1)", *reader},
      {"SELECT id", "FROM timer WHERE id = $1 AND tenant = $2", "(19000, 1)", *reader},
      {"SELECT id", "FROM inquiry WHERE id = $1 AND tenant = $2", "(19000, 1)", *reader},
      {"SELECT coalesce", "numbering*/", "", *reader},
      {"SELECT id", "parent <> 0 ORDER BY parent, id", "(1, 500, 9000000)", *reader},
      {"SELECT workflow", "ORDER BY task, route, item", "(19000, 1, 16)", *reader},
      {"SELECT id", "ORDER BY event, id", "(1, 500, 9000000)", *reader},
      {"DELETE", "queue WHERE execution = $1 AND tenant = $2", "(19000, 1)", *db_},
      {"DELETE", "message WHERE id = $1 AND tenant = $2", "(19000, 1)", *db_},
      {"DELETE", "timer WHERE id = $1 AND tenant = $2", "(19000, 1)", *db_},
  };
  static const std::regex kPages(R"(shared(?: hit=(\d+))?(?: read=(\d+))?)");
  for (const auto& call : kCalls) {
    auto names = must(query<std::string>(
        call.of, "SELECT name FROM pg_prepared_statements WHERE statement LIKE $1",
        [](RowReader read, std::string& name) { read >> name; },
        fmt::format("{}%{}", call.begins, call.ends)));
    ASSERT_EQ(names.size(), 1U) << call.ends;
    auto plan = explain(call.of, "ANALYZE, BUFFERS, COSTS OFF, TIMING OFF",
                        names[0] + std::string(call.parameters));
    std::smatch pages;
    ASSERT_TRUE(std::regex_search(plan, pages, kPages)) << plan;
    int64_t touched = 0;
    for (size_t i : {1, 2}) touched += pages[i].matched ? std::stoll(pages[i]) : 0;
    EXPECT_LT(touched, 30) << call.ends << "\n" << plan;
  }
}

}  // namespace
}  // namespace millrace::store::testing
