// SPDX-License-Identifier: Apache-2.0
#include "engine/machine/executor.h"

#include <algorithm>
#include <chrono>

#include "engine/machine/loader.h"

namespace millrace::engine {
namespace {

// While a commit is syncing, waking up for less than this many messages is not worth it: they
// are taken when the commit is done.
constexpr size_t kWorthWaking = 64;
constexpr int kMaxDecisions = 16;

int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::unique_ptr<Transition> as_transition(std::unique_ptr<store::Step> step) {
  return std::unique_ptr<Transition>(static_cast<Transition*>(step.release()));
}

// Gathers the grants of one commit: one post per worker.
class CommitDeliveries final : public Deliveries {
 public:
  CommitDeliveries(WorkOutlet& outlet, const Executor::Callbacks& callbacks)
      : outlet_(outlet), callbacks_(callbacks) {}
  void grant(WorkerId worker, kernel::WorkOrder order) override {
    grants_[worker].push_back(std::move(order));
  }
  void cancel(WorkerId worker, const kernel::RunKey& key) override {
    cancels_.emplace_back(worker, key);
  }
  void watch(int64_t number, ExecutionId id, Reply<kernel::ExecutionRow> ended) override {
    callbacks_.watch(number, id, std::move(ended));
  }
  void flush() {
    for (auto& [worker, orders] : grants_) outlet_.grant(worker, std::move(orders));
    for (const auto& [worker, key] : cancels_) outlet_.cancel(worker, key);
  }

 private:
  WorkOutlet& outlet_;
  const Executor::Callbacks& callbacks_;
  std::map<WorkerId, std::vector<kernel::WorkOrder>> grants_;
  std::vector<std::pair<WorkerId, kernel::RunKey>> cancels_;
};

}  // namespace

class Executor::MemoryView final : public Memory {
 public:
  explicit MemoryView(Executor& executor) : executor_(executor) {}
  void timer_set(const kernel::TimerRow& timer) override {
    executor_.wheel_.add({timer.due, timer.tenant, timer.id});
  }
  void catalog_changed(std::shared_ptr<const Catalog> catalog) override {
    executor_.catalog_ = catalog;
    executor_.callbacks_.catalog_changed(std::move(catalog));
  }
  void worker_opened(const kernel::WorkerRow& worker, int busy_slots) override {
    executor_.slots_.open(worker.id, worker.slots - busy_slots);
  }
  void sweep_again() override { executor_.next_sweep_ = 0; }
  void granting_stopped() override { executor_.slots_.close_all(); }
  void follow_up(std::unique_ptr<Transition> next) override {
    next->submitted_ns = monotonic_ns();
    executor_.waiting_.fetch_add(1, std::memory_order_relaxed);
    executor_.ready_again_.push_back(std::move(next));
  }

 private:
  Executor& executor_;
};

Result<std::unique_ptr<Executor>> Executor::start(sql::Store& store, int64_t owner_epoch,
                                                  std::shared_ptr<const Catalog> catalog,
                                                  WorkOutlet& outlet, Options options,
                                                  Callbacks callbacks) {
  TRY(auto reader, store.open_reader());
  TRY(int64_t last_id, store::newest_id(*reader));
  TRY(auto depths, store::queue_depths(*reader, kernel::ShardSet::all()));
  auto executor = std::unique_ptr<Executor>(new Executor(
      std::move(reader), std::move(catalog), outlet, options, std::move(callbacks), last_id));
  for (const auto& depth : depths) executor->queued_[depth.tenant] = depth.waiting;
  store::Committer::Options commit_options;
  commit_options.owner_epoch = owner_epoch;
  auto* raw = executor.get();
  TRY(executor->committer_,
      store::Committer::start(
          store, commit_options,
          {.deliver = [raw](auto written) { raw->on_commit(std::move(written)); },
           .fatal = raw->callbacks_.fatal,
           .now_ms = raw->callbacks_.now_ms}));
  executor->thread_ = std::thread([raw] { raw->run(); });
  return executor;
}

Executor::Executor(std::unique_ptr<sql::Connection> reader, std::shared_ptr<const Catalog> catalog,
                   WorkOutlet& outlet, Options options, Callbacks callbacks, int64_t last_id)
    : reader_(std::move(reader)),
      catalog_(std::move(catalog)),
      outlet_(outlet),
      options_(options),
      callbacks_(std::move(callbacks)),
      ids_(options.node, last_id) {}

Executor::~Executor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  committer_.reset();  // commits what was handed over; its outcomes are delivered, not settled
}

