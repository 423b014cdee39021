// SPDX-License-Identifier: Apache-2.0
#include "engine/transitions/limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/crypto.h"
#include "base/json.h"
#include "base/mix.h"
#include "base/mutants.h"
#include "base/text.h"
#include "base/time.h"
#include "engine/transitions/parameters.h"
#include "engine/transitions/waiting.h"
#include "kernel/gauges.h"
#include "packs/policy.h"
#include "policy/gcra.h"

namespace millrace::engine {

using namespace kernel;

namespace {

// One limit that an execution is held against.
struct Asked {
  char what = kConcurrencyGauge;
  const PolicyEntry* policy = nullptr;
  std::string name;
  LoadedGauge* gauge = nullptr;

  const std::string& ref() const { return policy->spec.ref; }
  WhenFull then() const {
    if (what == kConcurrencyGauge) return policy->spec.concurrency->then;
    return what == kRateGauge ? policy->spec.rate->then : WhenFull::Refuse;
  }
};

// What the values of these parameters are counted under.
// Secret ones are counted nowhere: a digest of few possible values tells which it was.
std::string digest_of(const std::vector<std::string>& by, const Action& action,
                      const Value& parameters) {
  Value values = Value::list();
  for (const auto& name : by) {
    auto found = std::ranges::find(action.parameters, name, &Parameter::name);
    if (found == action.parameters.end() || !found->secret) values.push_back(parameters[name]);
  }
  if (values.size() == 0) return {};
  auto digest = auth::sha256(to_json(values));
  return hex_encode(auth::bytes_of(digest).substr(0, 16));
}

// False: some of them are not at hand, and the decision is made again. `is_paid`: its start is
// counted already.
bool ask(Context& ctx, TenantId tenant, std::string_view action_ref, const Action& action,
         const Value& parameters, std::vector<Asked>& asked, bool is_paid = false) {
  for (const auto* entry : ctx.catalog(tenant).policies().of(action_ref)) {
    const PolicySpec& spec = entry->spec;
    auto add = [&](char what, const std::vector<std::string>& by) {
      asked.push_back({what, entry, gauge_name(spec.ref, what, digest_of(by, action, parameters))});
    };
    if (spec.quota && !is_paid) add(kQuotaGauge, spec.quota->by);
    if (spec.rate && !is_paid) add(kRateGauge, spec.rate->by);
    // A workflow of a pack would stand in the way of its own steps.
    bool stands_aside = !spec.pack.empty() && action.runner == Runner::Workflow;
    if (spec.concurrency && !stands_aside) add(kConcurrencyGauge, spec.concurrency->by);
  }
  bool all = true;
  for (auto& each : asked) {
    each.gauge = ctx.gauge(tenant, each.name);
    all &= each.gauge != nullptr;
  }
  return all;
}

policy::Rate rate_of(const RateLimit& rate) {
  return {.limit = rate.limit, .per_ms = rate.per_ms, .burst = rate.burst};
}

int64_t window_at(const QuotaLimit& quota, int64_t now) { return now - now % quota.per_ms; }

// As it was counted. Of another rate than now it may be fuller than this one can ever be, and would
// be for as long as the other one lasts: then the next may start, and all after it by this rate.
policy::Gcra bucket_of(const Asked& asked, int64_t now) {
  const GaugeRow& row = asked.gauge->row;
  policy::Rate rate = rate_of(*asked.policy->spec.rate);
  bool is_of_another = row.window != rate.span_us();
  int64_t most = now * 1000 + rate.span_us() - rate.distance_us();
  return policy::Gcra(is_of_another ? std::min(row.full_at_us, most) : row.full_at_us);
}

// How long until it has room; 0: now. It only looks.
int64_t wait_of_rate(const Asked& asked, int64_t now) {
  return bucket_of(asked, now).take(rate_of(*asked.policy->spec.rate), now);
}

bool has_room(const Asked& asked, int64_t now) {
  if (mutant(Mutant::LimitNotCounted)) return true;
  const GaugeRow& row = asked.gauge->row;
  const PolicySpec& spec = asked.policy->spec;
  switch (asked.what) {
    case kQuotaGauge:
      return row.window != window_at(*spec.quota, now) || row.used < spec.quota->limit;
    case kRateGauge: return wait_of_rate(asked, now) == 0;
    default: return row.held < spec.concurrency->limit;
  }
}

// The error of a limit that refuses; none: it does not.
std::optional<Error> refusal(const Asked& asked, int64_t now) {
  if (asked.then() != WhenFull::Refuse || has_room(asked, now)) return std::nullopt;
  if (asked.what == kQuotaGauge) {
    const auto& quota = *asked.policy->spec.quota;
    int64_t next = window_at(quota, now) + quota.per_ms;
    return Error(ErrorKind::Busy, "POL-0101",
                 fmt::format("policy '{}': its {} of this {} are used; there are more from {} on",
                             asked.ref(), quota.limit, quota.per_ms == 3'600'000 ? "hour" : "day",
                             to_rfc3339(next)))
        .with_retry_after(next - now);
  }
  const auto& rate = *asked.policy->spec.rate;
  int64_t wait = wait_of_rate(asked, now);
  return Error(ErrorKind::Busy, "POL-0102",
               fmt::format("policy '{}': at most {} start in {}; the next may at {}", asked.ref(),
                           rate.limit, packs::span_text(rate.per_ms), to_rfc3339(now + wait)))
      .with_retry_after(wait);
}

bool is_fresh_row(const ExecutionRow& row) { return row.version == 1; }

void look_again(Context& ctx, const ExecutionRow& row, const LoadedGauge& gauge) {
  if (gauge.row.waiting <= 0) return;
  const PlaceRow* first = gauge.first();
  ExecutionId execution = first ? first->execution : row.id;  // who looks then finds it
  ExecutionId root = first ? first->root : row.root;
  auto is_told = [&](const MessageRow& message) {
    return message.kind == MessageKind::LookAtLimit && message.body_json == gauge.row.name &&
           message.subject == execution.value;
  };
  if (std::ranges::any_of(ctx.changes.messages, is_told)) return;
  ctx.changes.messages.push_back({.id = ctx.new_id<MessageId>(),
                                  .tenant = row.tenant,
                                  .shard = shard_of(row.tenant, root.value),
                                  .kind = MessageKind::LookAtLimit,
                                  .subject = execution.value,
                                  .body_json = gauge.row.name,
                                  .created = ctx.now()});
}

PlaceRow place_of(const ExecutionRow& row, const std::string& gauge, PlaceState state) {
  return {.tenant = row.tenant,
          .gauge = gauge,
          .execution = row.id,
          .root = row.root,
          .state = state,
          .rank = row.created + rank_offset_ms(row.priority)};
}

void leave(Context& ctx, const ExecutionRow& row, const std::string& name, Counted::How how) {
  LoadedGauge* gauge = ctx.gauge(row.tenant, name);
  if (!gauge) return;
  if (how == Counted::How::Waits) {
    --gauge->row.waiting;
  } else {
    --gauge->row.held;
  }
  ctx.count(*gauge);
  PlaceRow place = place_of(row, name, PlaceState::Waits);
  place.gone = true;
  ctx.put_place(*gauge, std::move(place));
  look_again(ctx, row, *gauge);
}

// An execution above it that has a place there: it would wait for its own end.
const ExecutionRow* holder_above(const Context& ctx, const ExecutionRow& row,
                                 const std::string& gauge) {
  for (const auto* above = ctx.execution(row.parent); above; above = ctx.execution(above->parent)) {
    if (counted_of(above->limits).holds(gauge)) return above;
  }
  return nullptr;
}

void end_by_policy(Context& ctx, ExecutionId id, ExecutionStatus status, std::string_view why) {
  finish(ctx, id, status, FailureClass::Policy,
         Value::map({{"output", Value()}, {"error", why}, {"message", why}}));
}

std::string names_of(const std::vector<PlaceRow>& holders) {
  constexpr size_t kShown = 3;
  std::string names;
  for (size_t i = 0; i < std::min(kShown, holders.size()); ++i) {
    names += fmt::format("{}{}", i > 0 ? ", " : "", holders[i].execution.value);
  }
  if (holders.size() > kShown) names += ", ...";
  return names;
}

std::string why_it_waits_at(const Asked& asked, bool is_behind, int64_t now) {
  const GaugeRow& row = asked.gauge->row;
  std::string why;
  if (asked.what == kRateGauge) {
    const auto& rate = *asked.policy->spec.rate;
    why = fmt::format("waits for policy '{}': {} may start in {}", asked.ref(), rate.limit,
                      packs::span_text(rate.per_ms));
    if (!is_behind)
      why += fmt::format("; it may at {}", to_rfc3339(now + wait_of_rate(asked, now)));
  } else {
    why = fmt::format("waits for policy '{}': {} of {} are at work ({})", asked.ref(), row.held,
                      asked.policy->spec.concurrency->limit, names_of(asked.gauge->holders));
  }
  return is_behind ? why + "; others wait before it" : why;
}

// How many of these were asked for after it. Those that are not loaded come behind the last.
int64_t newer_than(ExecutionId id, const std::vector<PlaceRow>& places, int64_t count) {
  int64_t newer = std::ranges::count_if(places, [&](const PlaceRow& place) {
    return place.execution > id && place.state != PlaceState::Leaves;
  });
  bool is_before_all = !places.empty() && id < places.back().execution;
  return newer + (is_before_all ? count - std::ssize(places) : 0);
}

// The newest stay or come in, as many as there is room for: those at work that are not among them
// are told to make room. Age is when it was asked for, not its place in the queue. False: what asks
// is not among them itself, and ends.
bool make_room(Context& ctx, const ExecutionRow& row, const Asked& asked, bool is_in_queue) {
  LoadedGauge& gauge = *asked.gauge;
  int64_t limit = asked.policy->spec.concurrency->limit;
  auto newer = [&](ExecutionId id) {
    return newer_than(id, gauge.holders, gauge.row.held) +
           newer_than(id, gauge.waiting, gauge.row.waiting);
  };
  if (newer(row.id) >= limit) return false;
  std::vector<PlaceRow> older;
  for (const PlaceRow& place : gauge.holders) {
    bool is_older = place.execution < row.id && place.state != PlaceState::Leaves;
    if (is_older && newer(place.execution) + (is_in_queue ? 0 : 1) >= limit) older.push_back(place);
  }
  for (PlaceRow& place : older) {
    place.state = PlaceState::Leaves;
    ctx.changes.messages.push_back({.id = ctx.new_id<MessageId>(),
                                    .tenant = place.tenant,
                                    .shard = shard_of(place.tenant, place.root.value),
                                    .kind = MessageKind::CancelExecution,
                                    .subject = place.execution.value,
                                    .created = ctx.now()});
    ctx.put_place(gauge, place);
    ctx.count(gauge);
  }
  return true;
}

// It waits there, and nowhere else.
void wait_at(Context& ctx, ExecutionId id, const Asked& asked, const Counted& was, bool is_behind) {
  LoadedGauge& gauge = *asked.gauge;
  bool stays = was.how == Counted::How::Waits && was.gauges.front() == asked.name;
  if (was.how == Counted::How::Waits && !stays) stop_waiting(ctx, id);
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  if (!is_fresh_row(row)) ctx.changes.timers_of_done.push_back({row.tenant, id});
  if (!stays) {
    ++gauge.row.waiting;
    ctx.count(gauge);
    ctx.put_place(gauge, place_of(row, asked.name, PlaceState::Waits));
  }
  row.status = ExecutionStatus::Delayed;
  row.limits = waits_at(asked.name, was.is_paid);
  row.held = why_it_waits_at(asked, is_behind, ctx.now());
  if (is_behind) {
    if (has_room(asked, ctx.now())) look_again(ctx, row, gauge);
  } else if (asked.what == kRateGauge) {
    int64_t wait = std::max<int64_t>(wait_of_rate(asked, ctx.now()), 1);
    set_timer(ctx, row, TimerKind::Wake, ctx.now() + wait);
  }
}

int64_t idle_at(const Asked& asked) {
  const GaugeRow& row = asked.gauge->row;
  if (asked.what == kQuotaGauge) return row.window + asked.policy->spec.quota->per_ms;
  return row.full_at_us / 1000;
}

void take(Context& ctx, ExecutionId id, std::vector<Asked>& all, const Counted& was) {
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  std::vector<std::string> held;
  int64_t now = ctx.now();
  for (Asked& asked : all) {
    GaugeRow& gauge = asked.gauge->row;
    const PolicySpec& spec = asked.policy->spec;
    if (asked.what == kQuotaGauge) {
      int64_t window = window_at(*spec.quota, now);
      gauge.used = gauge.window == window ? gauge.used + 1 : 1;
      gauge.window = window;
    } else if (asked.what == kRateGauge) {
      policy::Rate rate = rate_of(*spec.rate);
      policy::Gcra gcra = bucket_of(asked, now);
      (void)gcra.take(rate, now);
      gauge.full_at_us = gcra.full_at_us();
      gauge.window = rate.span_us();
    } else {
      ++gauge.held;
      held.push_back(asked.name);
    }
    gauge.idle_at = std::max(now, idle_at(asked));
    ctx.count(*asked.gauge);
  }
  if (was.how == Counted::How::Waits) {
    if (LoadedGauge* gauge = ctx.gauge(row.tenant, was.gauges.front())) {
      --gauge->row.waiting;
      ctx.count(*gauge);
      PlaceRow place = place_of(row, was.gauges.front(), PlaceState::Waits);
      place.gone = true;
      ctx.put_place(*gauge, std::move(place));
    }
  }
  for (Asked& asked : all) {
    if (asked.what != kConcurrencyGauge) continue;
    ctx.put_place(*asked.gauge, place_of(row, asked.name, PlaceState::Holds));
  }
  if (was.how == Counted::How::Waits) {
    auto same = [&](const Asked& asked) { return asked.name == was.gauges.front(); };
    auto asked = std::ranges::find_if(all, same);
    bool is_full = asked != all.end() && asked->what == kConcurrencyGauge && !has_room(*asked, now);
    LoadedGauge* gauge = ctx.gauge(row.tenant, was.gauges.front());
    if (gauge && !is_full) look_again(ctx, row, *gauge);
    if (!is_fresh_row(row)) ctx.changes.timers_of_done.push_back({row.tenant, id});
  }
  row.limits = holds_at(held);
  row.held.clear();
}

}  // namespace

Result<void> check_may_start(Context& ctx, const StartRequest& request, const Action& action,
                             const Value& parameters) {
  if (ctx.catalog(request.tenant).policies().empty()) return {};
  std::vector<Asked> asked;
  if (!ask(ctx, request.tenant, action.ref, action, parameters, asked)) return {};
  for (const auto& each : asked) {
    if (auto refused = refusal(each, ctx.now())) return std::move(*refused);
  }
  return {};
}

bool let_in(Context& ctx, ExecutionId id, const Action& action, const Value& parameters) {
  const ExecutionRow& row = *ctx.execution(id);
  Counted was = counted_of(row.limits);
  if (was.how == Counted::How::Holds) return true;
  bool is_in_queue = was.how == Counted::How::Waits;
  if (!is_in_queue && ctx.catalog(row.tenant).policies().empty()) return true;
  std::vector<Asked> asked;
  bool all = ask(ctx, row.tenant, row.action, action, parameters, asked, was.is_paid);
  if (is_in_queue) all &= ctx.gauge(row.tenant, was.gauges.front()) != nullptr;
  if (!all) return false;
  if (asked.empty() && !is_in_queue) return true;
  int64_t now = ctx.now();
  for (const auto& each : asked) {
    if (auto refused = refusal(each, now)) {
      end_by_policy(ctx, id, ExecutionStatus::Failed, refused->message());
      return false;
    }
  }
  auto is_behind = [&](const Asked& each) {
    return each.what != kQuotaGauge && each.gauge->somebody_before(id) &&
           !mutant(Mutant::LimitNotCounted);
  };
  for (const auto& each : asked) {
    if (each.then() != WhenFull::CancelNew || (has_room(each, now) && !is_behind(each))) continue;
    end_by_policy(
        ctx, id, ExecutionStatus::Canceled,
        fmt::format("policy '{}': {} of {} are at work ({})", each.ref(), each.gauge->row.held,
                    each.policy->spec.concurrency->limit, names_of(each.gauge->holders)));
    return false;
  }
  for (const auto& each : asked) {
    bool behind = is_behind(each);
    bool may = has_room(each, now) && !behind;
    bool stays = is_in_queue && was.gauges.front() == each.name;
    bool newest_wins = each.then() == WhenFull::CancelOldest && (!may || stays);
    if (newest_wins && !make_room(ctx, row, each, stays)) {
      end_by_policy(ctx, id, ExecutionStatus::Canceled,
                    fmt::format("policy '{}': newer ones go before it", each.ref()));
      return false;
    }
    if (may) continue;
    if (each.what == kConcurrencyGauge) {
      if (const auto* above = holder_above(ctx, row, each.name)) {
        end_by_policy(ctx, id, ExecutionStatus::Failed,
                      fmt::format("policy '{}' has no room, and execution {} above it has a place "
                                  "there: it would wait for its own end",
                                  each.ref(), above->id.value));
        return false;
      }
    }
    wait_at(ctx, id, each, was, behind);
    return false;
  }
  take(ctx, id, asked, was);
  return true;
}

Result<void> let_in_now(Context& ctx, ExecutionId id, const Action& action,
                        const Value& parameters) {
  const ExecutionRow& row = *ctx.execution(id);
  std::vector<Asked> asked;
  if (!ask(ctx, row.tenant, row.action, action, parameters, asked)) return needs_error();
  for (const auto& each : asked) {
    bool waits = each.what != kQuotaGauge && each.gauge->somebody_before(id);
    if (has_room(each, ctx.now()) && !waits) continue;
    return Error(ErrorKind::Busy, "POL-0103",
                 fmt::format("policy '{}' has no room now, and a run that goes on from the middle "
                             "cannot wait: try it again later",
                             each.ref()));
  }
  if (!asked.empty()) take(ctx, id, asked, {});
  return {};
}

bool may_find_room(Context& ctx, const ExecutionRow& row, LoadedGauge& gauge) {
  std::string_view name = gauge.row.name;
  size_t slash = name.find('/');
  const auto* entry = ctx.catalog(row.tenant).policies().find(name.substr(0, slash));
  if (!entry || !entry->spec.enabled || slash + 1 >= name.size()) return true;
  Asked asked{name[slash + 1], entry, gauge.row.name, &gauge};
  switch (asked.what) {
    case kConcurrencyGauge: return !entry->spec.concurrency || has_room(asked, ctx.now());
    case kRateGauge:
      return !entry->spec.rate || !ctx.rows().has_delay(row.id) || has_room(asked, ctx.now());
    default: return true;
  }
}

void leave_limits(Context& ctx, ExecutionId id) {
  if (ctx.execution(id)->limits.empty() || mutant(Mutant::PlaceKept)) return;
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  Counted was = counted_of(row.limits);
  for (const auto& gauge : was.gauges) leave(ctx, row, gauge, was.how);
  row.limits.clear();
}

void tell_first(Context& ctx, const ExecutionRow& row, const LoadedGauge& gauge) {
  look_again(ctx, row, gauge);
}

void stop_waiting(Context& ctx, ExecutionId id) {
  Counted was = counted_of(ctx.execution(id)->limits);
  if (was.how != Counted::How::Waits) return;
  leave_limits(ctx, id);
  if (was.is_paid) ctx.edit(*ctx.execution(id)).limits = kPaid;
}

void leave_for_now(Context& ctx, ExecutionId id) {
  Counted was = counted_of(ctx.execution(id)->limits);
  leave_limits(ctx, id);
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  if (was.is_paid || was.how == Counted::How::Holds) row.limits = kPaid;
  // The one that told it when to look for room: it asks anew.
  bool has_timer = was.how == Counted::How::Waits && !is_fresh_row(row);
  if (has_timer) ctx.changes.timers_of_done.push_back({row.tenant, id});
}

namespace {

// Which of those that wait for the same reason comes back first is not left to chance alone: the
// same execution waits the same time in every decision.
int64_t delay_of(const RetryRule& retry, const ExecutionRow& row) {
  double delay = static_cast<double>(retry.delay_ms);
  for (int i = 0; i < row.retries && delay < static_cast<double>(retry.most_delay_ms); ++i) {
    delay *= retry.backoff;
  }
  delay = std::min(delay, static_cast<double>(retry.most_delay_ms));
  uint64_t drawn =
      mix64(static_cast<uint64_t>(row.id.value) * kGolden64 + static_cast<uint64_t>(row.retries));
  double share = static_cast<double>(drawn % 2001) / 1000.0 - 1;  // from -1 to 1
  return static_cast<int64_t>(delay * (1 + retry.jitter * share));
}

// What `held` keeps of a message.
std::string beginning_of(std::string_view why) {
  constexpr size_t kMost = 500;
  if (why.size() <= kMost) return std::string(why);
  size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(why[end]) & 0xc0) == 0x80) --end;
  return fmt::format("{} ...", why.substr(0, end));
}

