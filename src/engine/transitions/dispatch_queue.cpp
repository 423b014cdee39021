// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/transition.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {
namespace {

// Starts what waits, when slots are free.
class DispatchQueue final : public Transition {
 public:
  std::string_view name() const override { return "dispatch_queue"; }
  About about() const override { return {}; }
  Whose whose() const override { return Whose::Routine; }
  Routine routine() const override { return Routine::Dispatch; }
  void want(Wanted& wanted) const override { wanted.queue_heads = 1; }
  Decided decide(Context& ctx) const override {
    start_waiting(ctx);
    TRY(work_off(ctx));
    return ctx.decided();
  }
};

}  // namespace

Message dispatch_queue() { return std::make_unique<DispatchQueue>(); }

}  // namespace millrace::engine
