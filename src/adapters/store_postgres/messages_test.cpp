// SPDX-License-Identifier: Apache-2.0
// How many messages go to the server: each costs a way there and back.
#include "adapters/store_postgres/connection_fixture.h"

namespace millrace::store::testing {
namespace {

class Messages : public CutConnections {};

// Whatever a batch holds. What a step adds is a message only when its outcome is needed before the
// COMMIT is sent.
TEST_F(Messages, OfACommitAreTwoOrThree) {
  auto messages_of = [&](Changes changes) {
    int64_t before = proxy_.messages;
    EXPECT_EQ(write(std::move(changes)).end, WriteEnd::Committed);
    return proxy_.messages - before;
  };
  auto changes = [](int64_t id) {
    return Changes{.events = {event(id)},
                   .messages = {message(id, 1)},
                   .timers = {timer(id, kNow)},
                   .feed = {change(id)}};
  };
  messages_of(changes(1));  // texts are parsed
  EXPECT_EQ(messages_of(changes(3)), 2);
  Changes judged = changes(4);
  judged.workers = {worker(4)};
  judged.dedupe = {key("4")};
  messages_of(judged);
  judged = changes(5);
  judged.workers = {worker(5)};
  judged.dedupe = {key("5")};
  EXPECT_EQ(messages_of(judged), 3);
}

TEST_F(Messages, OfWhatIsReadAheadIsOne) {
  Changes changes;
  std::vector<Of<EventId>> events;
  for (int64_t id = 1; id <= 50; ++id) {
    changes.events.push_back(event(id));
    events.push_back({kTenant, EventId{id}});
  }
  events.push_back({kTenant, EventId{99}});      // is not there
  events.push_back({kOtherTenant, EventId{1}});  // is another's
  ASSERT_EQ(write(changes).end, WriteEnd::Committed);
  auto reader = must(store_->open_reader());
  auto read_all = [&] {
    must(begin_snapshot(*reader));
    must(ahead_of_events(*reader, events));
    for (int64_t id = 1; id <= 50; ++id) {
      EXPECT_EQ(must(find_event(*reader, kTenant, EventId{id}))->id, EventId{id});
    }
    EXPECT_FALSE(must(find_event(*reader, kTenant, EventId{99})));
    EXPECT_FALSE(must(find_event(*reader, kOtherTenant, EventId{1})));
    must(end_snapshot(*reader));
  };
  // All of it, and its end, for which nobody waits: it may be seen a moment later.
  int64_t before = proxy_.messages;
  read_all();
  read_all();
  EXPECT_LE(proxy_.messages - before, 4);
  // What was read ahead is of that transaction.
  must(begin_snapshot(*reader));
  must(ahead_of_events(*reader, events));
  must(end_snapshot(*reader));
  Changes gone{.expired = {{.kind = Expirable::Events, .tenant = kTenant, .id = 1}}};
  ASSERT_EQ(write(gone).end, WriteEnd::Committed);
  must(begin_snapshot(*reader));
  EXPECT_FALSE(must(find_event(*reader, kTenant, EventId{1})));
  must(end_snapshot(*reader));
}

}  // namespace
}  // namespace millrace::store::testing
