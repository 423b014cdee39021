// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {

// Ways to break the protocol, for the simulation (tests/sim) to find: docs/reliability.md tells
// each. A place that can be broken asks `mutant(Mutant::Name)`, which is false at compile time but
// in the objects that the simulation makes for itself.
enum class Mutant : uint8_t {
  None,
  // K1: acknowledged only when durable
  AckBeforeCommit,
  AnswerBeforeCommit,
  FailedCommitSucceeds,
  BurialAcksFirst,
  BurialGivesUp,
  RefusedVanishes,
  MessageNotAcked,
  MessageAckedWithoutEffect,
  SweepDead,
  CrashLeftoversWait,
  AnswerOnUndurable,
  HandledOnUndurable,
  // K2: what is owed
  OutboxNotWritten,
  OutboxDeletedEarly,
  OutboxKept,
  HandedOverOwed,
  // K3: all or nothing, on rows that hold
  RollbackCommits,
  StaleRowWritten,
  WorkflowKeptAfterFailedWrite,
  // K4: once
  DedupeSkipped,
  DedupeNotWritten,
  AnswerForgotten,
  BroughtTwice,
  // K5: timers
  TimerLost,
  TimerKept,
  TimerEarly,
  TimersOfEndedKept,
  TimersRefilledAtOnce,
  DelayNotLooked,
  MendedTimerFires,
  // K6: one holder
  EpochNotChecked,
  EpochNotRaised,
  ShardsNotChecked,
  SessionEndsEarly,
  SlotFreedTwice,
  SlotFreedEarly,
  // K7: started is durable
  OrderBeforeCommit,
  StartedNotWritten,
  LostRunAgain,
  UntakenEndAgain,
  // K8: nothing is stuck
  QueueRowLost,
  PausedStarts,
  PausedOnUndurable,
  QueueRowKept,
  SlotLeaked,
  SlotNotFreed,
  GrantingKept,
  QueueNotLooked,
  SessionNeverEnds,
  WorkflowNotTold,
  AboveNotHandedOver,
  BelowNotHandedOver,
  NewHomeNotAsked,
  MissedNotTold,
  MissedPauseNotTold,
  RerunOnUndurable,
  KeyOfTheStep,
  TurnNotReleased,
  TurnReleasedEarly,
  UndoLeaks,
  BatchWaitsForCulprit,
  BadHeadBlocksQueue,
  OpenAmongOthers,
  LateOpenTaken,
  LeftWorkerJudged,
  RoutineBuried,
  CancelSparesSteps,
  // K9: a final status never changes
  FinalWritten,
  CancelLoses,
  InquiryKept,
  HeldGoesOnAsking,
  ReleaseGoneFails,
  // K12: a stop ends, and starts nothing
  DrainForgotten,
  WindUpGoesOn,
  SweepNeverRests,
  DispatchSpins,
  // Several servers: each decides for its own shards
  OthersMessagesTaken,
  OthersTimersFired,
  OthersQueueTaken,
  ClaimNotRaised,
  NodeShared,
  // Slots that servers lend each other
  SlotLentTwice,
  LentForEver,
  PermitOverBelieved,
  PermitOutlivesSession,
  HomeNotTold,
  LateRunForgotten,
  // Packs that several servers load and uninstall
  NewestReleaseNotTold,
  // K11: limits of policies hold
  LimitNotCounted,
  GaugeNotWritten,
  PlaceKept,
  GaugeCountsByOne,
};
inline constexpr int kMutants = static_cast<int>(Mutant::GaugeCountsByOne) + 1;

#ifdef MILLRACE_MUTANTS
extern Mutant mutant_in_force;
inline namespace breakable {  // or the linker might take the other one
inline bool mutant(Mutant which) { return which == mutant_in_force; }
}  // namespace breakable
#else
constexpr bool mutant(Mutant) { return false; }
#endif

}  // namespace millrace