// Sending

void Executor::submit(std::unique_ptr<Transition> message) {
  if (waiting_.load(std::memory_order_relaxed) >= static_cast<int64_t>(options_.max_waiting)) {
    message->fail(Error(ErrorKind::Busy, "ENG-0001",
                        "too many requests wait to be written; "
                        "try again in a second")
                      .with_retry_after(1000));
    return;
  }
  if (committer_->read_only()) {
    // The committer looks by itself whether there is space again; one message at a time may wait
    // for that.
    if (waiting_.load(std::memory_order_relaxed) > 0) {
      message->fail(
          Error(ErrorKind::Unavailable, sql::kFull, "the disk is full; nothing was stored")
              .with_retry_after(5000));
      return;
    }
  }
  submit_internal(std::move(message));
}

void Executor::submit_internal(std::unique_ptr<Transition> message) {
  std::vector<std::unique_ptr<Transition>> one;
  one.push_back(std::move(message));
  submit_internal(std::move(one));
}

void Executor::submit_internal(std::vector<std::unique_ptr<Transition>> messages) {
  if (messages.empty()) return;
  int64_t now = monotonic_ns();
  for (auto& message : messages) message->submitted_ns = now;
  waiting_.fetch_add(static_cast<int64_t>(messages.size()), std::memory_order_relaxed);
  bool wake;
  {
    std::lock_guard lock(mutex_);
    std::move(messages.begin(), messages.end(), std::back_inserter(inbox_));
    wake = sleeping_ && (!committer_->busy() || inbox_.size() >= kWorthWaking);
    if (wake) sleeping_ = false;
  }
  if (wake) wake_.notify_one();
}

void Executor::drain() {
  std::unique_lock lock(mutex_);
  wake_.notify_one();
  quiet_.wait(lock, [&] { return idle_ && inbox_.empty() && written_.empty(); });
}

// The loop

void Executor::run() {
  refill_wheel();
  std::vector<std::unique_ptr<Transition>> batch;
  std::vector<store::Written> written;
  while (wait_for_work(batch, written)) {
    handle_written(std::move(written));
    written.clear();
    for (auto& again : ready_again_) batch.push_back(std::move(again));
    ready_again_.clear();
    fire_due_timers();
    for (auto& due : ready_again_) batch.push_back(std::move(due));
    ready_again_.clear();
    if (work_waits_for_free_slots()) {
      batch.push_back(callbacks_.dispatch());
      waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!batch.empty()) decide_batch(std::move(batch));
    batch.clear();
  }
}

bool Executor::wait_for_work(std::vector<std::unique_ptr<Transition>>& batch,
                             std::vector<store::Written>& written) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) return false;
    int64_t now = callbacks_.now_ms();
    int64_t next = std::min(wheel_.next_wake(), next_sweep_);
    for (const auto& [not_before, message] : retries_) next = std::min(next, not_before);
    bool has_input = !inbox_.empty() && (undelivered_ == 0 || inbox_.size() >= kWorthWaking);
    if (has_input || !written_.empty() || !ready_again_.empty() || next <= now) break;
    idle_ = inbox_.empty() && undelivered_ == 0 && in_flight_.empty() && retries_.empty();
    if (idle_) quiet_.notify_all();
    sleeping_ = true;
    auto pause = std::chrono::milliseconds(std::min<int64_t>(next - now, 60'000));
    wake_.wait_for(lock, pause);
    sleeping_ = false;
    idle_ = false;
  }
  written.swap(written_);
  if (inbox_.size() <= options_.max_batch) {
    batch.swap(inbox_);
  } else {
    auto cut = inbox_.begin() + static_cast<ptrdiff_t>(options_.max_batch);
    std::move(inbox_.begin(), cut, std::back_inserter(batch));
    inbox_.erase(inbox_.begin(), cut);
  }
  return true;
}

