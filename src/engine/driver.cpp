// SPDX-License-Identifier: Apache-2.0
#include "engine/driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "async/thread.h"
#include "engine/elsewhere.h"

namespace millrace::engine {

namespace {

// While a commit is syncing, a turn for less than this many messages is not worth it: they are
// taken when the commit is done.
constexpr size_t kWorthWaking = 64;
constexpr int64_t kLongestSleepMs = 60'000;

Error busy() {
  return Error(ErrorKind::Busy, "ENG-0001",
               "too many requests wait to be written; try again in a second")
      .with_retry_after(1000);
}

Error disk_full() {
  return Error(ErrorKind::Unavailable, sql::kFull, "the disk is full; nothing was stored")
      .with_retry_after(5000);
}

Error stopping() {
  return Error(ErrorKind::Unavailable, "ENG-0005",
               "the server is stopping; nothing was stored: send it again to the next one")
      .with_retry_after(5000);
}

}  // namespace

Result<std::unique_ptr<Driver>> Driver::start(sql::Store& store,
                                              std::unique_ptr<Partition> partition,
                                              Surroundings surroundings, Options options,
                                              Clock clock,
                                              std::function<void(const Error&)> fatal) {
  auto driver = std::unique_ptr<Driver>(new Driver(std::move(partition), std::move(surroundings),
                                                   options, std::move(clock), std::move(fatal)));
  auto* raw = driver.get();
  TRY(driver->committer_,
      store::Committer::start(
          store, options.committer,
          {.deliver = [raw](auto written) { raw->on_commit(std::move(written)); },
           .fatal = raw->fatal_,
           .now_ms = raw->clock_.wall_ms,
           .assist = [raw] { raw->assist(); }}));
  TRY(driver->thread_, async::start_thread("decide", [raw] { raw->run(); }));
  return driver;
}

Driver::Driver(std::unique_ptr<Partition> partition, Surroundings surroundings, Options options,
               Clock clock, std::function<void(const Error&)> fatal)
    : partition_(std::move(partition)),
      surroundings_(std::move(surroundings)),
      options_(options),
      clock_(std::move(clock)),
      fatal_(std::move(fatal)) {}

Driver::~Driver() { stop(std::chrono::milliseconds(0)); }

void Driver::submit(Message message) {
  bool request = message->whose() == Whose::Asker;
  int64_t waiting = waiting_.load(std::memory_order_relaxed);
  if (request && waiting >= static_cast<int64_t>(options_.max_waiting)) {
    return message->fail(busy());
  }
  // The committer looks by itself whether there is space again; one request at a time may wait for
  // that.
  if (request && waiting > 0 && committer_->read_only()) return message->fail(disk_full());
  if (request) waiting_.fetch_add(1, std::memory_order_relaxed);
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    if (!request) return;
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return message->fail(stopping());
  }
  inbox_.push_back(std::move(message));
  bool wake = sleeping_ && (!committer_->busy() || inbox_.size() >= kWorthWaking);
  if (wake) sleeping_ = false;
  bool ask = writing_ && inbox_.size() == kWorthWaking;
  lock.unlock();
  if (wake) wake_.notify_one();
  if (ask) committer_->ask_help();
}

void Driver::renew(SessionId session, std::function<void(Result<void>)> renewed) {
  say({Word::What::Renews, session, std::move(renewed)});
}

void Driver::drain(SessionId session) { say({Word::What::Drains, session}); }

void Driver::close(SessionId session) { say({Word::What::Leaves, session}); }

void Driver::call(Call call) {
  say({.what = Word::What::Calls, .session = {}, .call = std::move(call)});
}

void Driver::not_told(const Word& word) {
  if (word.renewed) word.renewed(stopping());
  if (word.call) word.call(nullptr, now());
}

void Driver::say(Word word) {
  std::unique_lock lock(mutex_);
  if (closed_) {
    lock.unlock();
    return not_told(word);
  }
  words_.push_back(std::move(word));
  if (sleeping_) wake_.notify_one();
  bool ask = writing_;
  lock.unlock();
  if (ask) committer_->ask_help();
}

void Driver::tell(Word word, Now at) {
  // Others may decide what becomes of its runs: its worker has to end them in time.
  if (word.what == Word::What::Renews && at.mono_ms() >= decides_until_ms_) {
    return word.renewed(Error(ErrorKind::Unavailable, kElsewhere,
                              "this server has lost its place among the others for now"));
  }
  if (word.what == Word::What::Calls) return word.call(partition_.get(), at);
  if (word.what == Word::What::Leaves) return partition_->close(word.session, at);
  if (word.what == Word::What::Drains) return partition_->drain(word.session);
  if (partition_->renew(word.session, at)) return word.renewed({});
  word.renewed(Error(ErrorKind::NotFound, "ENG-0004",
                     fmt::format("session {} is over: open another one", word.session.value)));
}

void Driver::wish(Wish wish) {
  std::lock_guard lock(mutex_);
  wish_ = std::max(wish_, wish);
  idle_ = false;
  wake_.notify_one();
}

void Driver::look_at_clock() {
  std::lock_guard lock(mutex_);
  clock_set_ = true;
  if (sleeping_) wake_.notify_one();
}

void Driver::look_for_messages() {
  std::lock_guard lock(mutex_);
  has_messages_ = true;
  if (sleeping_) wake_.notify_one();
}

void Driver::end_sessions() {
  std::lock_guard lock(mutex_);
  ends_sessions_ = true;
  if (sleeping_) wake_.notify_one();
}

void Driver::may_decide_until(int64_t mono_ms) {
  std::lock_guard lock(mutex_);
  bool rested = rests();
  decides_until_ms_ = mono_ms;
  if (rested && sleeping_) wake_.notify_one();
}

