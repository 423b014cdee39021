// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/fate.h"
#include "engine/machine/decision.h"
#include "kernel/rows.h"
#include "kernel/shards.h"
#include "store/sql.h"

namespace millrace::sim {

// What has happened at least once over many worlds.
struct Coverage {
  std::map<std::string, int64_t, std::less<>> messages;
  std::map<std::string, int64_t, std::less<>> ops;
  std::array<std::array<int64_t, 4>, 7> fates{};    // [Trouble][Fate::What]
  std::array<std::array<int64_t, 21>, 21> edges{};  // [from][to] of ExecutionStatus
  std::array<int64_t, 5> ends{};                    // of store::WriteEnd
  void add(const Coverage& other);
};

// An execution as the last commit has left it.
struct Known {
  kernel::ExecutionRow row;  // without parameters, environment, result
  bool queued = false;
  bool owed = false;  // a cancel is in the outbox
  std::set<int64_t> timers;
};

// What the commits that succeeded have come to, held against the promises K1 to K9 and K11 at each
// of them, and against the store itself after each start of a server and at the end.
class Ledger {
 public:
  using Violate = std::function<void(std::string_view promise, std::string what)>;
  Ledger(Violate violate, Coverage& coverage) : violate_(std::move(violate)), coverage_(coverage) {}

  // A decision that is durable; `now`: the wall clock when it was made, by an owner of `shards`.
  void committed(const engine::Decision& decision, kernel::ShardSet shards, int64_t now);
  // The store after a start. `surprises`: a commit whose outcome nobody knows may be in it;
  // `forgets`: ended ones may have gone.
  void compare(sql::Connection& store, bool surprises, bool forgets);

  const Known* find(ExecutionId id) const {
    auto found = executions_.find(id.value);
    return found == executions_.end() ? nullptr : &found->second;
  }
  const std::map<int64_t, Known>& executions() const { return executions_; }
  const std::map<int64_t, int>& messages() const { return messages_; }  // their shards
  const std::map<int64_t, int64_t>& timers() const { return timers_; }  // due by id
  const std::set<int64_t>& inquiries() const { return inquiries_; }     // those that are open
  const std::vector<int64_t>& events() const { return events_; }
  int64_t quarantined() const { return quarantined_; }
  // Burials that have handed nobody over: an operator has to look for whom they hold up.
  int64_t not_handed_over() const { return not_handed_over_; }
  // A message about it is in quarantine: an operator knows.
  bool is_quarantined(ExecutionId id) const { return quarantined_subjects_.contains(id.value); }
  int64_t timers_made() const { return timers_made_; }
  uint64_t hash() const { return hash_; }
  void note(uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001b3; }

 private:
  void execution(const kernel::ExecutionRow& row, bool is_new);
  void check(const Known& known);
  std::set<int64_t> held_back(const kernel::Changes& changes) const;
  void check_starts(const std::set<int64_t>& held);
  void check_cancel(const kernel::Changes& changes, int64_t subject);
  void check_limits();
  void take_timers(const engine::Decision& decision, int64_t now);
  void read(sql::Connection& store);

  Violate violate_;
  Coverage& coverage_;
  std::map<int64_t, Known> executions_;
  std::map<int64_t, int> messages_;
  std::map<int64_t, int64_t> timers_;
  std::map<int64_t, int64_t> timer_subjects_;
  std::map<std::string, int64_t> named_timers_;
  std::set<int64_t> inquiries_;
  std::vector<int64_t> events_;
  std::set<std::string> event_keys_;
  std::set<std::pair<int64_t, int64_t>> enforced_;  // event, rule
  int64_t quarantined_ = 0;
  std::set<int64_t> quarantined_subjects_;
  int64_t not_handed_over_ = 0;
  int64_t timers_made_ = 0;
  uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace millrace::sim
