// SPDX-License-Identifier: Apache-2.0
// Migration, retention, backup.
#include <thread>

#include "store/retention.h"
#include "store/watched_store.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

constexpr int64_t kLater = kNow + 30 * kDay;

// An id that was made at this time.
int64_t id_at(int64_t unix_ms, int64_t sequence = 0) { return first_id_at(unix_ms) + sequence; }

class RetentionContract : public StoreContract {
 protected:
  Retention::Due due(Expirable kind, int limit, int64_t before = kLater,
                     ShardSet shards = kAllShards) {
    return must(retention_.due(*reader_, shards, {kind, before, limit}));
  }
  // One turn of a sweep: what is due goes. True: the sweep should come again at once.
  bool expire(Expirable kind, int limit, int64_t before = kLater) {
    auto found = due(kind, limit, before);
    EXPECT_LE(found.rows.size(), static_cast<size_t>(limit));
    if (!found.rows.empty()) desk_->write({.expired = found.rows});
    return found.more;
  }
  bool anything(Expirable kind, int64_t before = kLater) {
    return !must(Retention().due(*reader_, kAllShards, {kind, before, 1})).rows.empty();
  }

  Retention retention_;
};
STORE_CONTRACT(RetentionContract);

TEST_P(RetentionContract, RemovesOldFinalExecutionsInSmallBatchesWithAllThatHangsOnThem) {
  for (int64_t i = 0; i < 5; ++i) {
    auto row = ended(execution(id_at(kNow, i)));
    desk_->write({.new_executions = {row},
                  .outputs = {{.execution = row.id, .tenant = kTenant}},
                  .result_blobs = {{row.id, kTenant, "bytes"}}});
  }
  EXPECT_TRUE(anything(Expirable::Executions));
  expire(Expirable::Executions, 2);
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 3);
  EXPECT_EQ(count("SELECT count(*) FROM output"), 3);
  EXPECT_EQ(count("SELECT count(*) FROM result_blob"), 3);
  // The oldest go first.
  EXPECT_FALSE(must(find_execution(*reader_, kTenant, ExecutionId{id_at(kNow, 1)})).has_value());
  expire(Expirable::Executions, 100);
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 0);
  EXPECT_FALSE(anything(Expirable::Executions));
}

TEST_P(RetentionContract, KeepsOpenExecutionsAndTheirTrees) {
  auto open_root = running(execution(id_at(kNow, 1)));
  auto done_child = ended(execution(id_at(kNow, 2)));
  done_child.parent = done_child.root = open_root.id;
  auto done_root = ended(execution(id_at(kNow, 3)));
  auto done_child_of_done = ended(execution(id_at(kNow, 4)));
  done_child_of_done.parent = done_child_of_done.root = done_root.id;
  desk_->write({.new_executions = {open_root, done_child, done_root, done_child_of_done}});
  expire(Expirable::Executions, 100);
  EXPECT_TRUE(must(find_execution(*reader_, kTenant, open_root.id)).has_value());
  EXPECT_TRUE(must(find_execution(*reader_, kTenant, done_child.id)).has_value());
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 2);
  EXPECT_FALSE(anything(Expirable::Executions));
}

// B1: what must stay may be as much as it likes. It is no reason to come again, and costs nothing.
TEST_P(RetentionContract, OldRowsThatMustStayAreNeitherDueNorAReasonToComeAgain) {
  Changes all;
  int64_t n = 0;
  for (int64_t i = 0; i < 200; ++i) {
    auto root = running(execution(id_at(kNow, ++n)));
    auto e = event(id_at(kNow, ++n));
    all.enforcements.push_back(enforcement(id_at(kNow, ++n), e.id.value, root.id.value));
    for (int64_t step = 0; step < 3; ++step) {
      auto row = ended(execution(id_at(kNow, ++n)));
      row.parent = row.root = root.id;
      all.new_executions.push_back(row);
    }
    all.new_executions.push_back(root);
    all.events.push_back(e);
  }
  desk_->write(std::move(all));

  auto executions = due(Expirable::Executions, 50);
  EXPECT_TRUE(executions.rows.empty());
  EXPECT_FALSE(executions.more);
  // The events are looked at once, bit by bit, ...
  for (int turn = 0; turn < 4; ++turn) {
    auto events = due(Expirable::Events, 50);
    EXPECT_TRUE(events.rows.empty());
    EXPECT_TRUE(events.more) << turn;
  }
  // ... and then at leisure.
  for (int turn = 0; turn < 10; ++turn) {
    auto events = due(Expirable::Events, 50);
    EXPECT_TRUE(events.rows.empty());
    EXPECT_FALSE(events.more) << turn;
  }
}

