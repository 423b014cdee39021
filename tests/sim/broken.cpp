// SPDX-License-Identifier: Apache-2.0
#include "broken.h"

namespace millrace {

Mutant mutant_in_force = Mutant::None;

namespace sim {

namespace {

constexpr Broken kBroken[] = {
    {Mutant::AckBeforeCommit, "ack-before-commit",
     "a worker's completion is acknowledged when it is decided"},
    {Mutant::AnswerBeforeCommit, "answer-before-commit",
     "a request is answered when it is decided"},
    {Mutant::FailedCommitSucceeds, "failed-commit-succeeds",
     "a COMMIT that failed is reported as done"},
    {Mutant::BurialAcksFirst, "burial-acks-first",
     "B6: a completion that cannot be taken is acknowledged before its quarantine is durable"},
    {Mutant::BurialGivesUp, "burial-gives-up", "B6: a full disk makes a burial vanish"},
    {Mutant::RefusedVanishes, "refused-vanishes",
     "B6: a stored message that is refused is dropped in memory and stays in the store"},
    {Mutant::MessageNotAcked, "message-not-acked", "a message is handled and stays"},
    {Mutant::MessageAckedWithoutEffect, "message-without-effect",
     "a message is acknowledged and nothing comes of it"},
    {Mutant::SweepDead, "sweep-dead", "messages that a crash left behind are not looked for"},
    {Mutant::CrashLeftoversWait, "leftovers-wait",
     "B10: a sweep that brought a full page waits a minute for the next"},
    {Mutant::AnswerOnUndurable, "answer-on-undurable",
     "found here: a decision that writes nothing is answered on the word of one of its batch"},
    {Mutant::HandledOnUndurable, "handled-on-undurable",
     "found here: a timer is done, for nothing, on the word of one of its batch"},
    {Mutant::OutboxNotWritten, "outbox-not-written", "a cancel is not owed to its worker"},
    {Mutant::OutboxDeletedEarly, "outbox-deleted-early",
     "the sweep drops the cancel of a run that still ends"},
    {Mutant::OutboxKept, "outbox-kept", "a run ends and its cancel stays owed"},
    {Mutant::HandedOverOwed, "handed-over-owed",
     "found here: a canceled run is handed to an operator and its cancel stays owed"},
    {Mutant::RollbackCommits, "rollback-commits", "what was written of a failed batch stays"},
    {Mutant::StaleRowWritten, "stale-row-written",
     "a decision on a row that has changed since is written"},
    {Mutant::WorkflowKeptAfterFailedWrite, "workflow-not-forgotten",
     "a workflow stays in memory as a decision left it that was not written"},
    {Mutant::DedupeSkipped, "dedupe-skipped", "a key that is taken can be claimed"},
    {Mutant::DedupeNotWritten, "dedupe-not-written", "an event's key is not remembered"},
    {Mutant::AnswerForgotten, "answer-forgotten", "an Idempotency-Key is not remembered"},
    {Mutant::BroughtTwice, "brought-twice",
     "a message that is in hand is brought again, and not looked up"},
    {Mutant::TimerLost, "timer-lost", "a delay has no timer"},
    {Mutant::TimerKept, "timer-kept", "a timer that has fired stays"},
    {Mutant::TimerEarly, "timer-early", "timers fire two seconds early"},
    {Mutant::TimersOfEndedKept, "timers-of-ended-kept", "an execution ends and its timer stays"},
    {Mutant::TimersRefilledAtOnce, "timers-refilled",
     "B2: the wheel is refilled while those taken are being committed"},
    {Mutant::DelayNotLooked, "delay-not-looked",
     "found here: a step that is held back and was read for another reason has no delay"},
    {Mutant::EpochNotChecked, "epoch-not-checked", "the completion of an old lease counts"},
    {Mutant::EpochNotRaised, "epoch-not-raised", "a new lease has the epoch of the one before"},
    {Mutant::ShardsNotChecked, "shards-not-checked",
     "a server that has lost its shards goes on writing"},
    {Mutant::SessionEndsEarly, "session-ends-early",
     "a lease is given to another before its worker gives up"},
    {Mutant::SlotFreedTwice, "slot-freed-twice", "a run that ends frees two slots"},
    {Mutant::SlotFreedEarly, "slot-freed-early",
     "found here: a slot goes to another run before the end that frees it is durable"},
    {Mutant::OrderBeforeCommit, "order-before-commit",
     "an order leaves before its lease is durable"},
    {Mutant::StartedNotWritten, "started-not-written", "a run begins without `started`"},
    {Mutant::LostRunAgain, "lost-run-again", "a lost run that must not be repeated is repeated"},
    {Mutant::UntakenEndAgain, "untaken-end-again",
     "found here: a run whose end is in quarantine is started again"},
    {Mutant::PausedStarts, "paused-starts",
     "what waits for a slot or for its delay starts though its workflow is paused"},
    {Mutant::PausedOnUndurable, "paused-on-undurable",
     "found here: a workflow is paused on the word of a start that is not durable, or is being "
     "lost"},
    {Mutant::QueueRowLost, "queue-row-lost", "what waits for a slot has no row in the queue"},
    {Mutant::QueueRowKept, "queue-row-kept", "what has its slot stays in the queue"},
    {Mutant::SlotLeaked, "slot-leaked", "a decision that is not written keeps its slot"},
    {Mutant::SlotNotFreed, "slot-not-freed", "a run that ends keeps its slot"},
    {Mutant::GrantingKept, "granting-kept", "what has left the queue once is not started again"},
    {Mutant::QueueNotLooked, "queue-not-looked", "a slot that is free starts nobody"},
    {Mutant::SessionNeverEnds, "session-never-ends",
     "the runs of a worker that went away wait for it for ever"},
    {Mutant::WorkflowNotTold, "workflow-not-told", "a canceled step tells its workflow nothing"},
    {Mutant::AboveNotHandedOver, "above-not-handed-over",
     "B6: news about an ended step is buried and its workflow handed to nobody"},
    {Mutant::MissedNotTold, "missed-not-told",
     "found here: a workflow that was held is not told what has ended meanwhile"},
    {Mutant::TurnNotReleased, "turn-not-released", "who waits for a turn is forgotten"},
    {Mutant::TurnReleasedEarly, "turn-released-early",
     "a tree is decided on while its last decision is being written"},
    {Mutant::UndoLeaks, "undo-leaks", "a decision that comes to nothing keeps its slots"},
    {Mutant::BatchWaitsForCulprit, "batch-waits",
     "B4: a row that cannot be read puts off its whole batch"},
    {Mutant::BadHeadBlocksQueue, "bad-head-blocks-queue",
     "found here: a row in the queue that cannot be read holds up all that ends and waits"},
    {Mutant::OpenAmongOthers, "open-among-others",
     "found here: a session is opened while orders for its worker are being committed"},
    {Mutant::LostThoughBack, "lost-though-back",
     "found here: a worker that has come back loses what it runs, for the session before"},
    {Mutant::RoutineBuried, "routine-buried",
     "found here: a sweep or a dispatch that is refused is the last one"},
    {Mutant::CancelSparesSteps, "cancel-spares-steps", "the steps of a canceled workflow go on"},
    {Mutant::FinalWritten, "final-written", "a late completion changes a final status"},
    {Mutant::CancelLoses, "cancel-loses", "a run that ends after its cancel succeeds"},
    {Mutant::InquiryKept, "inquiry-kept", "a question outlives the execution that asks"},
    {Mutant::HeldGoesOnAsking, "held-goes-on-asking",
     "found here: who asks is handed to an operator and its question stays open for ever"},
    {Mutant::ReleaseGoneFails, "release-gone-fails",
     "B5: an execution whose release is missing ends as failed"},
    {Mutant::DrainForgotten, "drain-forgotten", "B11: a worker that opens ends the drain"},
    {Mutant::WindUpGoesOn, "wind-up-goes-on",
     "B3: a server that stops goes on with stored messages"},
    {Mutant::SweepNeverRests, "sweep-never-rests",
     "B1: rows that are old and must stay bring the next sweep at once"},
    {Mutant::DispatchSpins, "dispatch-spins",
     "found here: with a full disk the queue is looked at without end"},
    {Mutant::OthersMessagesTaken, "others-messages-taken",
     "a sweep brings messages of shards that another server owns", true},
    {Mutant::OthersTimersFired, "others-timers-fired",
     "a timer of a shard that another server owns is fired here, too", true},
    {Mutant::OthersQueueTaken, "others-queue-taken",
     "what waits in a shard that another server owns is started here", true},
    {Mutant::ClaimNotRaised, "claim-not-raised",
     "whoever claims shards gets the epoch of their owner before", true},
    {Mutant::NodeShared, "node-shared", "two servers draw the same ids", true},
};
static_assert(std::size(kBroken) == kMutants - 1);

}  // namespace

std::span<const Broken> all_broken() { return kBroken; }

const Broken* find_broken(std::string_view name) {
  for (const auto& each : kBroken) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

}  // namespace sim
}  // namespace millrace