bool Driver::hold(std::chrono::milliseconds within) {
  std::unique_lock lock(mutex_);
  holding_ = true;
  held_ = false;
  wake_.notify_one();
  return quiet_.wait_for(lock, within, [&] { return held_; });
}

// Nothing is pending: the committer owns what it is told before it writes again.
void Driver::go_on(std::unique_ptr<Partition> next, int64_t owner_epoch) {
  if (next) committer_->own(next->shards(), owner_epoch);
  std::lock_guard lock(mutex_);
  next_ = std::move(next);
  holding_ = held_ = false;
  wake_.notify_one();
}

// Of who has the partition.
void Driver::change_partition() {
  std::unique_ptr<Partition> next;
  {
    std::lock_guard lock(mutex_);
    next = std::exchange(next_, nullptr);
  }
  if (!next) return;
  next->take_over(*partition_);
  partition_ = std::move(next);
}

void Driver::drain() { wish(Wish::Drain); }

bool Driver::settle(std::chrono::milliseconds within) {
  std::unique_lock lock(mutex_);
  idle_ = false;
  wake_.notify_one();
  return quiet_.wait_for(lock, within, [&] { return idle_ && inbox_.empty() && written_.empty(); });
}

void Driver::stop(std::chrono::milliseconds within) {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    closed_ = within.count() == 0;
  }
  wish(Wish::WindUp);
  if (within.count() > 0) settle(within);
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wish(Wish::End);
  thread_.join();
  committer_->close();  // commits what was handed over
  partition_->written(std::exchange(written_, {}), now());
  for (auto& message : inbox_) {
    if (message->whose() == Whose::Asker) message->fail(stopping());
  }
  inbox_.clear();
  for (const auto& word : words_) not_told(word);
  words_.clear();
  partition_->abandon(stopping());
}

void Driver::run() {
  for (Input input; wait(input);) {
    auto steps = take_turn(input);
    if (!steps) return;
    {
      std::lock_guard lock(mutex_);
      turning_ = false;
      writing_ = !steps->empty();
    }
    committer_->submit_here(std::move(*steps));
    std::lock_guard lock(mutex_);
    writing_ = false;
  }
}

std::optional<Driver::Steps> Driver::take_turn(Input& input) {
  Now at = now();
  change_partition();
  if (input.wish >= Wish::Drain) partition_->drain();
  if (input.wish >= Wish::WindUp) partition_->wind_up();
  partition_->written(std::exchange(input.written, {}), at);
  for (auto& message : input.inbox) partition_->offer(std::move(message), at);
  input.inbox.clear();
  for (auto& word : std::exchange(input.words, {})) tell(std::move(word), at);
  if (rests()) return Steps();
  auto work = partition_->take(at);
  if (!work.ok()) {
    fatal_(work.error());
    return std::nullopt;
  }
  waiting_.fetch_sub(partition_->take_answered(), std::memory_order_relaxed);
  return std::move(work->steps);
}

void Driver::assist() {
  Input input;
  {
    std::lock_guard lock(mutex_);
    bool is_wanted = !words_.empty() || inbox_.size() >= kWorthWaking;
    if (turning_ || !writing_ || !is_wanted || rests() || wish_ == Wish::End) return;
    turning_ = true;
    take_input(input);
  }
  auto steps = take_turn(input);
  // Behind what is being written, before the partition can decide anything else.
  if (steps) committer_->submit(std::move(*steps));
  {
    std::lock_guard lock(mutex_);
    turning_ = false;
  }
  wake_.notify_one();
}

bool Driver::wait(Input& input) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (turning_) {
      sleeping_ = true;
      wake_.wait(lock, [&] { return !turning_; });
      sleeping_ = false;
    }
    if (wish_ == Wish::End) return false;
    if (wish_ != wished_ || next_) break;
    bool rests_now = rests();
    int64_t pause = rests_now ? kLongestSleepMs : partition_->pause_ms(now());
    if (!rests_now && decides_until_ms_ != INT64_MAX) {
      pause = std::min(pause, std::max<int64_t>(decides_until_ms_ - now().mono_ms(), 1));
    }
    bool has_input =
        !inbox_.empty() && (partition_->in_flight() == 0 || inbox_.size() >= kWorthWaking);
    if (std::exchange(clock_set_, false)) break;
    if (std::exchange(ends_sessions_, false)) {
      partition_->end_sessions();
      continue;
    }
    if (std::exchange(has_messages_, false)) {
      partition_->look_for_messages();
      continue;
    }
    if (has_input || !written_.empty() || !words_.empty() || pause == 0) break;
    idle_ = inbox_.empty() && partition_->is_idle();
    held_ = holding_ && partition_->in_flight() == 0;
    if (idle_ || held_) quiet_.notify_all();
    sleeping_ = true;
    wake_.wait_for(lock, std::chrono::milliseconds(std::min(pause, kLongestSleepMs)));
    sleeping_ = false;
    idle_ = false;
  }
  turning_ = true;
  take_input(input);
  return true;
}

void Driver::take_input(Input& input) {
  input.inbox.swap(inbox_);
  input.written.swap(written_);
  input.words.swap(words_);
  input.wish = wished_ = wish_;
}

void Driver::on_commit(std::vector<store::Written> written) {
  deliver(written, surroundings_.outlet, surroundings_.observer);
  bool wake;
  {
    std::lock_guard lock(mutex_);
    if (written_.empty()) {
      written_ = std::move(written);
    } else {
      std::ranges::move(written, std::back_inserter(written_));
    }
    wake = sleeping_;
    sleeping_ = false;
  }
  if (wake) wake_.notify_one();
}

}  // namespace millrace::engine
