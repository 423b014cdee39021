// SPDX-License-Identifier: Apache-2.0
// Connections that are cut: nothing is half there, and every answer is true.
#include <fmt/format.h>

#include "adapters/store_postgres/connection.h"
#include "adapters/store_postgres/connection_fixture.h"
#include "adapters/store_postgres/session.h"

namespace millrace::store::testing {
namespace {

TEST_F(CutConnections, InACommitAreSettledByWhatTheServerKnows) {
  constexpr int64_t kRounds = 1000;
  int64_t committed = 0;
  auto next = Proxy::Cut::None;
  watched_.watch.fail = [&](std::string_view text) -> std::optional<Error> {
    if (text == "COMMIT") proxy_.cut = next;
    return std::nullopt;
  };
  for (int64_t id = 1; id <= kRounds; ++id) {
    next = static_cast<Proxy::Cut>(1 + id % 3);
    auto told = write({.events = {event(id)}, .feed = {change(id)}});
    ASSERT_EQ(told.end == WriteEnd::Committed, is_there(id)) << id << ": " << told.reason;
    if (told.end == WriteEnd::Committed) {
      ++committed;
      continue;
    }
    ASSERT_EQ(told.end, WriteEnd::Unavailable) << told.reason;
    next = Proxy::Cut::None;
    ASSERT_EQ(write({.events = {event(id)}, .feed = {change(id)}}).end, WriteEnd::Committed) << id;
  }
  // Both outcomes have been seen, and nothing is there twice.
  EXPECT_GE(committed, kRounds / 3);
  EXPECT_LT(committed, kRounds);
  EXPECT_EQ(count("SELECT count(*) FROM event"), kRounds);
  EXPECT_EQ(count("SELECT count(*) FROM change_feed"), kRounds);
  EXPECT_EQ(count("SELECT max(seq) FROM change_feed"), kRounds);
}

TEST_F(CutConnections, InATransactionLeaveNothingOfIt) {
  auto at = [&](std::string beginning, Proxy::Cut cut) {
    watched_.watch.fail = [this, beginning, cut](std::string_view text) -> std::optional<Error> {
      if (text.starts_with(beginning)) proxy_.cut = cut;
      return std::nullopt;
    };
  };
  int64_t id = 0;
  for (auto cut : {Proxy::Cut::BeforeSending, Proxy::Cut::AfterSending, Proxy::Cut::AfterAnswer}) {
    for (const char* statement : {"INSERT INTO event", "INSERT INTO change_feed", "SELECT"}) {
      at(statement, cut);
      // How many rows of workers were touched is looked at before the COMMIT is sent.
      auto told = write({.events = {event(++id)}, .workers = {worker(id)}, .feed = {change(id)}});
      EXPECT_EQ(told.end, WriteEnd::Unavailable) << statement << ": " << told.reason;
      EXPECT_FALSE(is_there(id)) << statement;
      watched_.watch.fail = nullptr;
      EXPECT_EQ(write({.events = {event(id)}, .feed = {change(id)}}).end, WriteEnd::Committed);
    }
  }
}

// Nothing has been done yet: it begins on a new one.
TEST_F(CutConnections, BetweenTransactionsAreNotNoticed) {
  ASSERT_EQ(write({.events = {event(1)}}).end, WriteEnd::Committed);
  auto admin = must(direct_->open_writer());
  EXPECT_GT(must(query_int(*admin,
                           "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity "
                           "WHERE pid <> pg_backend_pid() AND application_name = 'millrace'")),
            1);
  EXPECT_EQ(write({.events = {event(2)}}).end, WriteEnd::Committed);
  EXPECT_TRUE(is_there(2));
}

TEST_F(CutConnections, DoNotLetTheRestOfATransactionBeWritten) {
  auto db = must(store_->open_writer());
  must(db->run("BEGIN IMMEDIATE"));
  auto* put = must(db->prepare("INSERT INTO meta (name, value) VALUES ($1, 'x')"));
  must(put->execute("a"));
  proxy_.cut = Proxy::Cut::BeforeSending;
  EXPECT_FALSE(put->execute("b").ok());
  EXPECT_FALSE(db->in_transaction());
  auto third = put->execute("c");
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), sql::kAway);
  EXPECT_FALSE(db->run("COMMIT").ok());
  EXPECT_EQ(count("SELECT count(*) FROM meta WHERE name IN ('a', 'b', 'c')"), 0);
  must(put->execute("d"));
  EXPECT_EQ(count("SELECT count(*) FROM meta WHERE name = 'd'"), 1);
}