// A slot can become free while the rows that wait for it are still being committed.
bool Executor::work_waits_for_free_slots() const {
  if (slots_.free() == 0) return false;
  int64_t queued = 0;
  for (const auto& [tenant, waiting] : queued_) queued += waiting;
  return queued > static_cast<int64_t>(granting_.size());
}

void Executor::fire_due_timers() {
  int64_t now = callbacks_.now_ms();
  if (now >= next_sweep_) {
    next_sweep_ = now + options_.sweep_ms;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    ready_again_.push_back(callbacks_.sweep());
  }
  if (wheel_.needs_refill(now)) refill_wheel();
  for (auto timer : wheel_.take_due(now)) {
    auto message = callbacks_.fire_timer(timer);
    message->submitted_ns = monotonic_ns();
    waiting_.fetch_add(1, std::memory_order_relaxed);
    ready_again_.push_back(std::move(message));
  }
  auto due = std::partition(retries_.begin(), retries_.end(),
                            [&](const auto& retry) { return retry.first > now; });
  for (auto it = due; it != retries_.end(); ++it) ready_again_.push_back(std::move(it->second));
  retries_.erase(due, retries_.end());
}

void Executor::refill_wheel() {
  int64_t until = callbacks_.now_ms() + kernel::TimerWheel::kHorizonMs;
  auto entries = store::timers_until(*reader_, kernel::ShardSet::all(), until,
                                     static_cast<int>(kernel::TimerWheel::kMaxEntries));
  if (!entries.ok()) {
    wheel_.refill({}, callbacks_.now_ms() + options_.retry_ms, true);
    return;
  }
  wheel_.refill(*entries, until, entries->size() < kernel::TimerWheel::kMaxEntries);
}

// Deciding

bool Executor::defer_if_in_flight(std::unique_ptr<Transition>& t) {
  if (t->key == 0) return false;
  auto found = in_flight_.find(t->key);
  if (found == in_flight_.end()) return false;
  found->second.push_back(std::move(t));
  return true;
}

// Known only once its rows are loaded: a completion does not know its root.
bool Executor::defer_if_tree_in_flight(std::unique_ptr<Transition>& t, const Loaded& rows) {
  const auto* row = rows.execution(t->about(rows));
  if (!row) return false;
  auto found = in_flight_.find(row->root.value);
  if (found == in_flight_.end()) return false;
  found->second.push_back(std::move(t));
  return true;
}

// The snapshot of the catalogue changes only between batches: the second writer waits for the
// first one's commit.
void Executor::leave_one_per_exclusive_key(std::vector<std::unique_ptr<Transition>>& batch) {
  std::unordered_set<int64_t> seen;
  std::erase_if(batch, [&](auto& t) {
    if (t->key >= 0 || seen.insert(t->key).second) return false;
    in_flight_[t->key].push_back(std::move(t));
    return true;
  });
}

void Executor::mark_in_flight(const Transition& t) {
  if (t.key != 0) in_flight_.try_emplace(t.key);
  for (const auto& row : t.changes.executions) in_flight_.try_emplace(row.id.value);
  for (const auto& moved : t.workflows) in_flight_.try_emplace(moved.root.value);
}

Wanted Executor::wanted_by(const std::vector<std::unique_ptr<Transition>>& batch) const {
  Wanted wanted;
  for (const auto& t : batch) {
    t->want(wanted);
    wanted.keys.insert(wanted.keys.end(), t->taken_keys.begin(), t->taken_keys.end());
    wanted.needs.insert(wanted.needs.end(), t->needs.begin(), t->needs.end());
  }
  if (wanted.queue_heads > 0) {
    wanted.queue_heads += slots_.free() + static_cast<int>(granting_.size());
  }
  return wanted;
}