TEST_P(RetentionContract, AnEventThatHadToStayGoesWhenItsExecutionHasEnded) {
  Changes all;
  std::vector<ExecutionRow> roots;
  for (int64_t i = 0; i < 30; ++i) {
    roots.push_back(running(execution(id_at(kNow, 100 + i))));
    all.new_executions.push_back(roots.back());
    all.events.push_back(event(id_at(kNow, i)));
    all.enforcements.push_back(enforcement(id_at(kNow, 200 + i), id_at(kNow, i), 0));
    all.enforcements.back().execution = roots.back().id;
  }
  desk_->write(std::move(all));
  while (expire(Expirable::Events, 10)) {
  }
  EXPECT_EQ(count("SELECT count(*) FROM event"), 30);
  desk_->write({.executions = {ended(roots[7]), ended(roots[29])}});
  for (int turn = 0; turn < 4; ++turn) expire(Expirable::Events, 10);
  EXPECT_EQ(count("SELECT count(*) FROM event"), 28);
  // A young event becomes old: it is found first.
  desk_->write({.events = {event(id_at(kLater, 1))}});
  EXPECT_TRUE(due(Expirable::Events, 10, kLater).rows.empty());
  EXPECT_EQ(due(Expirable::Events, 10, kLater + 1).rows.size(), 1U);
}

TEST_P(RetentionContract, ALargeTreeGoesBitByBitItsRootLast) {
  auto root = ended(execution(id_at(kNow, 0)));
  Changes all;
  all.new_executions = {root};
  for (int64_t i = 1; i <= 7; ++i) {
    auto child = ended(execution(id_at(kNow, i * 10)));
    child.parent = child.root = root.id;
    all.new_executions.push_back(child);
    auto grandchild = ended(execution(id_at(kNow, i * 10 + 1)));
    grandchild.parent = child.id;
    grandchild.root = root.id;
    all.new_executions.push_back(grandchild);
  }
  desk_->write(std::move(all));
  for (int left : {11, 7, 3}) {
    EXPECT_TRUE(expire(Expirable::Executions, 4));
    EXPECT_EQ(count("SELECT count(*) FROM execution"), left);
    EXPECT_TRUE(must(find_execution(*reader_, kTenant, root.id)).has_value());
    // Nothing is left whose parent has gone.
    EXPECT_EQ(count("SELECT count(*) FROM execution AS c WHERE parent <> 0 AND NOT EXISTS "
                    "(SELECT 1 FROM execution AS p WHERE p.id = c.parent)"),
              0);
  }
  EXPECT_FALSE(expire(Expirable::Executions, 4));
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 0);
}

TEST_P(RetentionContract, ASweepCostsNoMoreThanItsLimit) {
  Changes all;
  for (int64_t i = 0; i < 300; ++i) {
    auto root = ended(execution(id_at(kNow, 1000 + 2 * i)));
    auto child = ended(execution(id_at(kNow, 1001 + 2 * i)));
    child.parent = child.root = root.id;
    all.new_executions.push_back(root);
    all.new_executions.push_back(child);
  }
  desk_->write(std::move(all));
  WatchedStore watched(*store_);
  auto db = must(watched.open_reader());
  EXPECT_EQ(must(retention_.due(*db, kAllShards, {Expirable::Executions, kLater, 20})).rows.size(),
            20U);
  EXPECT_LE(watched.watch.rows, 21);
}

