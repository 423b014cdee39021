// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/context.h"
#include "engine/machine/transition.h"
#include "engine/transitions/commands.h"
#include "engine/transitions/idempotency.h"

namespace millrace::engine {

// A message from outside: somebody waits for its answer.
template <typename Answer>
class Request : public Transition {
 public:
  Request(Caller caller, Reply<Answer> reply)
      : caller_(std::move(caller)), reply_(std::move(reply)) {}
  About about() const override { return {.tenant = caller_.tenant}; }
  void fail(const Error& error) override { reply_(error); }

 protected:
  // Answered once the decision is durable.
  std::unique_ptr<Decision> answer(Context& ctx, Answer value) const {
    return ctx.decided(
        [this, value = std::move(value)](Deliveries&) mutable { reply_(std::move(value)); });
  }
  Caller caller_;
  Reply<Answer> reply_;
};

}  // namespace millrace::engine