const PolicyEntry* wants_retry(Context& ctx, const ExecutionRow& row, ExecutionStatus end) {
  const auto* entry = ctx.catalog(row.tenant).policies().retry_of(row.action);
  if (!entry) return nullptr;
  const RetryRule& retry = *entry->spec.retry;
  bool is_meant = (end == ExecutionStatus::Failed && retry.on_failed) ||
                  (end == ExecutionStatus::Timeout && retry.on_timeout);
  bool may = is_meant && row.retries < retry.count && (retry.of_steps || !row.parent) &&
             row.status != ExecutionStatus::Canceling;
  return may && !is_of_no_use(ctx, row) ? entry : nullptr;
}

}  // namespace

bool retry_by_policy(Context& ctx, ExecutionId id, ExecutionStatus end, std::string_view why) {
  const auto* entry = wants_retry(ctx, *ctx.execution(id), end);
  if (!entry) return false;
  const RetryRule& retry = *entry->spec.retry;
  leave_limits(ctx, id);
  std::erase(ctx.launched, id);
  ExecutionRow& row = ctx.edit(*ctx.execution(id));
  if (row.status == ExecutionStatus::Pending) close_inquiry(ctx, row, end);
  int64_t delay = delay_of(retry, row);
  if (!row.worker && !is_fresh_row(row)) ctx.changes.timers_of_done.push_back({row.tenant, id});
  row.retries += 1;
  row.held = fmt::format("attempt {} has ended as {}{}{}: policy '{}' tries it again, {} of {}",
                         row.attempt, to_string(end), why.empty() ? "" : ": ", beginning_of(why),
                         entry->spec.ref, row.retries, retry.count);
  row.attempt += 1;
  row.worker = {};
  row.failure = FailureClass::None;
  row.started = 0;
  row.status = ExecutionStatus::Delayed;
  set_timer(ctx, row, TimerKind::Wake, ctx.now() + delay);
  if (is_held_back(ctx, row)) {
    hold_back(ctx, id);
    return true;
  }
  note_update(ctx, row);
  return true;
}

Result<void> retry_workflow(Context& ctx, ExecutionId id) {
  const ExecutionRow row = *ctx.execution(id);
  const auto* entry = wants_retry(ctx, row, row.status);
  if (!entry || row.parent) return {};
  StartRequest request;
  request.tenant = row.tenant;
  request.action = row.action;
  TRY(request.parameters, given_parameters(row));
  request.inherited_env = row.env_json;
  request.priority = row.priority;
  request.timeout_ms = row.timeout_ms;
  request.original = row.id;
  request.identity = row.identity;
  request.trace = row.trace;
  request.retries = row.retries + 1;
  request.delay_ms = std::max<int64_t>(delay_of(*entry->spec.retry, row), 1);
  TRY(start_execution(ctx, request));
  return {};
}

}  // namespace millrace::engine
