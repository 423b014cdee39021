// SPDX-License-Identifier: Apache-2.0
// Each check of the doctor finds what is planted, and nothing in a store that is sound.
#include "store/doctor.h"

#include <algorithm>
#include <thread>

#include "store/doctor_checks.h"
#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

// Young enough for every retention.
int64_t id_at_now(int64_t sequence) { return first_id_at(kNow) + sequence; }
constexpr ExamineOptions kOptions{.now_ms = kNow};

class Doctor : public StoreContract {
 protected:
  std::vector<Finding> examine_now(ExamineOptions options = kOptions) {
    return must(examine(*reader_, options));
  }
  // Changes rows behind the kernel's back.
  void plant(const std::string& script) {
    auto writer = must(store_->open_writer());
    must(writer->run(script));
  }
  void expect_only(const std::string& promise, const std::string& entity, const std::string& part) {
    auto found = examine_now();
    ASSERT_EQ(found.size(), 1U) << describe(found);
    EXPECT_EQ(found[0].promise, promise) << describe(found);
    EXPECT_EQ(found[0].entity, entity) << describe(found);
    EXPECT_NE(found[0].message.find(part), std::string::npos) << describe(found);
  }
  void expect_among(const std::string& promise, const std::string& entity,
                    const std::string& part) {
    auto found = examine_now();
    bool there = std::ranges::any_of(found, [&](const Finding& f) {
      return f.promise == promise && f.entity == entity &&
             f.message.find(part) != std::string::npos;
    });
    EXPECT_TRUE(there) << describe(found);
  }
  static std::string describe(const std::vector<Finding>& findings) {
    std::string text = std::to_string(findings.size()) + " findings\n";
    for (const auto& f : findings) {
      text += f.promise + " " + std::string(to_string(f.severity)) + " " + f.entity + ": " +
              f.message + "\n";
    }
    return text;
  }
  static std::string str(int64_t id) { return std::to_string(id); }

  const int64_t e_ = id_at_now(1);   // an event
  const int64_t n_ = id_at_now(2);   // its enforcement
  const int64_t x_ = id_at_now(3);   // its execution
  const int64_t y_ = id_at_now(4);   // another execution
  const int64_t m_ = id_at_now(10);  // a message, timer, outbox row
};
STORE_CONTRACT(Doctor);

// One of everything that is allowed.
TEST_P(Doctor, FindsNothingInASoundStore) {
  auto with = [&](int64_t sequence, ExecutionStatus status) {
    auto row = execution(id_at_now(sequence));
    row.status = status;
    return row;
  };
  auto leased = running(execution(x_));
  leased.enforcement = EnforcementId{n_};
  auto canceling = running(execution(id_at_now(20)));
  canceling.status = ExecutionStatus::Canceling;
  auto sleeping = with(21, ExecutionStatus::Running);
  sleeping.started = kNow;
  auto delayed = with(22, ExecutionStatus::Delayed);
  auto undecided = with(23, ExecutionStatus::NeedsDecision);
  undecided.held = "an operator decides";
  auto parent = with(24, ExecutionStatus::Running);
  parent.started = kNow;
  auto child = with(25, ExecutionStatus::Requested);
  child.parent = child.root = parent.id;
  auto done = ended(execution(id_at_now(26)));
  auto large = ended(execution(id_at_now(27)));
  large.result_size = 100'000;
  auto asking = with(28, ExecutionStatus::Pending);
  asking.held = "waits for an answer";
  desk_->write({.dedupe = {key("delivery", str(e_))},
                .events = {event(e_), event(id_at_now(50))},
                .enforcements = {enforcement(n_, e_, x_)},
                .new_executions = {leased, execution(y_), canceling, sleeping, delayed, undecided,
                                   parent, child, done, large, asking},
                .enqueue = {{ExecutionId{y_}, kTenant, 1}, {child.id, kTenant, 1, parent.id}},
                .outputs = {{.execution = done.id, .tenant = kTenant}},
                .result_blobs = {{large.id, kTenant, "x"}},
                .workflows = {{.execution = parent.id, .root = parent.id, .tenant = kTenant}},
                .workflow_pieces = {{.workflow = parent.id, .tenant = kTenant}},
                .workflow_runs = {{.workflow = parent.id, .tenant = kTenant}},
                .inquiries = {{.id = InquiryId{asking.id.value}, .tenant = kTenant}},
                .messages = {message(m_, id_at_now(50))},
                .timers = {timer(id_at_now(31), kNow, sleeping.id.value),
                           timer(id_at_now(32), kNow, delayed.id.value),
                           timer(id_at_now(33), kNow, 0, "schedule")},
                .outbox = {outbox_row(id_at_now(41), canceling.id.value)},
                .tokens = {{.id = TokenId{1}, .tenant = kTenant, .execution = leased.id}},
                .workers = {{.id = WorkerId{9}, .name = "local"}},
                .feed = {change(1), change(2)}});
  auto found = examine_now();
  EXPECT_TRUE(found.empty()) << describe(found);
}