TEST_P(RetentionContract, EachOwnerRemovesTheTreesOfItsShards) {
  Changes all;
  for (int64_t i = 0; i < 20; ++i) all.new_executions.push_back(ended(execution(id_at(kNow, i))));
  all.events = {event(id_at(kNow, 50))};
  desk_->write(std::move(all));
  auto low = due(Expirable::Executions, 100, kLater, ShardSet::range(0, 32));
  auto high = due(Expirable::Executions, 100, kLater, ShardSet::range(32, kShards));
  EXPECT_EQ(low.rows.size() + high.rows.size(), 20U);
  for (const auto& row : low.rows) EXPECT_LT(shard_of(row.tenant, row.id), 32);
  for (const auto& row : high.rows) EXPECT_GE(shard_of(row.tenant, row.id), 32);
  // What belongs to no shard goes with shard 0.
  EXPECT_TRUE(due(Expirable::Events, 9, kLater, ShardSet::range(32, kShards)).rows.empty());
  EXPECT_EQ(due(Expirable::Events, 9, kLater, ShardSet::range(0, 32)).rows.size(), 1U);
}

// A key may be taken anew, a value written anew, between the question and the commit.
TEST_P(RetentionContract, WhatWasTakenAnewSinceTheQuestionStays) {
  KeyRow value{.key = {kTenant, "system", "k"}, .expires = kNow};
  desk_->write({.dedupe = {key("a", "1", kNow)}, .keys = {value}});
  auto names = due(Expirable::Dedupe, 9);
  auto values = due(Expirable::Keys, 9);
  value.version = 2;
  value.expires = kLater + 1;
  desk_->write({.dedupe = {key("a", "2", kLater + 1)}, .keys = {value}});
  names.rows.insert(names.rows.end(), values.rows.begin(), values.rows.end());
  ASSERT_EQ(names.rows.size(), 2U);
  desk_->write({.expired = names.rows});
  EXPECT_EQ(count("SELECT count(*) FROM dedupe"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM key_value"), 1);
}

TEST_P(RetentionContract, CountsFromTheEndOfAnExecution) {
  auto slow = ended(execution(id_at(kNow)));
  slow.ended = kLater;
  desk_->write({.new_executions = {slow}});
  EXPECT_FALSE(anything(Expirable::Executions, kLater));
  expire(Expirable::Executions, 100, kLater);
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 1);
  expire(Expirable::Executions, 100, kLater + 1);
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 0);
}

