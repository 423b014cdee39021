// SPDX-License-Identifier: Apache-2.0
// Migration, retention, backup.
#include <thread>

#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

constexpr int64_t kLater = kNow + 30 * kDay;

// An id that was made at this time.
int64_t id_at(int64_t unix_ms, int64_t sequence = 0) { return first_id_at(unix_ms) + sequence; }

class Retention : public StoreContract {
 protected:
  void expire(Expirable kind, int limit, int64_t before = kLater) {
    desk_->write({.expire = {{kind, before, limit}}});
  }
  bool anything(Expirable kind, int64_t before = kLater) {
    return must(anything_to_expire(*reader_, kind, before));
  }
};
STORE_CONTRACT(Retention);

TEST_P(Retention, RemovesOldFinalExecutionsInSmallBatchesWithAllThatHangsOnThem) {
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

TEST_P(Retention, KeepsOpenExecutionsAndTheirTrees) {
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

TEST_P(Retention, CountsFromTheEndOfAnExecution) {
  auto slow = ended(execution(id_at(kNow)));
  slow.ended = kLater;
  desk_->write({.new_executions = {slow}});
  EXPECT_FALSE(anything(Expirable::Executions, kLater));
  expire(Expirable::Executions, 100, kLater);
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 1);
  expire(Expirable::Executions, 100, kLater + 1);
  EXPECT_EQ(count("SELECT count(*) FROM execution"), 0);
}

TEST_P(Retention, RemovesOldEventsWithTheirEnforcements) {
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

TEST_P(Retention, KeepsEventsThatWaitOrWhoseExecutionsAreOpen) {
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
  expire(Expirable::Events, 1);
  EXPECT_TRUE(must(find_event(*reader_, kTenant, EventId{waiting})).has_value());
  EXPECT_TRUE(must(find_event(*reader_, kTenant, EventId{working})).has_value());
  EXPECT_FALSE(must(find_event(*reader_, kTenant, EventId{handled})).has_value());
  EXPECT_EQ(count("SELECT count(*) FROM enforcement"), 2);
  EXPECT_FALSE(anything(Expirable::Events));
}

TEST_P(Retention, KeepsTheNewestEntryOfTheFeed) {
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

TEST_P(Retention, LeavesNoGapInTheFeedWhenTheClockWentBack) {
  auto young = change(2);
  young.at = kLater;
  desk_->write({.feed = {change(1), young, change(3), change(4)}});
  expire(Expirable::Changes, 100);
  EXPECT_EQ(count("SELECT count(*) FROM change_feed"), 3);
  EXPECT_EQ(count("SELECT min(seq) FROM change_feed"), 2);
}

TEST_P(Retention, RemovesExpiredKeysAndOldQuarantine) {
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

TEST_P(Retention, RemovesKeysWhoseTimeIsOver) {
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
