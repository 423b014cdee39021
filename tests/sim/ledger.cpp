// SPDX-License-Identifier: Apache-2.0
#include "ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/machine/transition.h"
#include "engine/transitions/waiting.h"
#include "kernel/gauges.h"
#include "packs.h"
#include "store/row_reader.h"

namespace millrace::sim {

using namespace kernel;

void Coverage::add(const Coverage& other) {
  for (const auto& [name, count] : other.messages) messages[name] += count;
  for (const auto& [name, count] : other.ops) ops[name] += count;
  auto sum = [](auto& into, const auto& from) {
    for (size_t i = 0; i < into.size(); ++i) into[i] += from[i];
  };
  for (size_t i = 0; i < fates.size(); ++i) sum(fates[i], other.fates[i]);
  for (size_t i = 0; i < edges.size(); ++i) sum(edges[i], other.edges[i]);
  sum(ends, other.ends);
}

namespace {

std::string named(const ExecutionRow& row) {
  return fmt::format("execution {} ({}, {}{}{})", row.id.value, row.action, to_string(row.status),
                     row.task.empty() ? "" : ", task ", row.task);
}

// For its delay, a slot, or its workflow.
bool waits(const ExecutionRow& row) {
  return row.status == ExecutionStatus::Delayed || row.status == ExecutionStatus::Requested ||
         (row.status == ExecutionStatus::Paused && row.started == 0);
}

}  // namespace

void Ledger::execution(const ExecutionRow& row, bool is_new) {
  auto found = executions_.find(row.id.value);
  if (is_new != (found == executions_.end())) {
    violate_("K3", fmt::format("{} is written as {}", named(row), is_new ? "new twice" : "known"));
  }
  Known& known = executions_[row.id.value];
  const ExecutionRow before = known.row;
  if (!is_new) {
    if (is_final(before.status)) {
      violate_("K9", fmt::format("{} was {} before", named(row), to_string(before.status)));
    }
    bool runs = before.status == ExecutionStatus::Canceling && before.worker;
    if (runs && row.status == ExecutionStatus::Succeeded) {
      violate_("K5", named(row) + " was canceled first");
    }
    if (row.version != before.version + 1) {
      violate_("K3", fmt::format("{}: version {} on top of {}: an update is lost", named(row),
                                 row.version, before.version));
    }
    if (row.epoch < before.epoch || row.attempt < before.attempt) {
      violate_("K6", fmt::format("{}: epoch or attempt go back", named(row)));
    }
    if (row.epoch == before.epoch && row.worker && before.worker && row.worker != before.worker) {
      violate_("K6", fmt::format("{}: another worker in the same epoch", named(row)));
    }
    ++coverage_.edges[static_cast<size_t>(before.status)][static_cast<size_t>(row.status)];
  }
  // The end that counts is that of the run which had the lease.
  bool has_output = row.result_json.contains("\"run\":\"");
  auto own = fmt::format("\"run\":\"{}.{}\"", row.attempt, row.epoch);
  if (has_output && row.worker && !row.result_json.contains(own)) {
    violate_("K6", named(row) + " has ended with what another run has left");
  }
  known.row = row;
  known.row.parameters_json.clear();
  known.row.env_json.clear();
  note(static_cast<uint64_t>(row.id.value));
  note(static_cast<uint64_t>(row.status) << 32 | static_cast<uint64_t>(row.version));
}

// Steps that have not started and whose workflow this commit finds paused, or on its way there.
std::set<int64_t> Ledger::held_back(const Changes& changes) const {
  std::set<int64_t> held;
  auto look = [&](const ExecutionRow& row) {
    const auto* above = find(row.parent);
    if (!above || !engine::is_paused(above->row.status)) return;
    const auto* known = find(row.id);
    if (!known || waits(known->row)) held.insert(row.id.value);
  };
  for (const auto& row : changes.new_executions) look(row);
  for (const auto& row : changes.executions) look(row);
  return held;
}

// A workflow that was paused, and still is, starts nothing on any way.
void Ledger::check_starts(const std::set<int64_t>& held) {
  for (int64_t id : held) {
    const auto& row = executions_[id].row;
    const auto* above = find(row.parent);
    bool starts = row.status == ExecutionStatus::Running ||
                  row.status == ExecutionStatus::Pending ||
                  row.status == ExecutionStatus::Succeeded;
    if (starts && engine::is_paused(above->row.status)) {
      violate_("K8", named(row) + " starts though its workflow is paused");
    }
  }
}

// A workflow that is canceled takes its steps along, but for those that undo others.
void Ledger::check_cancel(const Changes& changes, int64_t subject) {
  auto undoes = [](const ExecutionRow& row) {
    return row.task == "unbook" || row.task == "refund";
  };
  for (const auto& row : changes.executions) {
    if (row.id.value != subject || row.status != ExecutionStatus::Canceling) continue;
    for (const auto& [id, known] : executions_) {
      const auto& step = known.row;
      bool goes_on = !is_final(step.status) && step.status != ExecutionStatus::Canceling;
      // In orquesta what runs ends first.
      if (row.action.starts_with("ci.orquesta") && step.worker) continue;
      if (step.parent == row.id && goes_on && !undoes(step)) {
        violate_("K8", named(step) + " goes on though its workflow is canceled");
      }
    }
  }
}

// What can be said of one execution after a commit that has touched it.
void Ledger::check(const Known& known) {
  const auto& row = known.row;
  bool waits = row.status == ExecutionStatus::Requested;
  if (waits && row.held.empty() && !known.queued) {
    violate_("K8", named(row) + " waits for a slot without a row in the queue");
  }
  if (!waits && known.queued) violate_("K8", named(row) + " is in the queue");
  if (is_final(row.status)) {
    if (row.ended == 0) violate_("K9", named(row) + " is final without `ended`");
    if (row.failure == FailureClass::NoRelease) {
      violate_("K8", named(row) + " has ended because its release is missing");
    }
    if (!known.timers.empty()) violate_("K9", named(row) + " is final and has a timer");
    if (known.owed) violate_("K9", named(row) + " is final and its cancel is still owed");
    return;
  }
  if (row.ended != 0) violate_("K9", named(row) + " has ended and is not final");
  if (row.status == ExecutionStatus::Canceling && row.worker && !known.owed) {
    violate_("K2", named(row) + " is leased and nobody owes its worker the cancel");
  }
  if (row.worker && row.epoch < 1) violate_("K6", named(row) + " is leased without an epoch");
  if (row.status == ExecutionStatus::Running && row.started == 0) {
    violate_("K7", named(row) + " runs without `started`");
  }
  if (row.status == ExecutionStatus::NeedsDecision && row.held.empty()) {
    violate_("K8", named(row) + " does not say why");
  }
}

// Whoever decides, and however it is counted: no more have been let in than the limit says.
void Ledger::check_limits() {
  std::map<std::string, int64_t> held;
  for (const auto& [id, known] : executions_) {
    if (is_final(known.row.status)) continue;
    auto counted = counted_of(known.row.limits);
    if (counted.how != Counted::How::Holds) continue;
    for (const auto& gauge : counted.gauges) ++held[gauge];
  }
  for (const auto& [gauge, count] : held) {
    if (count <= most_at_once(gauge)) continue;
    violate_("K11", fmt::format("limit {}: {} have been let in", gauge, count));
  }
}

void Ledger::take_timers(const engine::Decision& decision, int64_t now) {
  const auto& changes = decision.changes;
  auto forget = [&](int64_t id) {
    auto subject = timer_subjects_.find(id);
    if (subject != timer_subjects_.end()) {
      if (auto known = executions_.find(subject->second); known != executions_.end()) {
        known->second.timers.erase(id);
      }
      timer_subjects_.erase(subject);
    }
    timers_.erase(id);
  };
  bool fires = decision.attempt.message->name() == "fire_timer";
  for (auto done : changes.timers_done) {
    auto timer = timers_.find(done.id.value);
    bool has_effect = !changes.executions.empty() || !changes.events.empty();
    if (fires && has_effect && timer == timers_.end()) {
      violate_("K5", fmt::format("timer {} fires a second time", done.id.value));
    } else if (fires && timer != timers_.end() && timer->second > now) {
      violate_("K5", fmt::format("timer {} fires {} ms early", done.id.value, timer->second - now));
    }
    forget(done.id.value);
  }
  for (auto of : changes.timers_of_done) {
    auto known = executions_.find(of.id.value);
    if (known == executions_.end()) continue;
    for (int64_t id : std::set<int64_t>(known->second.timers)) forget(id);
  }
  for (const auto& timer : changes.timers) {
    ++timers_made_;
    timers_[timer.id.value] = timer.due;
    if (!timer.name.empty()) {  // replaces the one of its name
      int64_t& named = named_timers_[timer.name];
      if (named != 0) forget(named);
      named = timer.id.value;
      continue;
    }
    timer_subjects_[timer.id.value] = timer.subject;
    executions_[timer.subject].timers.insert(timer.id.value);
  }
}

void Ledger::committed(const engine::Decision& decision, ShardSet shards, int64_t now) {
  const auto& changes = decision.changes;
  auto check_owner = [&](const ExecutionRow& row) {
    if (shards.has(shard_of(row.tenant, row.root.value))) return;
    violate_("K6", named(row) + " is decided by who does not own its shard");
  };
  std::ranges::for_each(changes.new_executions, check_owner);
  std::ranges::for_each(changes.executions, check_owner);
  for (char c : decision.attempt.message->name()) note(static_cast<uint64_t>(c));
  for (const auto& event : changes.events) {
    events_.push_back(event.id.value);
    std::string key = event.source + " " + event.source_id;
    if (!event.replay_of && !event_keys_.insert(key).second) {
      violate_("K4", fmt::format("event {} is there twice", key));
    }
  }
  for (const auto& row : changes.enforcements) {
    if (!enforced_.emplace(row.event.value, row.rule.value).second) {
      violate_("K4", fmt::format("rule {} is enforced twice for event {}", row.rule_ref,
                                 row.event.value));
    }
  }
  auto held = held_back(changes);
  for (const auto& row : changes.new_executions) execution(row, true);
  for (const auto& row : changes.executions) execution(row, false);
  if (!changes.gauges.empty()) check_limits();
  for (const auto& row : changes.enqueue) executions_[row.execution.value].queued = true;
  for (auto of : changes.dequeue) executions_[of.id.value].queued = false;
  for (const auto& row : changes.outbox) executions_[row.subject].owed = true;
  for (auto of : changes.outbox_done) {
    auto known = executions_.find(of.id.value);
    if (known == executions_.end()) continue;
    known->second.owed = false;
  }
  for (const auto& row : changes.inquiries) {
    if (row.status == InquiryStatus::Pending) {
      inquiries_.insert(row.id.value);
    } else {
      inquiries_.erase(row.id.value);
    }
  }
  for (const auto& row : changes.messages) messages_[row.id.value] = row.shard;
  for (auto of : changes.acked) {
    if (messages_.erase(of.id.value) > 0) continue;
    violate_("K4", fmt::format("message {} is handled a second time", of.id.value));
  }
  if (decision.attempt.message->name() == "cancel_execution") {
    check_cancel(changes, decision.attempt.message->about().subject);
  }
  check_starts(held);
  take_timers(decision, now);
  quarantined_ += static_cast<int64_t>(changes.quarantine.size());
  for (const auto& row : changes.quarantine) {
    quarantined_subjects_.insert(row.subject);
    if (row.reason.contains("nobody was handed over")) ++not_handed_over_;
  }
  for (const auto& row : changes.new_executions) check(executions_[row.id.value]);
  for (const auto& row : changes.executions) check(executions_[row.id.value]);
}

void Ledger::compare(sql::Connection& store, bool surprises, bool forgets) {
  Ledger there(violate_, coverage_);
  there.read(store);
  auto differs = [&](std::string what) {
    violate_("K1", "the store is not what was committed: " + std::move(what));
  };
  for (const auto& [id, known] : executions_) {
    const auto* stored = there.find(ExecutionId{id});
    const auto& row = known.row;
    if (!stored) {
      if (!forgets || !is_final(row.status)) differs(named(row) + " is gone");
      continue;
    }
    const auto& now = stored->row;
    if (is_final(row.status) && now.status != row.status) {
      violate_("K9", fmt::format("{} is {} now", named(row), to_string(now.status)));
    }
    bool same = now.version == row.version && now.status == row.status && now.epoch == row.epoch &&
                now.attempt == row.attempt && now.worker == row.worker;
    if (!same && (!surprises || now.version < row.version)) {
      differs(fmt::format("{} version {} epoch {} is {} version {} epoch {}", named(row),
                          row.version, row.epoch, to_string(now.status), now.version, now.epoch));
    }
    if (!same || surprises) continue;
    if (stored->queued != known.queued) differs(named(row) + ": its row in the queue");
    if (stored->owed != known.owed) differs(named(row) + ": its row in the outbox");
    if (stored->timers != known.timers) differs(named(row) + ": its timers");
  }
  if (!surprises) {
    if (!forgets && there.executions_.size() != executions_.size())
      differs("there are more executions");
    if (there.messages_ != messages_) {
      differs(fmt::format("{} messages, expected {}", there.messages_.size(), messages_.size()));
    }
    if (there.inquiries_ != inquiries_) differs("open inquiries");
    if (there.timers_ != timers_) {
      differs(fmt::format("{} timers, expected {}", there.timers_.size(), timers_.size()));
    }
    if (!forgets && there.quarantined_ != quarantined_) differs("quarantine");
    return;
  }
  executions_ = std::move(there.executions_);
  messages_ = std::move(there.messages_);
  timers_ = std::move(there.timers_);
  timer_subjects_ = std::move(there.timer_subjects_);
  named_timers_ = std::move(there.named_timers_);
  inquiries_ = std::move(there.inquiries_);
  events_ = std::move(there.events_);
  event_keys_ = std::move(there.event_keys_);
  enforced_ = std::move(there.enforced_);
  quarantined_ = there.quarantined_;
  quarantined_subjects_ = std::move(there.quarantined_subjects_);
  not_handed_over_ = there.not_handed_over_;
}

void Ledger::read(sql::Connection& store) {
  auto each = [&](std::string_view text, auto take) {
    auto statement = store.prepare(text);
    ASSERT_MSG(statement.ok(), statement.error().describe());
    store::ResetAtExit reset(**statement);
    for (;;) {
      auto more = (*statement)->step();
      ASSERT_MSG(more.ok(), more.error().describe());
      if (!*more) return;
      take(store::RowReader(**statement));
    }
  };
  each(
      "SELECT id, tenant, action, pack_release, status, failure, effect_class, attempt, epoch, "
      "worker, parent, root, started, ended, version, held, task, result FROM execution",
      [&](auto read) {
        ExecutionRow row;
        read >> row.id >> row.tenant >> row.action >> row.release >> row.status >> row.failure >>
            row.effect_class >> row.attempt >> row.epoch >> row.worker >> row.parent >> row.root >>
            row.started >> row.ended >> row.version >> row.held >> row.task >> row.result_json;
        executions_[row.id.value].row = std::move(row);
      });
  auto known = [&](int64_t id) -> Known* {
    auto found = executions_.find(id);
    return found == executions_.end() ? nullptr : &found->second;
  };
  each("SELECT execution FROM queue", [&](auto read) {
    int64_t id = 0;
    read >> id;
    if (auto* row = known(id)) row->queued = true;
  });
  each("SELECT subject FROM outbox", [&](auto read) {
    int64_t id = 0;
    read >> id;
    if (auto* row = known(id)) row->owed = true;
  });
  each("SELECT id, due, subject, name FROM timer", [&](auto read) {
    int64_t id = 0;
    int64_t due = 0;
    int64_t subject = 0;
    std::string name;
    read >> id >> due >> subject >> name;
    timers_[id] = due;
    if (!name.empty()) named_timers_[name] = id;
    if (subject == 0) return;
    timer_subjects_[id] = subject;
    if (auto* row = known(subject)) row->timers.insert(id);
  });
  auto ids = [&](std::string_view text, auto add) {
    each(text, [&](auto read) {
      int64_t id = 0;
      read >> id;
      add(id);
    });
  };
  each("SELECT id, shard FROM message", [&](auto read) {
    int64_t id = 0;
    int shard = 0;
    read >> id >> shard;
    messages_[id] = shard;
  });
  ids("SELECT id FROM inquiry WHERE status = 0", [&](int64_t id) { inquiries_.insert(id); });
  ids("SELECT id FROM event ORDER BY id", [&](int64_t id) { events_.push_back(id); });
  each("SELECT subject, reason FROM quarantine", [&](auto read) {
    int64_t subject = 0;
    std::string reason;
    read >> subject >> reason;
    ++quarantined_;
    quarantined_subjects_.insert(subject);
    if (reason.contains("nobody was handed over")) ++not_handed_over_;
  });
  each("SELECT source, source_id FROM event WHERE replay_of = 0", [&](auto read) {
    std::string source;
    std::string id;
    read >> source >> id;
    if (!event_keys_.insert(source + " " + id).second) {
      violate_("K4", fmt::format("event {} {} is stored twice", source, id));
    }
  });
  each("SELECT event, rule, rule_ref FROM enforcement", [&](auto read) {
    int64_t event = 0;
    int64_t rule = 0;
    std::string ref;
    read >> event >> rule >> ref;
    if (!enforced_.emplace(event, rule).second) {
      violate_("K4", fmt::format("rule {} was enforced twice for event {}", ref, event));
    }
  });
}

}  // namespace millrace::sim