TEST_P(RetentionContract, RemovesOldEventsWithTheirEnforcements) {
  int64_t old_event = id_at(kNow, 1);
  int64_t young_event = id_at(kLater, 1);
  desk_->write({.events = {event(old_event), event(young_event)},
                .enforcements = {enforcement(id_at(kNow, 2), old_event),
                                 enforcement(id_at(kLater, 2), young_event)}});
  expire(Expirable::Events, 100);
  EXPECT_EQ(count("SELECT count(*) FROM event"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM enforcement"), 1);
  EXPECT_TRUE(must(find_event(*reader_, kTenant, EventId{young_event})).has_value());
}

TEST_P(RetentionContract, KeepsEventsThatWaitOrWhoseExecutionsAreOpen) {
  int64_t waiting = id_at(kNow, 1);
  int64_t working = id_at(kNow, 2);
  int64_t handled = id_at(kNow, 3);
  auto open = running(execution(id_at(kNow, 10)));
  auto done = ended(execution(id_at(kNow, 11)));
  desk_->write({.events = {event(waiting), event(working), event(handled)},
                .enforcements = {enforcement(id_at(kNow, 20), working, open.id.value),
                                 enforcement(id_at(kNow, 21), working, done.id.value),
                                 enforcement(id_at(kNow, 22), handled, done.id.value)},
                .new_executions = {open, done},
                .messages = {message(id_at(kNow, 30), waiting)}});
  expire(Expirable::Events, 1);  // two must stay and are looked at first
  expire(Expirable::Events, 1);
  expire(Expirable::Events, 1);
  EXPECT_TRUE(must(find_event(*reader_, kTenant, EventId{waiting})).has_value());
  EXPECT_TRUE(must(find_event(*reader_, kTenant, EventId{working})).has_value());
  EXPECT_FALSE(must(find_event(*reader_, kTenant, EventId{handled})).has_value());
  EXPECT_EQ(count("SELECT count(*) FROM enforcement"), 2);
  EXPECT_FALSE(anything(Expirable::Events));
}

TEST_P(RetentionContract, KeepsTheNewestEntryOfTheFeed) {
  desk_->write({.feed = {change(1), change(2), change(3)}});
  expire(Expirable::Changes, 1);
  EXPECT_EQ(count("SELECT min(seq) FROM change_feed"), 2);
  expire(Expirable::Changes, 100);
  EXPECT_EQ(count("SELECT count(*) FROM change_feed"), 1);
  EXPECT_FALSE(anything(Expirable::Changes));
  desk_ = nullptr;
  desk_ = std::make_unique<Desk>(*store_);
  desk_->write({.feed = {change(4)}});
  EXPECT_EQ(must(last_change(*reader_)), 4);
}

TEST_P(RetentionContract, LeavesNoGapInTheFeedWhenTheClockWentBack) {
  auto young = change(2);
  young.at = kLater;
  desk_->write({.feed = {change(1), young, change(3), change(4)}});
  expire(Expirable::Changes, 100);
  EXPECT_EQ(count("SELECT count(*) FROM change_feed"), 3);
  EXPECT_EQ(count("SELECT min(seq) FROM change_feed"), 2);
}

TEST_P(RetentionContract, RemovesExpiredKeysAndOldQuarantine) {
  desk_->write({.dedupe = {key("a", "1", kNow), key("b", "1", kNow + 1), key("c", "1", kLater)},
                .quarantine = {{.id = id_at(kNow), .tenant = kTenant, .kind = "x"},
                               {.id = id_at(kLater), .tenant = kTenant, .kind = "x"}}});
  EXPECT_TRUE(anything(Expirable::Dedupe));
  expire(Expirable::Dedupe, 1);
  EXPECT_EQ(count("SELECT count(*) FROM dedupe"), 2);
  expire(Expirable::Dedupe, 100);
  EXPECT_EQ(count("SELECT count(*) FROM dedupe"), 1);
  EXPECT_FALSE(anything(Expirable::Dedupe));
  EXPECT_TRUE(anything(Expirable::Quarantine));
  expire(Expirable::Quarantine, 100);
  EXPECT_EQ(count("SELECT count(*) FROM quarantine"), 1);
  EXPECT_FALSE(anything(Expirable::Quarantine));
}

// Nothing else says that its run has begun: without it a worker that opens a session would be given
// the run again.
TEST_P(RetentionContract, AnEndThatCouldNotBeTakenStaysWhileItsExecutionIsOpen) {
  auto open = running(execution(id_at(kNow, 1)));
  auto over = ended(execution(id_at(kNow, 2)));
  auto end_of = [](const ExecutionRow& row, int64_t sequence) {
    return QuarantineRow{.id = id_at(kNow, sequence),
                         .tenant = row.tenant,
                         .kind = "finish_run",
                         .subject = row.id.value};
  };
  desk_->write({.new_executions = {open, over}, .quarantine = {end_of(open, 3), end_of(over, 4)}});
  expire(Expirable::Quarantine, 100);
  auto ends = must(ends_in_quarantine(*reader_));
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0], open.id);
  EXPECT_FALSE(anything(Expirable::Quarantine));
}

TEST_P(RetentionContract, RemovesKeysWhoseTimeIsOver) {
  auto until = [](const char* name, int64_t expires) {
    return KeyRow{.key = {kTenant, "system", name}, .expires = expires};
  };
  desk_->write(
      {.keys = {until("a", kNow), until("b", kNow + 1), until("c", kLater), until("d", 0)}});
  EXPECT_TRUE(anything(Expirable::Keys));
  expire(Expirable::Keys, 1);
  EXPECT_EQ(count("SELECT count(*) FROM key_value"), 3);
  expire(Expirable::Keys, 100);
  EXPECT_EQ(count("SELECT count(*) FROM key_value"), 2);
  EXPECT_FALSE(anything(Expirable::Keys));
}