// It takes what is sent and never answers.
TEST_F(SlowConnections, ThatFallSilentInACommitAreSettledToo) {
  watched_.watch.fail = [&](std::string_view text) -> std::optional<Error> {
    if (text == "COMMIT") proxy_.cut = Proxy::Cut::Silence;
    return std::nullopt;
  };
  EXPECT_EQ(write({.events = {event(1)}}).end, WriteEnd::Committed);
  EXPECT_TRUE(is_there(1));
}

// K6: the old owner's commit is there before the new one loads, or it is not made at all.
TEST_F(SlowConnections, ClaimsOfShardsWaitForCommitsUnderTheOldEpoch) {
  auto old = must(direct_->open_writer());
  must(old->run("BEGIN IMMEDIATE"));
  must(must(old->prepare("INSERT INTO meta (name, value) VALUES ('late', 'x')"))->execute());
  std::atomic<bool> claimed{false};
  std::thread other([&] {
    auto db = must(direct_->open_writer());
    // A lock that it waits for in vain is no reason to give up.
    for (auto epoch = claim_shards(*db, 1, ShardSet::all()); !epoch.ok();) {
      EXPECT_EQ(epoch.error().code(), sql::kBusy) << epoch.error().message();
      epoch = claim_shards(*db, 1, ShardSet::all());
    }
    claimed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_FALSE(claimed);
  must(old->run("COMMIT"));
  other.join();
  auto told = write({.events = {event(1)}});
  EXPECT_EQ(told.end, WriteEnd::Unavailable);
  ASSERT_TRUE(writer_->fatal());
  EXPECT_EQ(writer_->fatal()->code(), sql::kOwned);
}

// Each blames nobody, and the feed has no gap and no number twice.
TEST_F(CutConnections, OfTwoWritersAtOnceNumberTheFeedInCommitOrder) {
  constexpr int64_t kEach = 150;
  auto admin = must(direct_->open_writer());
  auto write_all = [&](ShardSet shards, int64_t epoch, int64_t first) {
    auto writer =
        must(Writer::open(*direct_, {.shards = shards, .owner_epoch = epoch, .full_retry_ms = 1}));
    for (int64_t id = first; id < first + kEach; ++id) {
      std::vector<std::unique_ptr<Step>> steps;
      steps.push_back(std::make_unique<Step>());
      steps.back()->changes = {.events = {event(id)}, .feed = {change(id), change(id)}};
      auto written = writer->write(steps, {kNow, 0});
      EXPECT_EQ(written.front().end, WriteEnd::Committed) << written.front().reason;
    }
  };
  auto low = ShardSet::range(0, 32);
  auto high = ShardSet::range(32, kShards);
  int64_t of_low = must(claim_shards(*admin, 0, low));
  int64_t of_high = must(claim_shards(*admin, 1, high));
  std::thread other([&] { write_all(high, of_high, 10'000); });
  write_all(low, of_low, 1);
  other.join();
  EXPECT_EQ(count("SELECT count(*) FROM change_feed"), 4 * kEach);
  EXPECT_EQ(count("SELECT max(seq) FROM change_feed"), 4 * kEach);
}

TEST_F(CutConnections, LeaveNoSnapshotToTheNextTransaction) {
  auto begin = [&] { return reader_->run("BEGIN"); };
  must(begin());
  EXPECT_EQ(count("SELECT count(*) FROM event"), 0);
  direct_->cut_reads(std::chrono::steady_clock::now());
  EXPECT_FALSE(query_int(*reader_, "SELECT count(*) FROM event").ok());
  direct_->cut_reads(std::chrono::steady_clock::time_point::max());
  EXPECT_EQ(write({.events = {event(1)}}).end, WriteEnd::Committed);
  must(begin());
  EXPECT_EQ(count("SELECT count(*) FROM event"), 1);
  // Nor does one that was left without an end.
  EXPECT_EQ(write({.events = {event(2)}}).end, WriteEnd::Committed);
  must(begin());
  EXPECT_EQ(count("SELECT count(*) FROM event"), 2);
  must(reader_->run("COMMIT"));
}

// What the rows of a batch are not to blame for.
TEST_F(SlowConnections, LocksAndRightsOfOthersBuryNobody) {
  auto admin = must(direct_->open_writer());
  must(admin->run("BEGIN"));
  must(admin->run("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"));
  auto told = write({.events = {event(1)}});
  EXPECT_EQ(told.end, WriteEnd::Unavailable) << told.reason;
  must(admin->run("ROLLBACK"));
  must(admin->run("ALTER TABLE event RENAME TO gone"));
  told = write({.events = {event(1)}});
  EXPECT_EQ(told.end, WriteEnd::Unavailable) << told.reason;
  must(admin->run("ALTER TABLE gone RENAME TO event"));
  EXPECT_EQ(write({.events = {event(1)}}).end, WriteEnd::Committed);
}

TEST_F(SlowConnections, OfReadersAreCutByTimeOrByTheServersStop) {
  auto slow = [&] { return query_int(*reader_, "SELECT count(pg_sleep(20))"); };
  auto begun = std::chrono::steady_clock::now();
  auto late = slow();
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), sql::kBusy);
  direct_->cut_reads(std::chrono::steady_clock::now());
  auto cut = slow();
  ASSERT_FALSE(cut.ok());
  EXPECT_NE(cut.error().message().find("the server is stopping"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15));
  direct_->cut_reads(std::chrono::steady_clock::time_point::max());
  EXPECT_EQ(count("SELECT count(*) FROM event"), 0);
}

TEST_F(CutConnections, OfReadersAreAtMostAsManyAsThePoolMayHave) {
  auto few = options(cluster_.url());
  few.pool_max = 2;
  few.pool_wait_ms = 50;
  auto store = must(store_postgres::open(few));
  auto one = must(store->open_reader());
  auto two = must(store->open_reader());
  auto third = store->open_reader();
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code(), sql::kBusy);
  EXPECT_NE(third.error().message().find("all 2 connections of store.pool_max"), std::string::npos)
      << third.error().message();
  must(store->open_writer());  // is none of them
  one.reset();
  one = must(store->open_reader());
  EXPECT_EQ(must(query_int(*one, "SELECT 1")), 1);
  // Who waits gets one that is given back.
  few.pool_wait_ms = 60'000;
  few.pool_max = 1;
  store = must(store_postgres::open(few));
  one = must(store->open_reader());
  std::thread waits([&] { EXPECT_TRUE(store->open_reader().ok()); });
  one.reset();
  waits.join();
}

// A client that stands still in a transaction keeps its locks from nobody.
TEST_F(SlowConnections, ThatStandStillInATransactionAreEndedByTheServer) {
  auto still = must(direct_->open_writer());
  must(still->run("BEGIN IMMEDIATE"));
  must(must(still->prepare("INSERT INTO meta (name, value) VALUES ('lock', 'x')"))->execute());
  auto other = must(direct_->open_writer());
  auto* put = must(other->prepare("INSERT INTO meta (name, value) VALUES ('lock', 'y')"));
  auto begun = std::chrono::steady_clock::now();
  while (!put->execute().ok()) {
    ASSERT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(60));
  }
  auto late = still->run("COMMIT");
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), sql::kAway);
  EXPECT_EQ(count("SELECT count(*) FROM meta WHERE value = 'y'"), 1);
}

