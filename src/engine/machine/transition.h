// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"
#include "engine/machine/decision.h"

namespace millrace::engine {

class Context;
class Loaded;
struct Wanted;

// Which messages wait for each other. Shared: those of one number are decided one after the other,
// and while one of them is being committed the others wait. Exclusive: besides, only one of a
// batch is decided, because what it makes (a snapshot of the catalogue) changes between batches.
// Alone: decided when nothing else is being decided or committed, because it looks at what any of
// them may change (the leases of a worker).
struct Turn {
  enum class Kind : uint8_t { None, Shared, Exclusive, Alone };
  Kind kind = Kind::None;
  uint64_t of = 0;
  bool operator==(const Turn&) const = default;

  static Turn none() { return {}; }
  template <typename Tag>
  static Turn shared(Id<Tag> id) {
    return {id ? Kind::Shared : Kind::None, static_cast<uint64_t>(id.value)};
  }
  static Turn alone() { return {Kind::Alone, 0}; }
  static Turn exclusive(uint64_t of) { return {Kind::Exclusive, of}; }
  // Ids have 63 bits: the two kinds never meet. 0: none.
  uint64_t number() const { return kind == Kind::Exclusive ? of | uint64_t{1} << 63 : of; }
};

// Whose a message is; what becomes of one that cannot be handled depends on it (engine/fate.h).
enum class Whose : uint8_t {
  Asker,    // somebody hears the answer and may ask again
  Machine,  // completions, timers, stored messages: nobody else would send it again
  Routine,  // what the partition does by itself, again and again
  Burial,   // of another one: there is nothing after it
};

// What it does again and again; one of each is in hand.
enum class Routine : uint8_t { None, Sweep, Dispatch };

// What a message is about, for whoever has to do with it when it cannot be handled: logs,
// quarantine, the operator.
struct About {
  TenantId tenant;      // none: it is the machine's own
  int64_t subject = 0;  // an execution, an event
  // The stored row that it comes from: gone with its burial. 0: none, it only lives in memory.
  MessageId message;
  TimerId timer;
  // The execution that nobody would ever move again if this message were lost.
  ExecutionId holds_up;
  // It is news of that execution's end: whom it holds up is the workflow above.
  bool of_an_end = false;
  // It has ended and is about what is left open below it, which waits for ever without the message.
  bool of_those_below = false;
};

// One message: what it wants loaded, and the decision that it comes to. Each kind is one class in
// a file of its own in transitions/, and its whole decision is visible there.
//
// Lives on two threads one after the other: the sender's, the partition's. Never on two at once.
class Transition {
 public:
  virtual ~Transition() = default;
  // For logs, metrics and quarantine: `finish_run`.
  virtual std::string_view name() const = 0;
  virtual About about() const = 0;
  virtual Turn turn() const { return Turn::none(); }
  virtual void want(Wanted&) const {}
  // The execution whose tree it moves, once it is known: one batch at a time moves a tree.
  virtual ExecutionId tree(const Loaded&) const { return {}; }
  // The execution whose tree it writes to, once it is known: when that is in another partition's
  // shard, who asks is told so (engine/elsewhere.h) before anything is decided.
  virtual ExecutionId writes(const Loaded& rows) const { return tree(rows); }
  // An execution that it reads and writes nothing to: no version tells when what others have made
  // of it is not written, so that is waited for, also when it is of the same batch.
  virtual ExecutionId rests_on() const { return {}; }
  // It makes rows that have to lie in a shard of this partition: one without any cannot do it.
  virtual bool needs_shards() const { return true; }
  // Pure: the same context and rows give the same decision, and a decision that comes to nothing
  // is dropped. Errors: Needs and Spoiled (see decision.h), any other refuses the message; what
  // becomes of it then stands in engine/fate.h.
  virtual Decided decide(Context& ctx) const = 0;
  // It will not be handled: answers whoever asked. Called at most once, instead of the reply.
  virtual void fail(const Error&) {}
  virtual Whose whose() const { return Whose::Asker; }
  virtual Routine routine() const { return Routine::None; }
  // A process that died of it would find it again after its next start (engine/machine/in_hand.h).
  virtual bool comes_again() const { return whose() != Whose::Asker; }
};

}  // namespace millrace::engine