class Migration : public StoreContract {};
STORE_CONTRACT(Migration);

TEST_P(Migration, IsDoneOnce) {
  desk_->write({.events = {event(1)}});
  auto writer = must(store_->open_writer());
  must(migrate(*writer));
  must(migrate(*writer));
  EXPECT_EQ(must(schema_version(*reader_)), newest_schema_version());
  EXPECT_TRUE(must(find_event(*reader_, kTenant, EventId{1})).has_value());
}

TEST_P(Migration, AnEmptyStoreHasVersionZero) {
  TempFolder folder;
  auto store = must(GetParam().open(folder.path()));
  auto writer = must(store->open_writer());
  EXPECT_EQ(must(schema_version(*writer)), 0);
}

TEST_P(Migration, ANewerStoreIsRefusedAndLeftAlone) {
  auto writer = must(store_->open_writer());
  must(writer->run("UPDATE meta SET value = '9000' WHERE name = 'schema'"));
  auto refused = migrate(*writer);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), sql::kNewer);
  EXPECT_EQ(refused.error().message(),
            "the store has schema 9000, this binary knows 1: it was written by a newer Millrace; "
            "start that one");
  EXPECT_EQ(must(schema_version(*writer)), 9000);
}

TEST_P(Migration, AVersionThatIsNoNumberIsDamage) {
  auto writer = must(store_->open_writer());
  must(writer->run("UPDATE meta SET value = 'x' WHERE name = 'schema'"));
  auto refused = migrate(*writer);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), sql::kDamaged);
}

class Backup : public StoreContract {
 protected:
  void SetUp() override {
    if (std::string(GetParam().name) != "sqlite")
      GTEST_SKIP() << "PostgreSQL copies its own stores";
  }
  std::unique_ptr<sql::Store> open_copy(const std::string& file) {
    std::filesystem::create_directory(folder_.path() + "/copy");
    std::filesystem::rename(file, folder_.path() + "/copy/millrace.db");
    return must(GetParam().open(folder_.path() + "/copy"));
  }
};
STORE_CONTRACT(Backup);

TEST_P(Backup, OfARunningStoreIsWholeAndTakesWrites) {
  std::atomic<bool> stop{false};
  std::atomic<int64_t> written{0};
  desk_->write({.events = {event(1)}, .feed = {change(1)}});
  std::thread load([&] {
    for (int64_t id = 2; !stop; ++id) {
      desk_->write({.events = {event(id)}, .feed = {change(id)}});
      written = id;
    }
  });
  while (written < 20) std::this_thread::yield();
  std::string file = folder_.path() + "/backup";
  int64_t before = written;
  must(store_->backup(file));
  int64_t after = written;
  while (written < after + 20) std::this_thread::yield();
  stop = true;
  load.join();

  auto copy = open_copy(file);
  auto reader = must(copy->open_reader());
  int64_t events = must(newest_id(*reader));
  EXPECT_GE(events, before);
  EXPECT_EQ(must(last_change(*reader)), events);  // the same moment
  EXPECT_TRUE(must(reader->check_integrity()).empty());
  Desk desk(*copy);
  desk.write({.events = {event(events + 1)}, .feed = {change(events + 1)}});
  EXPECT_EQ(must(last_change(*reader)), events + 1);
}

TEST_P(Backup, DoesNotOverwrite) {
  std::string file = folder_.path() + "/backup";
  must(store_->backup(file));
  auto again = store_->backup(file);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), sql::kExists);
  EXPECT_EQ(again.error().message(), "backup: '" + file + "' exists already; name a new file");
}

TEST_P(Backup, ThatFailsLeavesNothing) {
  auto failed = store_->backup(folder_.path() + "/missing/backup");
  EXPECT_FALSE(failed.ok());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/missing"));
}

}  // namespace
}  // namespace millrace::store::testing
