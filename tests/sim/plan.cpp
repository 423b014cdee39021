// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <array>

namespace millrace::sim {

namespace {

struct Kind {
  OpKind kind;
  std::string_view name;
  int weight;
  bool always;  // else a seed may do without
};

constexpr Kind kKinds[] = {
    {OpKind::Ingest, "ingest", 10, false},
    {OpKind::Replay, "replay", 2, false},
    {OpKind::Run, "run", 22, true},
    {OpKind::Cancel, "cancel", 6, false},
    {OpKind::Pause, "pause", 4, false},
    {OpKind::Resume, "resume", 4, false},
    {OpKind::Rerun, "rerun", 4, false},
    {OpKind::Resolve, "resolve", 5, false},
    {OpKind::Answer, "answer", 4, false},
    {OpKind::WriteRule, "write_rule", 5, false},
    {OpKind::DeleteRule, "delete_rule", 2, false},
    {OpKind::Webhook, "webhook", 1, false},
    {OpKind::WriteKey, "write_key", 2, false},
    {OpKind::Token, "token", 1, false},
    {OpKind::Reload, "reload", 2, false},
    {OpKind::Uninstall, "uninstall", 1, false},
    {OpKind::Retry, "retry", 5, true},
    {OpKind::Turn, "turn", 8, true},
    {OpKind::Commit, "commit", 8, true},
    {OpKind::Settle, "settle", 8, true},
    {OpKind::Cycle, "cycle", 14, true},
    {OpKind::Restart, "restart", 2, false},
    {OpKind::Crash, "crash", 4, false},
    {OpKind::Tick, "tick", 6, true},
    {OpKind::Jump, "jump", 6, true},
    {OpKind::ClockStep, "clock_step", 2, false},
    {OpKind::Start, "start", 10, true},
    {OpKind::Finish, "finish", 16, true},
    {OpKind::Repeat, "repeat", 3, false},
    {OpKind::Build, "build", 3, false},
    {OpKind::Freeze, "freeze", 2, false},
    {OpKind::Die, "die", 3, false},
    {OpKind::Open, "open", 4, true},
    {OpKind::FailRead, "fail_read", 3, false},
    {OpKind::FailWrite, "fail_write", 3, false},
    {OpKind::Busy, "busy", 2, false},
    {OpKind::Full, "full", 2, false},
    {OpKind::SyncFails, "sync_fails", 1, false},
    {OpKind::Damage, "damage", 2, false},
    {OpKind::BadRow, "bad_row", 1, false},
    {OpKind::Heal, "heal", 4, true},
    {OpKind::HandOver, "hand_over", 5, true},
    {OpKind::Hint, "hint", 4, true},
    {OpKind::News, "news", 6, true},
};
static_assert(std::size(kKinds) == kOpKinds);

}  // namespace

std::string_view to_string(OpKind kind) { return kKinds[static_cast<int>(kind)].name; }

// A seed does without some kinds and does more of others: what happens rarely in a world where
// everything happens is common in one where little else does.
Plan plan_of(uint64_t seed) {
  Dice dice(seed * 0x2545f4914f6cdd1d + 1);
  Plan plan{.seed = seed, .ops = {}};
  std::vector<OpKind> urn;
  for (const auto& each : kKinds) {
    if (each.kind >= OpKind::HandOver && !has_several(seed)) continue;
    int weight = each.weight;
    if (!each.always && dice.one_in(2)) weight = 0;
    if (dice.one_in(5)) weight *= 3;
    urn.insert(urn.end(), static_cast<size_t>(weight), each.kind);
  }
  size_t length = 20 + dice.below(45);
  for (size_t i = 0; i < length; ++i) plan.ops.push_back({dice.pick(urn), dice.next()});
  return plan;
}

}  // namespace millrace::sim