void Executor::decide_batch(std::vector<std::unique_ptr<Transition>> batch) {
  std::erase_if(batch, [&](auto& t) { return defer_if_in_flight(t); });
  leave_one_per_exclusive_key(batch);
  Loaded rows;
  Wanted wanted = wanted_by(batch);
  std::vector<store::QueueDepth> queued;
  for (const auto& [tenant, waiting] : queued_) {
    if (waiting > 0) queued.push_back({tenant, waiting});
  }
  if (!queued.empty()) {
    // Another tenant begins each time.
    std::rotate(queued.begin(),
                queued.begin() + static_cast<ptrdiff_t>(tenant_turn_++ % queued.size()),
                queued.end());
  }
  if (auto loaded = Loader::load(*reader_, wanted, queued, workflows_, rows); !loaded.ok()) {
    for (auto& t : batch) {
      release_keys(*t);
      retry_later(std::move(t));
    }
    return;
  }
  std::erase_if(batch, [&](auto& t) { return defer_if_tree_in_flight(t, rows); });
  Context context(callbacks_.now_ms(), ids_, *catalog_, rows,
                  {.slots = slots_,
                   .expressions = expressions_,
                   .granting = granting_,
                   .workflows = workflows_,
                   .open_key = callbacks_.open_key,
                   .somebody_waits = !queued.empty()});
  std::vector<std::unique_ptr<store::Step>> steps;
  steps.reserve(batch.size());
  int64_t now_ns = monotonic_ns();
  for (auto& t : batch) {
    if (++t->decisions == 1 && t->submitted_ns > 0)
      callbacks_.decided(t->name(), now_ns - t->submitted_ns);
    auto decided = t->decide(context);
    if (t->again || (!decided.ok() && note_need(*t, decided.error()))) {
      decide_again(std::move(t), context);
      continue;
    }
    if (!decided.ok()) {
      context.forget_workflows(*t);
      undo(*t);
      release_keys(*t);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      t->fail(decided.error());
      continue;
    }
    add_workflow_changes(*t);
    if (t->changes.empty()) {
      // Nothing to write: answer at once.
      CommitDeliveries deliveries(outlet_, callbacks_);
      t->deliver(deliveries);
      deliveries.flush();
      settle(*t);
      release_keys(*t);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      continue;
    }
    Loader::apply(t->changes, rows);
    steps.push_back(std::move(t));
  }
  for (const auto& step : steps) mark_in_flight(static_cast<const Transition&>(*step));
  undelivered_ += static_cast<int64_t>(steps.size());
  committer_->submit(std::move(steps));
  workflows_.trim();
}

// The decision could not be made with what was loaded.
void Executor::decide_again(std::unique_ptr<Transition> t, Context& context) {
  context.forget_workflows(*t);
  undo(*t);
  if (!t->counts) --t->decisions;
  if (t->decisions > kMaxDecisions + static_cast<int>(t->needs.size()) || t->needs.size() > 1000) {
    auto buried = callbacks_.quarantine(*t, "it could not be decided");
    buried->submitted_ns = monotonic_ns();
    t->fail(Error(ErrorKind::Internal, "ENG-0002",
                  "the change could not be decided and was put into quarantine"));
    ready_again_.push_back(std::move(buried));
    return;
  }
  t->start_over();
  ready_again_.push_back(std::move(t));
}

void Executor::add_workflow_changes(Transition& t) {
  for (const auto& moved : t.workflows) {
    if (auto* live = workflows_.find(moved.workflow)) live->take_changes(t.changes);
  }
}

void Executor::forget_workflows(Transition& t) {
  for (const auto& moved : t.workflows) workflows_.drop(moved.workflow);
  t.workflows.clear();
}

// After the commit

void Executor::on_commit(std::vector<store::Written> written) {
  CommitDeliveries deliveries(outlet_, callbacks_);
  bool any = false;
  for (auto& w : written) {
    if (w.end != store::WriteEnd::Committed) continue;
    any = true;
    auto& t = static_cast<Transition&>(*w.step);
    t.deliver(deliveries);
    for (auto& [worker, order] : t.orders) deliveries.grant(worker, std::move(order));
    for (const auto& row : t.changes.executions) report_if_final(row);
    for (const auto& row : t.changes.new_executions) report_if_final(row);
  }
  deliveries.flush();
  if (any) callbacks_.committed();
  bool wake;
  {
    std::lock_guard lock(mutex_);
    if (written_.empty()) {
      written_ = std::move(written);
    } else {
      std::move(written.begin(), written.end(), std::back_inserter(written_));
    }
    wake = sleeping_;
    sleeping_ = false;
  }
  if (wake) wake_.notify_one();
}

