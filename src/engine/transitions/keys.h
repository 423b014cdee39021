// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/context.h"
#include "engine/machine/keys.h"
#include "engine/transitions/commands.h"

namespace millrace::engine {

// A new value of a key, or its end. Answers what is durable: with the key as it stands now when an
// earlier request with the same Idempotency-Key made it.
class WriteKey final : public Transition {
 public:
  WriteKey(Caller caller, KeyWrite write, Reply<kernel::KeyRow> reply);
  std::string_view name() const override { return "write_key"; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;
  void deliver(Deliveries&) override { reply_(row_); }
  void fail(const Error& error) override { reply_(error); }

 private:
  Caller caller_;
  KeyWrite write_;
  Reply<kernel::KeyRow> reply_;
  kernel::KeyRow row_;
};

}  // namespace millrace::engine