TEST_P(Doctor, FindsNothingMissingThatRetentionHasRemoved) {
  int64_t old_execution = first_id_at(kNow - 40 * kDay);
  int64_t old_event = first_id_at(kNow - 40 * kDay) + 1;
  auto later = ended(execution(x_));
  later.enforcement = EnforcementId{old_event};
  desk_->write({.dedupe = {key("delivery", str(old_event))},
                .events = {event(e_)},
                .enforcements = {enforcement(n_, e_, old_execution)},
                .new_executions = {later}});
  EXPECT_TRUE(examine_now().empty()) << describe(examine_now());
}

TEST_P(Doctor, K1MessageThatWasHandledWithoutAcknowledgement) {
  desk_->write({.events = {event(e_)},
                .enforcements = {enforcement(n_, e_)},
                .messages = {message(m_, e_)}});
  expect_only("K1", "message " + str(m_), "without being acknowledged");
}

TEST_P(Doctor, K1MessageOfNothing) {
  desk_->write({.messages = {message(m_, e_)}});
  expect_only("K1", "message " + str(m_), "its event does not exist");
}

TEST_P(Doctor, K1CancelOfNothing) {
  desk_->write({.messages = {message(m_, x_, MessageKind::CancelExecution)}});
  expect_only("K1", "message " + str(m_), "its execution does not exist");
}

TEST_P(Doctor, K2CancelThatNobodyTellsTheWorker) {
  auto row = running(execution(x_));
  row.status = ExecutionStatus::Canceling;
  desk_->write({.new_executions = {row}, .workers = {{.id = WorkerId{9}}}});
  expect_only("K2", "execution " + str(x_), "no outbox row");
}

TEST_P(Doctor, K2OutboxRowOfNothing) {
  desk_->write({.outbox = {outbox_row(m_, x_)}});
  expect_only("K2", "outbox row " + str(m_), "does not exist");
}

TEST_P(Doctor, K3EnforcementWithoutEvent) {
  desk_->write({.enforcements = {enforcement(n_, e_)}});
  expect_only("K3", "enforcement " + str(n_), "its event does not exist");
}

TEST_P(Doctor, K3EnforcementWithoutItsExecution) {
  desk_->write({.events = {event(e_)}, .enforcements = {enforcement(n_, e_, x_)}});
  expect_only("K3", "enforcement " + str(n_), "its execution does not exist");
}

TEST_P(Doctor, K3ExecutionWithoutItsEnforcement) {
  auto row = ended(execution(x_));
  row.enforcement = EnforcementId{n_};
  desk_->write({.new_executions = {row}});
  expect_only("K3", "execution " + str(x_), "its enforcement does not exist");
}

TEST_P(Doctor, K3ChildWithoutParent) {
  auto row = execution(x_);
  row.parent = ExecutionId{y_};
  desk_->write({.new_executions = {row}, .enqueue = {{row.id, kTenant, 1}}});
  expect_only("K3", "execution " + str(x_), "its parent does not exist");
}

TEST_P(Doctor, K3OutputWithoutExecution) {
  desk_->write({.outputs = {{.execution = ExecutionId{x_}, .tenant = kTenant}}});
  expect_only("K3", "execution " + str(x_), "output of it is stored");
}

TEST_P(Doctor, K3LargeResultThatIsNotThere) {
  auto row = ended(execution(x_));
  row.result_size = kInlineResultBytes + 1;
  desk_->write({.new_executions = {row}});
  expect_only("K3", "execution " + str(x_), "its result is above 64 KiB");
}