void Executor::report_if_final(const kernel::ExecutionRow& row) {
  if (is_final(row.status)) callbacks_.ended(row);
}

void Executor::settle(Transition& t) {
  for (const auto& row : t.changes.enqueue) ++queued_[row.tenant];
  for (ExecutionId id : t.dequeued) granting_.erase(id);
  if (!t.changes.dequeue.empty()) {
    // A dequeue always comes with the execution's own row.
    for (const auto& row : t.changes.executions) {
      kernel::Of<ExecutionId> out{row.tenant, row.id};
      if (std::ranges::find(t.changes.dequeue, out) != t.changes.dequeue.end()) {
        --queued_[row.tenant];
      }
    }
  }
  MemoryView memory(*this);
  for (const auto& timer : t.changes.timers) memory.timer_set(timer);
  for (const auto& message : t.changes.messages) memory.follow_up(callbacks_.message(message));
  for (const auto& moved : t.workflows) {
    auto* live = workflows_.find(moved.workflow);
    if (live && live->over) workflows_.drop(moved.workflow);
  }
  t.settle(memory);
}

void Executor::undo(Transition& t) {
  for (const auto& [worker, count] : t.slots_taken) slots_.give_back(worker, count);
  for (ExecutionId id : t.dequeued) granting_.erase(id);
  t.slots_taken.clear();
  t.dequeued.clear();
  t.orders.clear();
}

void Executor::release_keys(Transition& t) {
  auto release = [&](int64_t key) {
    auto found = in_flight_.find(key);
    if (found == in_flight_.end()) return;
    for (auto& waiting : found->second) ready_again_.push_back(std::move(waiting));
    in_flight_.erase(found);
  };
  if (t.key != 0) release(t.key);
  for (const auto& row : t.changes.executions) release(row.id.value);
  for (const auto& moved : t.workflows) release(moved.root.value);
}

void Executor::retry_later(std::unique_ptr<Transition> t) {
  t->start_over();
  retries_.emplace_back(callbacks_.now_ms() + options_.retry_ms, std::move(t));
}

void Executor::handle_written(std::vector<store::Written> written) {
  using store::WriteEnd;
  undelivered_ -= static_cast<int64_t>(written.size());
  for (auto& w : written) {
    auto t = as_transition(std::move(w.step));
    release_keys(*t);
    if (w.end == WriteEnd::Committed) {
      settle(*t);
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      continue;
    }
    forget_workflows(*t);
    undo(*t);
    bool again = w.end == WriteEnd::Duplicate || w.end == WriteEnd::Stale;
    if (w.end == WriteEnd::Duplicate) t->taken_keys = t->changes.dedupe;
    if (again && t->decisions < kMaxDecisions) {
      t->start_over();
      ready_again_.push_back(std::move(t));
    } else if (w.end == WriteEnd::Unavailable && t->insists()) {
      retry_later(std::move(t));
    } else if (w.end == WriteEnd::Unavailable) {
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      t->fail(Error(ErrorKind::Unavailable, w.disk_full ? sql::kFull : sql::kBusy,
                    w.disk_full ? "the disk is full; nothing was stored"
                                : "the store is not available; nothing was stored: " + w.reason)
                  .with_retry_after(5000));
    } else {
      // Refused, or stale for ever: out of the way, with the reason kept.
      auto buried = callbacks_.quarantine(*t, w.reason);
      buried->submitted_ns = monotonic_ns();
      t->fail(Error(ErrorKind::Internal, "ENG-0002",
                    "the change could not be written and was put "
                    "into quarantine: " +
                        w.reason));
      ready_again_.push_back(std::move(buried));
    }
  }
}

}  // namespace millrace::engine
