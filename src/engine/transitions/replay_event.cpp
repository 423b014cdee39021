// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "engine/transitions/enforce.h"
#include "engine/transitions/request.h"
#include "engine/transitions/told_events.h"
#include "engine/transitions/work_off.h"
#include "rules/schedule.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// A copy of a past event, perhaps with another payload, against today's rules.
class ReplayEvent final : public Request<Ingested> {
 public:
  ReplayEvent(Caller caller, Replay replay, Reply<Ingested> reply)
      : Request(std::move(caller), std::move(reply)), replay_(std::move(replay)) {}
  std::string_view name() const override { return "replay_event"; }
  void want(Wanted& wanted) const override {
    want_answer(wanted, caller_);
    want_run(wanted, caller_);
    wanted.events.push_back({caller_.tenant, replay_.event});
  }
  Decided decide(Context& ctx) const override;

 private:
  Replay replay_;
};

Decided ReplayEvent::decide(Context& ctx) const {
  TRY(auto earlier, answered_before(ctx, caller_));
  if (earlier) return answer(ctx, {EventId{*earlier}, true});
  const auto* original = ctx.rows().event({caller_.tenant, replay_.event});
  if (!original) {
    return Error(ErrorKind::NotFound, "EVT-0002", fmt::format("no event {}", replay_.event.value));
  }
  if (!replay_.edited_json.empty() && rules::told_by_server(original->trigger)) {
    return Error(ErrorKind::Invalid, "EVT-0003",
                 fmt::format("event {} of '{}' tells what the server has done itself: it is "
                             "replayed as it is, not with another payload",
                             original->id.value, original->trigger));
  }
  Value payload = replay_.payload.value_or(Value());
  if (!replay_.payload) {
    TRY(payload, parse_json(original->payload_json, kOwnJson));
  }
  EventRow row = *original;
  row.id = ctx.new_root<EventId>(caller_.tenant);
  row.replay_of = original->id;
  if (!replay_.edited_json.empty()) row.payload_json = replay_.edited_json;
  row.chain = std::max(original->chain, chain_of(ctx, caller_));
  row.trace = caller_.trace;
  row.created = ctx.now();
  Ingested done{row.id, false};
  remember_answer(ctx, caller_, row.id.value);
  note_event(ctx, row);
  TRY(enforce(ctx, row, payload));
  ctx.changes.events.push_back(std::move(row));
  TRY(work_off(ctx));
  return answer(ctx, done);
}

}  // namespace

Message command::replay(Caller caller, Replay replay, Reply<Ingested> reply) {
  return std::make_unique<ReplayEvent>(std::move(caller), std::move(replay), std::move(reply));
}

}  // namespace millrace::engine