TEST_P(Doctor, K3WorkflowOrInquiryWithoutItsExecution) {
  desk_->write({.workflows = {{.execution = ExecutionId{x_}, .tenant = kTenant}},
                .workflow_pieces = {{.workflow = ExecutionId{y_}, .tenant = kTenant}},
                .inquiries = {{.id = InquiryId{y_}, .tenant = kTenant}}});
  EXPECT_EQ(examine_now().size(), 3U) << describe(examine_now());
  expect_among("K3", "workflow " + str(x_), "its execution does not exist");
  expect_among("K3", "workflow " + str(y_), "pieces or runs of it are stored");
  expect_among("K3", "inquiry " + str(y_), "its execution does not exist");
}

TEST_P(Doctor, K3RunOfAWorkflowThatIsNotThere) {
  desk_->write({.workflow_runs = {{.workflow = ExecutionId{x_}, .tenant = kTenant}}});
  expect_only("K3", "workflow " + str(x_), "pieces or runs of it are stored");
}

TEST_P(Doctor, K3GapInTheFeed) {
  desk_->write({.feed = {change(1), change(2), change(3), change(4)}});
  plant("DELETE FROM change_feed WHERE seq = 3");
  expect_only("K3", "change 2", "the next number is missing");
}

TEST_P(Doctor, K4EventTakenInTwice) {
  auto again = event(e_ + 1);
  again.source_id = event(e_).source_id;
  desk_->write({.events = {event(e_), again}});
  expect_only("K4", "event " + str(e_), "taken in twice");
}

TEST_P(Doctor, K4KeyOfAnEventThatIsNotThere) {
  desk_->write({.dedupe = {key("delivery", str(e_)), key("other", "no number")}});
  auto found = examine_now();
  ASSERT_EQ(found.size(), 2U) << describe(found);
  expect_among("K4", "key 'delivery'", "stands for event '" + str(e_) + "'");
  expect_among("K4", "key 'other'", "stands for event 'no number'");
}

TEST_P(Doctor, K5TimerOfNothing) {
  desk_->write({.timers = {timer(m_, kNow, x_)}});
  expect_only("K5", "timer " + str(m_), "its execution does not exist");
}

TEST_P(Doctor, K5OverdueTimerIsAWarning) {
  desk_->write({.timers = {timer(m_, kNow - 2 * 3600 * 1000, 0, "schedule")}});
  expect_only("K5", "timer " + str(m_), "is a server running?");
  EXPECT_EQ(examine_now()[0].severity, Severity::Warning);
}

TEST_P(Doctor, K6LeaseWithoutEpochOrWorker) {
  auto row = running(execution(x_));
  row.epoch = 0;
  desk_->write({.new_executions = {row}});
  expect_among("K6", "execution " + str(x_), "without an epoch");
  expect_among("K6", "execution " + str(x_), "never opened a session");
  EXPECT_EQ(examine_now().size(), 2U);
}

TEST_P(Doctor, K6LeasedAndQueued) {
  desk_->write({.new_executions = {running(execution(x_))},
                .enqueue = {{ExecutionId{x_}, kTenant, 1}},
                .workers = {{.id = WorkerId{9}}}});
  expect_among("K6", "execution " + str(x_), "two may run it");
  expect_among("K8", "execution " + str(x_), "does not wait for a slot");
}

TEST_P(Doctor, K6OutputOfAnAttemptThatWasNeverGranted) {
  desk_->write({.new_executions = {ended(execution(x_))},
                .outputs = {{.execution = ExecutionId{x_}, .tenant = kTenant, .attempt = 2}}});
  expect_only("K6", "execution " + str(x_), "never granted");
}

TEST_P(Doctor, K6TokenThatOutlivedItsExecution) {
  desk_->write({.new_executions = {ended(execution(x_))},
                .tokens = {{.id = TokenId{7}, .tenant = kTenant, .execution = ExecutionId{x_}}}});
  expect_only("K6", "token 7", "delete the token");
}

TEST_P(Doctor, K6ExecutionInTheWrongShard) {
  desk_->write({.new_executions = {execution(x_)}, .enqueue = {{ExecutionId{x_}, kTenant, 1}}});
  plant("UPDATE execution SET shard = (shard + 1) % 64; UPDATE queue SET shard = (shard + 1) % 64");
  expect_only("K6", "execution " + str(x_), "belongs to");
}

