// SPDX-License-Identifier: Apache-2.0
// What goes wrong with the store.
#include <fmt/format.h>

#include "world.h"

namespace millrace::sim {

using namespace kernel;

void World::fail_store(const Op& op, Dice dice) {
  static const std::vector<std::string> kReads = {
      "FROM execution WHERE id", "FROM workflow", "FROM queue", "FROM timer", "FROM message",
      "FROM execution",          "FROM worker",   "FROM dedupe"};
  static const std::vector<std::string> kWrites = {
      "INTO output",  "INTO execution", "UPDATE execution", "INTO workflow",   "INTO timer",
      "INTO message", "INTO event",     "INTO queue",       "INTO quarantine", "INTO worker"};
  int times = dice.one_in(4) ? -1 : static_cast<int>(1 + dice.below(24));
  switch (op.kind) {
    case OpKind::FailRead:
      harm_ = true;
      store_.add({.text = dice.pick(kReads), .times = times});
      break;
    case OpKind::FailWrite:
      harm_ = true;
      store_.add({.of_writer = true,
                  .text = dice.pick(kWrites),
                  .times = times,
                  .code = sql::kConstraint});
      break;
    case OpKind::Busy:
      store_.add({.of_writer = true,
                  .text = dice.one_in(2) ? "BEGIN" : "COMMIT",
                  .times = static_cast<int>(1 + dice.below(3))});
      break;
    case OpKind::Full:
      store_.add({.of_writer = true,
                  .text = dice.one_in(2) ? "COMMIT" : "INSERT INTO",
                  .times = -1,
                  .code = sql::kFull});
      break;
    case OpKind::SyncFails:
      store_.add({.of_writer = true,
                  .text = "COMMIT",
                  .code = sql::kSyncFailed,
                  .although_done = dice.one_in(2)});
      break;
    case OpKind::Damage: {
      harm_ = true;
      auto done = store_.inspector().run(
          dice.one_in(2) ? "UPDATE workflow SET head = x'7b'"
                         : "UPDATE event SET payload = x'7b' WHERE id IN (SELECT subject FROM "
                           "message WHERE kind = 0)");
      if (!done.ok()) violate("K1", "a commit is over and holds the store");
      break;
    }
    case OpKind::BadRow: {
      auto stands_alone = [](const Known& known) {
        return !is_final(known.row.status) && !known.row.parent && known.row.worker;
      };
      ExecutionId id = pick_execution(dice, stands_alone);
      // Its slot stays taken: there has to be another.
      int slots = 0;
      for (const auto& worker : workers_) {
        if (worker.home == owner_of(id).number) slots += worker.slots;
      }
      if (!id || !stands_alone(*ledger_.find(id)) || !bad_rows_.empty() || slots < 2) return;
      harm_ = true;
      bad_rows_.insert(id.value);
      store_.add(
          {.text = "FROM execution WHERE id", .times = -1, .bound = id.value, .stays = true});
      break;
    }
    default: break;
  }
  tell_trace(fmt::format("{} {}", to_string(op.kind), times));
}

}  // namespace millrace::sim
