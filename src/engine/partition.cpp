// SPDX-License-Identifier: Apache-2.0
#include "engine/partition.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/mutants.h"
#include "engine/elsewhere.h"
#include "engine/machine/keys.h"
#include "engine/machine/loader.h"
#include "engine/transitions/messages.h"
#include "kernel/servers.h"

namespace millrace::engine {

namespace {

constexpr int kMostSuspectsAtOnce = 64;
// How often a row that no message names is tried before they go on without it.
constexpr int kUnreadTries = 4;

// An exception is the fault of the message that it was thrown for.
constexpr std::string_view kThrown = "ENG-0006";
template <typename Fn>
auto guarded(Fn fn) -> decltype(fn()) {
  try {
    return fn();
  } catch (const std::exception& e) {
    return Error(ErrorKind::Internal, kThrown, fmt::format("an exception ended it: {}", e.what()));
  }
}

int64_t stored_id(const Transition& message) {
  About about = message.about();
  return about.message ? about.message.value : about.timer.value;
}

// It says that its message was handled, and nothing else.
bool only_handles(const Decision& decision) {
  const auto& changes = decision.changes;
  size_t handled = changes.acked.size() + changes.timers_done.size();
  if (handled == 0 || !decision.workflows.empty()) return false;
  size_t rows = 0;
  kernel::ChangesMembers::all_of([&]<auto kMember>() {
    rows += (changes.*kMember).size();
    return true;
  });
  return rows == handled;
}

}  // namespace

Result<std::unique_ptr<Partition>> Partition::open(std::unique_ptr<sql::Connection> reader,
                                                   std::shared_ptr<const Catalog> catalog,
                                                   Surroundings surroundings, Options options) {
  TRY(int64_t last_id, store::newest_id(*reader));
  TRY(auto depths, store::queue_depths(*reader, options.shards));
  TRY(auto workers, store::all_workers(*reader));
  // An id of a session must not come again, though no row is named by it: whoever still has the old
  // one would speak for another worker.
  for (const auto& worker : workers) last_id = std::max(last_id, worker.session.value);
  auto partition = std::unique_ptr<Partition>(new Partition(
      std::move(reader), std::move(catalog), std::move(surroundings), options, last_id));
  for (const auto& depth : depths) {
    partition->queued_[{depth.tenant, depth.needs}] = depth.waiting;
  }
  partition->absent_ = std::move(workers);
  // Those of several servers are looked after by CheckHomes.
  std::erase_if(partition->absent_,
                [](const auto& worker) { return worker.ttl_ms == 0 || worker.home != 0; });
  return partition;
}

Partition::Partition(std::unique_ptr<sql::Connection> reader,
                     std::shared_ptr<const Catalog> catalog, Surroundings surroundings,
                     Options options, int64_t last_id)
    : reader_(std::move(reader)),
      catalog_(std::move(catalog)),
      surroundings_(std::move(surroundings)),
      options_(options),
      ids_(mutant(Mutant::NodeShared) ? 0 : options.node, last_id) {}

void Partition::offer(Message message, Now now) {
  if (message->whose() != Whose::Asker) return add(std::move(message), now);
  asked_.push_back({.message = std::move(message), .submitted_ns = now.mono_ns, .asked = true});
}

// A stored message or timer that is in hand already is not taken twice.
void Partition::add(Message message, Now now) {
  if (int64_t stored = stored_id(*message); stored != 0) {
    bool again = mutant(Mutant::BroughtTwice) ||
                 (mutant(Mutant::TimersRefilledAtOnce) && message->about().timer);
    if (!in_hand_.insert(stored).second && !again) return;
    if (message->about().timer) ++firing_;
  }
  ready_.push_back({.message = std::move(message), .submitted_ns = now.mono_ns});
}

bool Partition::is_idle() const {
  return asked_.empty() && outdated_.empty() && ready_.empty() && alone_.empty() &&
         suspects_.empty() && retries_.empty() && in_flight_.empty() && in_flight_steps_ == 0 &&
         !sweeping_;
}

void Partition::drain() {
  draining_ = true;
  slots_.drain();
}

void Partition::wind_up() {
  drain();
  winding_up_ = true;
  std::erase_if(retries_, [&](const auto& put_off) {
    bool routine = put_off.second.message->whose() == Whose::Routine;
    if (routine) answered(put_off.second);
    return routine;
  });
}

void Partition::take_over(Partition& ended) {
  ASSERT(ended.in_flight_steps_ == 0);
  catalog_ = ended.catalog_;
  ids_ = IdSource(options_.node, std::max(ids_.last(), ended.ids_.last()));
  slots_ = std::move(ended.slots_);
  lender_ = std::move(ended.lender_);
  sessions_ = std::move(ended.sessions_);
  check_releases_after_ = ended.check_releases_after_;
  draining_ = ended.draining_;
  winding_up_ = ended.winding_up_;
  answered_ = std::exchange(ended.answered_, 0);
  auto take = [&](Attempt& attempt) {
    const Transition& message = *attempt.message;
    bool is_found_again = stored_id(message) != 0 || message.routine() != Routine::None;
    if (is_found_again) return;
    (attempt.asked ? asked_ : ready_).push_back(std::move(attempt));
  };
  for (auto* queue : {&ended.asked_, &ended.ready_, &ended.alone_}) {
    std::ranges::for_each(*queue, take);
    queue->clear();
  }
  std::ranges::for_each(ended.outdated_, take);
  for (auto& group : ended.suspects_) std::ranges::for_each(group, take);
  for (auto& [when, attempt] : ended.retries_) take(attempt);
  for (auto& [turn, waiting] : ended.in_flight_) std::ranges::for_each(waiting, take);
  ended.outdated_.clear();
  ended.suspects_.clear();
  ended.retries_.clear();
  ended.in_flight_.clear();
}

void Partition::end_sessions() {
  std::erase_if(sessions_, [&](const auto& each) {
    const auto& [worker, session] = each;
    if (!session.id) return false;
    slots_.close(worker);
    surroundings_.outlet.end(session.id);
    return true;
  });
}

void Partition::abandon(const Error& why) {
  lender_.refuse(why);
  auto give_up = [&](Attempt& attempt) {
    if (!attempt.asked) return;
    attempt.message->fail(why);
    ++answered_;
  };
  for (auto* queue : {&asked_, &ready_, &alone_}) {
    for (auto& attempt : *queue) give_up(attempt);
    queue->clear();
  }
  std::ranges::for_each(outdated_, give_up);
  for (auto& group : suspects_) std::ranges::for_each(group, give_up);
  for (auto& [when, attempt] : retries_) give_up(attempt);
  for (auto& [turn, waiting] : in_flight_) std::ranges::for_each(waiting, give_up);
  outdated_.clear();
  suspects_.clear();
  retries_.clear();
  in_flight_.clear();
}

// A turn

Result<Partition::Work> Partition::take(Now now) {
  collect_due(now);
  Work work;
  TRY(decide_what_is_there(now, work));
  in_flight_steps_ += static_cast<int64_t>(work.steps.size());
  look_for_slots(now);
  workflows_.trim();
  return work;
}

bool Partition::is_suspect(const Transition& message) const {
  return surroundings_.in_hand && surroundings_.in_hand->ends(item_of(message)) > 0;
}

// A burial that hands nobody over has nothing after it: it is made whatever has happened.
std::optional<Error> Partition::deadly(const Attempt& attempt) const {
  const Transition& message = *attempt.message;
  bool last = message.whose() == Whose::Burial && attempt.trouble == Trouble::Deadly;
  if (last || !surroundings_.in_hand) return std::nullopt;
  int ends = surroundings_.in_hand->ends(item_of(message));
  if (ends < InHand::kMostEnds) return std::nullopt;
  return Error(
      ErrorKind::Internal, kDeadly,
      fmt::format("the server has ended {} times while its {} was in hand", ends, message.name()));
}

std::span<const InHand::Item> Partition::items_of(const std::vector<Attempt>& batch) {
  noted_.clear();
  if (!surroundings_.in_hand) return {};
  for (const auto& attempt : batch) noted_.push_back(item_of(*attempt.message));
  return noted_;
}

Result<void> Partition::decide_what_is_there(Now now, Work& work) {
  if (!alone_.empty()) {
    if (in_flight_steps_ > 0) return {};
    std::vector<Attempt> one;
    one.push_back(std::move(alone_.front()));
    alone_.pop_front();
    if (auto why = deadly(one[0])) {
      meet_fate(std::move(one[0]), Trouble::Deadly, *why, now);
      return {};
    }
    return decide_batch(std::move(one), now, work);
  }
  auto batch = next_batch();
  if (!batch.empty()) TRY(decide_batch(std::move(batch), now, work));
  // Those that can be read are quick. One that cannot may have taken seconds: the rest comes after
  // what has arrived meanwhile.
  int64_t failed = failed_loads_;
  for (int i = 0; i < kMostSuspectsAtOnce && !suspects_.empty() && failed_loads_ == failed; ++i) {
    auto group = std::move(suspects_.front());
    suspects_.pop_front();
    TRY(decide_batch(std::move(group), now, work));
  }
  return {};
}

void Partition::take_again(Attempt attempt) {
  bool alone = attempt.message->turn().kind == Turn::Kind::Alone;
  if (attempt.suspect && !alone) {
    suspects_.emplace_back().push_back(std::move(attempt));
  } else {
    ready_.push_back(std::move(attempt));
  }
}

// Requests and the machine's own messages each have a share of their own: neither waits behind any
// number of the other.
std::vector<Attempt> Partition::next_batch() {
  std::vector<Attempt> batch;
  batch.reserve(std::min(ready_.size(), options_.max_batch) +
                std::min(asked_.size(), options_.max_batch));
  for (auto* queue : {&ready_, &asked_}) {
    for (size_t n = 0; n < options_.max_batch && !queue->empty(); ++n) {
      const Transition& next = *queue->front().message;
      bool alone = next.turn().kind == Turn::Kind::Alone || is_suspect(next);
      (alone ? alone_.emplace_back() : batch.emplace_back()) = std::move(queue->front());
      queue->pop_front();
    }
  }
  return batch;
}

bool Partition::wait_for_turn(Attempt& attempt) {
  Turn turn = attempt.message->turn();
  if (turn.kind == Turn::Kind::None || turn.kind == Turn::Kind::Alone) return false;
  auto found = in_flight_.find(turn.number());
  if (found == in_flight_.end()) return false;
  found->second.push_back(std::move(attempt));
  return true;
}

// Known only once its rows are loaded: a completion does not know its root.
bool Partition::wait_for_tree(Attempt& attempt, const Loaded& rows) {
  const auto* row = rows.execution(attempt.message->tree(rows));
  return row && wait_for(attempt, row->root);
}

// Or for the execution's own row, which is written without its tree when nothing above it moves.
bool Partition::wait_for_row(Attempt& attempt, ExecutionId id, const Loaded& rows) {
  const auto* row = rows.execution(id);
  return row && (wait_for(attempt, row->id) || wait_for(attempt, row->root));
}

bool Partition::wait_for(Attempt& attempt, ExecutionId id) {
  auto found = in_flight_.find(static_cast<uint64_t>(id.value));
  if (found == in_flight_.end()) return false;
  found->second.push_back(std::move(attempt));
  return true;
}

// Who counts with the same limit as a batch that is being committed is decided after that.
bool Partition::wait_for_gauge(Attempt& attempt, uint64_t turn) {
  auto found = turn == 0 ? in_flight_.end() : in_flight_.find(turn);
  if (found == in_flight_.end()) return false;
  --attempt.decisions;
  found->second.push_back(std::move(attempt));
  return true;
}

// What they make changes between batches only: the second one is decided in the next turn, when
// the first is being committed, and then waits for it.
void Partition::leave_one_per_exclusive_turn(std::vector<Attempt>& batch) {
  std::unordered_set<uint64_t> seen;
  std::erase_if(batch, [&](Attempt& attempt) {
    Turn turn = attempt.message->turn();
    if (turn.kind != Turn::Kind::Exclusive || seen.insert(turn.number()).second) return false;
    ready_.push_back(std::move(attempt));
    return true;
  });
}

Wanted Partition::wanted_by(const std::vector<Attempt>& batch) const {
  Wanted wanted;
  auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  for (const auto& attempt : batch) {
    attempt.message->want(wanted);
    wanted.without_unread |= attempt.failures >= kUnreadTries;
    append(wanted.keys, attempt.learned.taken_keys);
    append(wanted.needs, attempt.learned.needs);
  }
  if (wanted.queue_heads > 0) {
    wanted.queue_heads += slots_.free() + static_cast<int>(granting_.size());
  }
  return wanted;
}

// How many wait per tenant for workers that are there; another tenant begins each time.
std::vector<store::QueueDepth> Partition::queue_in_turn() {
  std::vector<store::QueueDepth> queued;
  for (const auto& [lane, waiting] : queued_) {
    bool is_offered = slots_.is_offered(lane.second) || slots_.has_borrowed(lane.second);
    if (waiting > 0 && is_offered) {
      queued.push_back({lane.first, lane.second, waiting});
    }
  }
  if (!queued.empty()) {
    std::ranges::rotate(queued,
                        queued.begin() + static_cast<ptrdiff_t>(tenant_turn_++ % queued.size()));
  }
  return queued;
}

Result<void> Partition::decide_batch(std::vector<Attempt> batch, Now now, Work& work) {
  std::erase_if(batch, [&](Attempt& attempt) { return wait_for_turn(attempt); });
  leave_one_per_exclusive_turn(batch);
  if (batch.empty()) return {};
  Holding holding(surroundings_.in_hand, items_of(batch));
  Loaded rows;
  auto queued = queue_in_turn();
  auto loaded = guarded([&] {
    return Loader::load(*reader_, wanted_by(batch),
                        {.shards = options_.shards,
                         .queued = queued,
                         .live = workflows_,
                         .catalog = *catalog_,
                         .retention = expiry_},
                        rows);
  });
  if (!loaded.ok()) return cannot_load(std::move(batch), loaded.error(), now);
  std::erase_if(batch, [&](Attempt& attempt) { return wait_for_tree(attempt, rows); });
  Batch shared{.now = now.wall_ms,
               .catalog = *catalog_,
               .rows = rows,
               .memory = {.shards = options_.shards,
                          .ids = ids_,
                          .slots = slots_,
                          .expressions = expressions_,
                          .granting = granting_,
                          .workflows = workflows_,
                          .open_key = surroundings_.open_key,
                          .retention = options_.retention,
                          .env_allowed = options_.env_allowed,
                          .waiting = queued,
                          .in_hand = surroundings_.in_hand,
                          .in_flight = [this](uint64_t turn) { return in_flight_.contains(turn); },
                          .api_url = &surroundings_.api_url},
               .spoiled = {},
               .gauges = {}};
  // A later one of the batch sees what an earlier one has decided, and does not wait for it.
  for (auto& attempt : batch) decide_one(std::move(attempt), shared, now, work);
  for (auto& decision : std::exchange(unwritten_, {})) {
    answer_unwritten(std::move(decision), rows, now);
  }
  return {};
}

// The batch is halved until the culprit stands alone; the others go on.
Result<void> Partition::cannot_load(std::vector<Attempt> batch, const Error& why, Now now) {
  if (why.code() == sql::kDamaged) return why;
  ++failed_loads_;
  if (why.code() == sql::kAway) {
    for (auto& attempt : batch) meet_fate(std::move(attempt), Trouble::Away, why, now);
    return {};
  }
  if (batch.size() == 1) {
    log_warn("message.not_loaded", {{"kind", batch[0].message->name()},
                                    {"subject", batch[0].message->about().subject},
                                    {"tries", batch[0].failures + 1},
                                    {"error", why.message()}});
    meet_fate(std::move(batch[0]), Trouble::Load, why, now);
    return {};
  }
  if (mutant(Mutant::BatchWaitsForCulprit)) {
    for (auto& attempt : batch) retries_.emplace(now.mono_ms() + 1000, std::move(attempt));
    return {};
  }
  auto middle = batch.begin() + static_cast<ptrdiff_t>(batch.size() / 2);
  suspects_.emplace_back(std::move_iterator(batch.begin()), std::move_iterator(middle));
  suspects_.emplace_back(std::move_iterator(middle), std::move_iterator(batch.end()));
  return {};
}

void Partition::decide_one(Attempt attempt, Batch& batch, Now now, Work& work) {
  bool may_wait = !mutant(Mutant::RerunOnUndurable);
  if (may_wait && wait_for_row(attempt, attempt.message->rests_on(), batch.rows)) return;
  if (++attempt.decisions == 1 && attempt.submitted_ns > 0) {
    surroundings_.observer.decided(attempt.message->name(), now.mono_ns - attempt.submitted_ns);
  }
  if (auto why = elsewhere(*attempt.message, batch.rows)) {
    return meet_fate(std::move(attempt), Trouble::Refused, *why, now);
  }
  if (surroundings_.in_hand) surroundings_.in_hand->take(item_of(*attempt.message));
  Context context(batch, attempt.learned);
  int64_t begun = surroundings_.mono_ns ? surroundings_.mono_ns() : 0;
  auto made = guarded([&] { return attempt.message->decide(context); });
  std::unique_ptr<Decision> unready;  // stays until it is undone
  if (context.lacks() && (made.ok() || made.error().code() != kThrown)) {
    if (made.ok()) unready = *std::move(made);
    made = needs_error();
  }
  if (made.ok()) take_workflows(**made);  // written out: the dearest part, where they keep much
  if (begun != 0) look_how_long(*attempt.message, begun);
  if (!made.ok()) {
    made.error().code() == kThrown ? context.undo_all() : context.undo();
    if (wait_for_gauge(attempt, context.waits_for_gauge())) return;
    return not_decided(std::move(attempt), made.error(), now);
  }
  auto decision = std::move(*made);
  decision->attempt = std::move(attempt);
  decided(std::move(decision), batch, work);
}

// What the machine itself sends knows what to do with another one's row.
std::optional<Error> Partition::elsewhere(const Transition& message, const Loaded& rows) const {
  if (message.whose() != Whose::Asker || options_.shards == kernel::ShardSet::all()) {
    return std::nullopt;
  }
  auto owner_of = [&](int shard) {
    return surroundings_.owner_of ? surroundings_.owner_of(shard) : kernel::kNobody;
  };
  if (const auto* row = rows.execution(message.writes(rows))) {
    int shard = kernel::shard_of(row->tenant, row->root.value);
    if (options_.shards.has(shard)) return std::nullopt;
    return elsewhere_error(owner_of(shard));
  }
  if (!options_.shards.empty() || !message.needs_shards()) return std::nullopt;
  return elsewhere_error(kAnybody);
}

void Partition::look_how_long(const Transition& message, int64_t begun_ns) {
  int64_t took_ms = (surroundings_.mono_ns() - begun_ns) / 1'000'000;
  if (took_ms <= kSlowDecisionMs) return;
  log_warn("decision.slow",
           {{"kind", message.name()}, {"subject", message.about().subject}, {"ms", took_ms}});
  surroundings_.observer.slow();
}

void Partition::take_workflows(Decision& decision) {
  for (const auto& moved : decision.workflows) {
    auto* live = workflows_.find(moved.workflow);
    if (!live) continue;
    live->take_changes(decision.changes);
    // One that has begun and ended here nobody else knows: it goes while it is at hand.
    if (live->over && live->version == 1) {
      workflows_.drop(moved.workflow);
    } else {
      workflows_.weigh(moved.workflow);
    }
  }
}

void Partition::decided(std::unique_ptr<Decision> decision, Batch& batch, Work& work) {
  if (decision->changes.empty()) {
    unwritten_.push_back(std::move(decision));
    return;
  }
  // No version of a row tells when that what it rests on is not written: what another one of its
  // batch has decided is waited for, and it is decided again.
  if (only_handles(*decision) && !mutant(Mutant::HandledOnUndurable) &&
      wait_for_row(decision->attempt, decision->attempt.message->tree(batch.rows), batch.rows)) {
    return give_back(*decision, slots_, granting_);
  }
  if (mutant(Mutant::AnswerBeforeCommit) && decision->reply && !decision->catalog) {
    auto grants = std::exchange(decision->grants, {});
    deliver_unwritten(*decision, surroundings_.outlet, surroundings_.observer);
    decision->reply = {};
    decision->grants = std::move(grants);
  }
  if (mutant(Mutant::OrderBeforeCommit)) {
    for (auto& [worker, order] : std::exchange(decision->grants, {})) {
      surroundings_.outlet.grant(worker, {order});
    }
  }
  const Transition& message = *decision->attempt.message;
  const auto* row = batch.rows.execution(message.tree(batch.rows));
  decision->key = row && !mutant(Mutant::KeyOfTheStep)
                      ? row->root.value
                      : static_cast<int64_t>(message.turn().number());
  Loader::apply(decision->changes, batch.rows);
  for (const auto& gauge : decision->changes.gauges) {
    batch.gauges.insert(number_of(GaugeName{gauge.tenant, gauge.name}));
  }
  mark_in_flight(*decision);
  work.steps.push_back(std::move(decision));
}

// With nothing to write it is answered at once, unless it may rest on what another one of its batch
// has decided, which is not durable yet: then it waits for that and is decided again.
void Partition::answer_unwritten(std::unique_ptr<Decision> decision, const Loaded& rows, Now now) {
  bool at_once = mutant(Mutant::AnswerOnUndurable);
  if (!at_once && (wait_for_turn(decision->attempt) || wait_for_tree(decision->attempt, rows))) {
    give_back(*decision, slots_, granting_);
    return;
  }
  deliver_unwritten(*decision, surroundings_.outlet, surroundings_.observer);
  settle(*decision, now);
}

void Partition::not_decided(Attempt attempt, const Error& why, Now now) {
  if (is_spoiled(why) && why.kind() == ErrorKind::Busy) --attempt.decisions;  // another's fault
  if (why.code() == kThrown) return meet_fate(std::move(attempt), Trouble::Undecided, why, now);
  if (!is_another_try(why)) return meet_fate(std::move(attempt), Trouble::Refused, why, now);
  size_t needs = attempt.learned.needs.size() - attempt.learned.gauges;
  bool may_try =
      needs <= 2 * kMostNeeds && attempt.learned.rounds <= kMostRounds &&
      fate_of(Trouble::Stale, Whose::Machine, attempt.decisions - attempt.learned.rounds).what ==
          Fate::What::Again;
  if (may_try) {
    ready_.push_back(std::move(attempt));
  } else {
    meet_fate(std::move(attempt), Trouble::Undecided,
              Error(ErrorKind::Internal, "ENG-0002", "it could not be decided"), now);
  }
}

}  // namespace millrace::engine