TEST_P(Doctor, K7RunningThatNeverStarted) {
  auto row = running(execution(x_));
  row.started = 0;
  desk_->write({.new_executions = {row}, .workers = {{.id = WorkerId{9}}}});
  expect_only("K7", "execution " + str(x_), "without `started`");
}

TEST_P(Doctor, K7EndBeforeStartIsAWarning) {
  auto row = ended(execution(x_));
  row.started = row.ended + 1;
  desk_->write({.new_executions = {row}});
  expect_only("K7", "execution " + str(x_), "did the clock go back?");
  EXPECT_EQ(examine_now()[0].severity, Severity::Warning);
}

TEST_P(Doctor, K8RequestedOutsideTheQueue) {
  desk_->write({.new_executions = {execution(x_)}});
  expect_only("K8", "execution " + str(x_), "neither in the queue nor held");
}

TEST_P(Doctor, K8NeedsADecisionOfNobody) {
  auto row = execution(x_);
  row.status = ExecutionStatus::NeedsDecision;
  desk_->write({.new_executions = {row}});
  expect_only("K8", "execution " + str(x_), "does not say of whom");
}

TEST_P(Doctor, K8WaitsForAnAnswerToNoQuestion) {
  auto asking = execution(x_);
  asking.status = ExecutionStatus::Pending;
  asking.held = "waits for an answer";
  auto other = asking;
  other.id = other.root = ExecutionId{y_};
  desk_->write(
      {.new_executions = {asking, other},
       .inquiries = {{.id = InquiryId{y_}, .tenant = kTenant, .status = InquiryStatus::Answered}}});
  EXPECT_EQ(examine_now().size(), 2U) << describe(examine_now());
  expect_among("K8", "execution " + str(x_), "no open inquiry");
  expect_among("K8", "execution " + str(y_), "no open inquiry");
}

TEST_P(Doctor, K8NothingWillWakeIt) {
  using enum ExecutionStatus;
  std::vector<ExecutionRow> rows;
  for (auto status : {Delayed, Scheduled, Running, Pending, Pausing, Paused, Resuming, Canceling}) {
    auto row = execution(id_at_now(100 + static_cast<int64_t>(status)));
    row.status = status;
    row.started = kNow;
    rows.push_back(row);
  }
  desk_->write({.new_executions = rows});
  auto found = examine_now();
  EXPECT_EQ(found.size(), rows.size()) << describe(found);
  for (const auto& row : rows) {
    expect_among("K8", "execution " + row.id.str(), "nothing will ever wake it");
  }
}

TEST_P(Doctor, K8QueueRowOfNothing) {
  desk_->write({.enqueue = {{ExecutionId{x_}, kTenant, 1}}});
  expect_only("K8", "execution " + str(x_), "does not exist or does not wait");
}

TEST_P(Doctor, K9FinalWithoutEnd) {
  auto row = ended(execution(x_));
  row.ended = 0;
  desk_->write({.new_executions = {row}});
  expect_only("K9", "execution " + str(x_), "final without `ended`");
}

TEST_P(Doctor, K8AMessageThatEndedTheServer) {
  desk_->write({.quarantine = {{.id = m_,
                                .tenant = kTenant,
                                .kind = "enforce_event",
                                .reason = "the server has ended 2 times while it was in hand"}}});
  expect_only("K8", "quarantine entry " + str(m_), "ended the server");
  EXPECT_EQ(examine_now()[0].severity, Severity::Warning);
}

TEST_P(Doctor, K8AMessageOfTheMachineThatWasSetAside) {
  desk_->write({.quarantine = {{.id = m_, .kind = "open_worker"}}});
  expect_only("K8", "quarantine entry " + str(m_), "could not be handled");
  EXPECT_EQ(examine_now()[0].severity, Severity::Warning);
}

TEST_P(Doctor, K9EndedButNotFinal) {
  auto row = execution(x_);
  row.ended = kNow;
  desk_->write({.new_executions = {row}, .enqueue = {{row.id, kTenant, 1}}});
  expect_only("K9", "execution " + str(x_), "ended, but not final");
}