// The server waits for the rest of its message, and holds what it has locked.
TEST_F(SlowConnections, ThatStandStillInAMessageAreEndedByWhoTakesOver) {
  auto given = options(cluster_.url());
  auto still = must(store_postgres::Session::open(given, {}));
  auto number = store_postgres::lock_number(given.schema, "writers");
  auto lock = fmt::format("SELECT pg_advisory_xact_lock_shared({})", number);
  ASSERT_TRUE(still->add_parse("a", "BEGIN", {}) && still->add_run("a", {}));
  ASSERT_TRUE(still->add_parse("b", lock, {}) && still->add_run("b", {}));
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  must(still->flush(deadline, "send"));
  auto held = fmt::format(
      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND "
      "(classid::bigint << 32 | objid::bigint) = {}",
      number);
  while (count(held) == 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  auto db = must(direct_->open_writer());
  for (auto epoch = claim_shards(*db, 1, ShardSet::all()); !epoch.ok();) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << epoch.error().message();
    epoch = claim_shards(*db, 1, ShardSet::all());
  }
  EXPECT_FALSE(still->exchange(deadline, "go on").ok());
}

// Somebody takes its shards over, 10 s after it was seen last, and waits for its commit.
TEST_F(CutConnections, OfAWriterStandStillNoLongerThanALease) {
  auto given = options(cluster_.url());
  auto store = must(store_postgres::open({.url = given.url, .schema = given.schema}));
  auto db = must(store->open_writer());
  EXPECT_EQ(must(query_int(*db,
                           "SELECT setting::bigint FROM pg_settings WHERE name = "
                           "'idle_in_transaction_session_timeout'")),
            10'000);
}

TEST_F(CutConnections, ReadersWriteNothing) {
  auto refused = query_int(*reader_, "INSERT INTO meta (name, value) VALUES ('a', 'b')");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("read-only"), std::string::npos);
}