TEST_P(Doctor, K9FinalThatIsStillWorkedOn) {
  auto child = execution(y_);
  child.parent = child.root = ExecutionId{x_};
  desk_->write({.new_executions = {ended(execution(x_)), child},
                .enqueue = {{ExecutionId{x_}, kTenant, 1}, {child.id, kTenant, 1, child.root}},
                .timers = {timer(m_, kNow, x_)},
                .outbox = {outbox_row(m_, x_)}});
  EXPECT_EQ(examine_now().size(), 4U) << describe(examine_now());
  expect_among("K9", "execution " + str(x_), "still in the queue");
  expect_among("K9", "execution " + str(x_), "a timer of it is left");
  expect_among("K9", "execution " + str(x_), "an outbox row of it is left");
  expect_among("K9", "execution " + str(x_), "a child of it is open");
}

TEST_P(Doctor, K9FinalWithAnOpenInquiry) {
  desk_->write({.new_executions = {ended(execution(x_))},
                .inquiries = {{.id = InquiryId{x_}, .tenant = kTenant}}});
  expect_only("K9", "execution " + str(x_), "its inquiry is still open");
}

TEST_P(Doctor, K10RowsThatPointToAnotherTenant) {
  auto theirs = execution(y_, kOtherTenant);
  theirs.parent = theirs.root = theirs.original = ExecutionId{x_};
  theirs.enforcement = EnforcementId{n_};
  auto ours = execution(x_);
  auto with_tenant = [](auto row) {
    row.tenant = kOtherTenant;
    return row;
  };
  auto replay = event(id_at_now(60), kOtherTenant);
  replay.replay_of = EventId{e_};
  auto judged = enforcement(id_at_now(61), e_, x_, kOtherTenant);
  RuleRow rule{.id = RuleId{77}, .tenant = kTenant, .revision = 3};
  RuleRow other_revision{.id = RuleId{77}, .tenant = kOtherTenant, .revision = 4};
  auto of_event = change(e_, "", kOtherTenant);
  of_event.type = EntityType::Event;
  desk_->write(
      {.events = {event(e_), replay},
       .enforcements = {enforcement(n_, e_, x_), judged},
       .new_executions = {ours, theirs},
       .enqueue = {{ours.id, kOtherTenant, 1}},
       .outputs = {{.execution = ours.id, .tenant = kOtherTenant}},
       .result_blobs = {{ours.id, kOtherTenant, "x"}},
       .workflows = {{.execution = ours.id, .root = ours.id, .tenant = kTenant},
                     {.execution = theirs.id, .root = ours.id, .tenant = kTenant}},
       .workflow_pieces = {{.workflow = ours.id, .tenant = kOtherTenant}},
       .workflow_runs =
           {{.workflow = ours.id, .tenant = kOtherTenant, .task = "t", .execution = ours.id}},
       .inquiries = {{.id = InquiryId{x_}, .tenant = kOtherTenant}},
       .messages = {with_tenant(message(id_at_now(62), e_)),
                    with_tenant(message(id_at_now(63), x_, MessageKind::CancelExecution))},
       .timers = {with_tenant(timer(id_at_now(64), kNow, x_))},
       .outbox = {with_tenant(outbox_row(id_at_now(65), x_))},
       .quarantine = {{.id = id_at_now(66), .tenant = kOtherTenant, .subject = x_},
                      {.id = id_at_now(67), .tenant = kOtherTenant, .subject = e_},
                      {.id = id_at_now(68), .kind = "finish_run", .subject = y_},
                      {.id = id_at_now(69), .tenant = kTenant, .kind = "open_worker"}},
       .rules = {rule, other_revision},
       .tokens = {{.id = TokenId{1}, .tenant = kOtherTenant, .execution = ours.id}},
       .places = {{.tenant = kOtherTenant, .gauge = "g", .execution = ours.id}},
       .workers = {{.id = WorkerId{9}, .tenant = kTenant}},
       .feed = {change(x_, "", kOtherTenant), of_event}});
  auto found = examine_now();
  for (const Check& check : checks()) {
    if (check.promise != "K10") continue;
    EXPECT_TRUE(std::ranges::any_of(found,
                                    [&](const Finding& f) {
                                      return f.promise == "K10" && f.message == check.message &&
                                             f.entity.starts_with(check.entity);
                                    }))
        << check.entity << " " << check.message << "\n"
        << describe(found);
  }
}

TEST_P(Doctor, ShardsThatAreMissing) {
  plant("DELETE FROM shard WHERE shard = 63");
  auto found = examine_now();
  ASSERT_EQ(found.size(), 1U) << describe(found);
  EXPECT_EQ(found[0].message, "has 63 shards, expected 64: start the server, it claims them");
}