// A server that is away is not asked by every statement.
TEST_F(CutConnections, ThatCannotBeMadeAreTriedAfterAPause) {
  auto options = this->options("postgresql:///postgres?host=/nowhere&user=millrace");
  auto store = store_postgres::open(options);
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code(), sql::kAway);
  EXPECT_NE(store.error().message().find("/nowhere"), std::string::npos);
}

// Another server's hints are lost with the connection that brings them, and that is told.
TEST_F(CutConnections, OfWhoListensAreMadeAgainAndSayThatSomethingMayBeMissing) {
  std::mutex mutex;
  std::condition_variable came;
  std::vector<std::string> told;
  auto add = [&](std::string_view text) {
    std::lock_guard lock(mutex);
    told.emplace_back(text);
    came.notify_one();
  };
  auto expect = [&](size_t count, std::string_view last) {
    std::unique_lock lock(mutex);
    came.wait_for(lock, std::chrono::seconds(60), [&] { return told.size() >= count; });
    ASSERT_EQ(told.size(), count);
    EXPECT_EQ(told.back(), last);
  };
  auto listening = must(store_->listen({.heard = [&](const sql::Hint& hint) { add(hint.payload); },
                                        .missed = [&] { add("missed"); }}));
  auto db = must(direct_->open_writer());
  auto tell = [&](std::string_view payload) {
    must(db->run("BEGIN IMMEDIATE"));
    db->notify({"feed", payload});
    must(db->run("COMMIT"));
  };
  expect(1, "missed");
  tell("1");
  expect(2, "1");
  EXPECT_EQ(count("SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity "
                  "WHERE query LIKE 'LISTEN %'"),
            1);
  expect(3, "missed");
  tell("2");
  expect(4, "2");
}

TEST_F(CutConnections, AHintThatIsRefusedKeepsNothingFromBeingWritten) {
  auto db = must(direct_->open_writer());
  auto put = [&](std::string_view hint) {
    must(db->run("BEGIN IMMEDIATE"));
    must(must(db->prepare("INSERT INTO meta (name, value) VALUES ('a', 'b')"))->execute());
    db->notify({"feed", hint});
    return db->run("COMMIT");
  };
  EXPECT_FALSE(put("\xff").ok());  // no UTF-8: as the server refuses all when its queue is full
  must(db->run("ROLLBACK"));
  must(put("\xff"));
  EXPECT_EQ(count("SELECT count(*) FROM meta WHERE name = 'a'"), 1);
}

TEST_F(CutConnections, TextWithNulIsTheFaultOfItsRow) {
  auto bad = event(1);
  bad.source = std::string("a\0b", 3);
  EXPECT_EQ(write({.events = {bad}}).end, WriteEnd::Refused);
  EXPECT_EQ(write({.events = {event(2)}}).end, WriteEnd::Committed);
}

TEST_F(CutConnections, BackupsAreTheServersOwn) {
  auto refused = direct_->backup(folder_.path() + "/backup");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("pg_basebackup"), std::string::npos);
}

}  // namespace
}  // namespace millrace::store::testing