TEST_P(Doctor, AnotherSchemaEndsTheExamination) {
  plant("UPDATE meta SET value = '9000' WHERE name = 'schema'; DROP TABLE execution");
  auto found = examine_now();
  ASSERT_EQ(found.size(), 1U) << describe(found);
  EXPECT_EQ(found[0].message,
            "has schema 9000, this binary knows 1: use the Millrace that wrote it");
}

TEST_P(Doctor, TellsOnlySoManyOfAKind) {
  std::vector<ExecutionRow> rows;
  for (int64_t i = 0; i < kMostFindings + 5; ++i) rows.push_back(execution(id_at_now(i)));
  desk_->write({.new_executions = rows});
  auto found = examine_now();
  ASSERT_EQ(found.size(), static_cast<size_t>(kMostFindings));
  EXPECT_TRUE(found.back().message.ends_with("; there are more like it"));
}

TEST_P(Doctor, LooksAtOneMomentWhileAServerWrites) {
  std::atomic<bool> stop{false};
  std::thread load([&] {
    for (int64_t i = 100; !stop; ++i) {
      auto row = execution(id_at_now(i));
      desk_->write(
          {.new_executions = {row}, .enqueue = {{row.id, kTenant, i}}, .feed = {change(i)}});
      desk_->write(
          {.executions = {ended(row)}, .dequeue = {{kTenant, row.id}}, .feed = {change(i)}});
    }
  });
  for (int i = 0; i < 30; ++i) {
    auto found = examine_now();
    EXPECT_TRUE(found.empty()) << describe(found);
  }
  stop = true;
  load.join();
}

// A check whose violation no test plants could be wrong for ever.
TEST_P(Doctor, K11LimitsThatCountOthersThanThereAre) {
  auto waits = execution(x_);
  waits.status = ExecutionStatus::Delayed;
  waits.limits = "w:p/c";
  waits.held = "waits for policy 'p'";
  GaugeRow gauge{.tenant = kTenant, .name = "p/c", .version = 1, .held = 1, .waiting = 1};
  PlaceRow first{.tenant = kTenant, .gauge = "p/c", .execution = ExecutionId{x_}};
  desk_->write({.new_executions = {waits}, .gauges = {gauge}, .places = {first}});
  expect_only("K11", "execution " + str(x_), "counts others than have a place there");
  gauge.was = 1;
  gauge.version = 2;
  gauge.held = 0;
  desk_->write({.gauges = {gauge}});
  expect_only("K8", "execution " + str(x_), "who wakes it?");
  desk_->write({.timers = {timer(id_at_now(9), kNow + 60'000, x_)}});
  EXPECT_TRUE(examine_now().empty()) << describe(examine_now());
  first.gone = true;
  desk_->write({.places = {first}});
  expect_among("K8", "execution " + str(x_), "has no place in its queue");
  expect_among("K11", "execution 0", "counts others than have a place there");
  PlaceRow of_nobody{.tenant = kTenant, .gauge = "q/c", .execution = ExecutionId{y_ + 7}};
  desk_->write({.places = {of_nobody}});
  expect_among("K11", "execution " + str(y_ + 7), "does not exist");
  expect_among("K11", "execution " + str(y_ + 7), "a limit that counts nothing");
}

TEST_P(Doctor, K11ALimitThatCountsSomebodyThoughNobodyHasAPlace) {
  GaugeRow gauge{.tenant = kTenant, .name = "p/c", .version = 1, .held = 1};
  desk_->write({.gauges = {gauge}});
  expect_only("K11", "execution 0", "counts others than have a place there");
}

TEST_P(Doctor, K9AFinalExecutionHasNoPlace) {
  auto over = ended(execution(x_));
  GaugeRow gauge{.tenant = kTenant, .name = "p/c", .version = 1, .held = 1};
  PlaceRow place{
      .tenant = kTenant, .gauge = "p/c", .execution = ExecutionId{x_}, .state = PlaceState::Holds};
  desk_->write({.new_executions = {over}, .gauges = {gauge}, .places = {place}});
  expect_among("K9", "execution " + str(x_), "has a place at a limit of a policy");
}

TEST(DoctorChecks, AreThisMany) { EXPECT_EQ(checks().size(), 75U); }

}  // namespace
}  // namespace millrace::store::testing
