// SPDX-License-Identifier: Apache-2.0
//
// What the worker does with an order, from grant to acknowledgement. All but the public functions
// runs on its own thread.
#include "services/worker/worker.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>

#include "async/loop.h"
#include "async/thread.h"
#include "base/charset.h"
#include "base/in_hand.h"
#include "base/log.h"
#include "base/time.h"
#include "kernel/blobs.h"
#include "kernel/hidden.h"
#include "kernel/limits.h"
#include "kernel/printed.h"
#include "services/worker/boundary.h"
#include "services/worker/http_runs.h"

namespace millrace::worker {
namespace {

// Closes a session that nobody waits for any more.
void close_unwanted(kernel::WorkSource& source, const Opened& note) {
  // What may fail: then there is none to close.
  if (note.session.ok()) source.close(note.session->id);
}

}  // namespace

kernel::Completion ended(TenantId tenant, const kernel::RunKey& key, kernel::RunEnd end,
                         std::string message) {
  kernel::Completion c;
  c.tenant = tenant;
  c.key = key;
  c.end = end;
  c.message = std::move(message);
  c.started_ms = c.ended_ms = unix_ms();
  return c;
}

Worker::Worker(kernel::WorkSource& source, async::Loop& loop, WorkerConfig config)
    : source_(source),
      config_(std::move(config)),
      http_(std::make_unique<HttpRuns>(
          loop, [mailbox = mailbox_](auto c) { mailbox->put(Ended{std::move(c)}); })),
      thread_ended_(loop.executor()) {
  if (config_.slots == 0) {
    config_.slots = 2 * static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  }
}

Worker::~Worker() { ASSERT_MSG(!thread_.joinable(), "a worker must be stopped first"); }

Result<void> Worker::start() {
  TRY(thread_, async::start_thread("worker", [this, ended = thread_ended_] {
        run();
        ended.notify();
      }));
  return {};
}

Task<bool> Worker::stop(async::Duration limit) {
  if (!thread_.joinable()) co_return true;
  stopping_ = true;
  mailbox_->wake();
  if (!co_await thread_ended_.wait_for(limit)) {
    log_error("worker.hangs", {{"worker", config_.name}, {"limit_ms", limit.count()}});
    co_return false;
  }
  thread_.join();
  for (auto& note : mailbox_->close()) {
    if (auto* opened = std::get_if<Opened>(&note)) close_unwanted(source_, *opened);
  }
  // The thread was the last to start a request.
  co_await http_->stop();
  co_return true;
}

WorkerStats Worker::stats() const {
  return {.running = counters_.running,
          .launched = counters_.launched,
          .finished = counters_.finished,
          .unheard = counters_.reported,
          .wake_ups = counters_.wake_ups,
          .reconnects = counters_.reconnects};
}

void Worker::grant(SessionId session, std::vector<kernel::WorkOrder> orders) {
  // Counted here, so that nobody who waits for the last run overlooks one in the mailbox.
  counters_.running += static_cast<int64_t>(orders.size());
  mailbox_->put(Granted{session, std::move(orders)});
}

void Worker::cancel(SessionId session, const Of<kernel::RunKey>& run, std::string reason) {
  mailbox_->put(Canceled{session, run.tenant, run.id, std::move(reason)});
}

void Worker::over(SessionId session) { mailbox_->put(Over{session}); }

// What a note throws costs the run that it is about, where it is about one.
void Worker::read_mail() {
  for (auto& note : mailbox_->take()) {
    auto thrown = thrown_by([&] { std::visit([this](auto& one) { on(one); }, note); });
    if (thrown) log_error("worker.exception", {{"worker", config_.name}, {"what", *thrown}});
  }
}

void Worker::attend(TenantId tenant, const kernel::RunKey& key, const std::function<void()>& step) {
  constexpr std::string_view kKind = "run";
  InHand::Item item{kKind, key.execution.value};
  bool is_dead = config_.in_hand && config_.in_hand->is_dead(item);
  std::optional<std::string> thrown;
  if (is_dead) {
    thrown =
        fmt::format("the server has ended {} times while it was at this run", InHand::kMostEnds);
  } else {
    Holding holding(config_.in_hand, item);
    thrown = thrown_by(step);
  }
  if (config_.in_hand) config_.in_hand->handled(item);
  if (!thrown) return;
  log_error("worker.exception", {{"worker", config_.name},
                                 {"execution", key.execution.value},
                                 {"attempt", key.attempt},
                                 {"what", *thrown}});
  auto at = runs_.find(key);
  bool began = at != runs_.end() &&
               (at->second.state == Run::State::Sent || at->second.state == Run::State::InHouse);
  if (at != runs_.end() && at->second.state == Run::State::Reported) return;
  if (began && greeted_) encode(out_, Kill{key});
  report(ended(tenant, key, began ? kernel::RunEnd::Lost : kernel::RunEnd::SpawnFailed,
               is_dead ? *thrown : fmt::format("an exception in the worker: {}", *thrown)));
}

void Worker::on(Opened& note) {
  if (stopping_) return close_unwanted(source_, note);
  // At once: the next note may be its first grant.
  if (note.session.ok()) {
    session_ = *note.session;
    for (auto& adopted : std::exchange(session_->adopted, {})) {
      auto at = runs_.find(adopted.key);
      if (at == runs_.end()) continue;
      at->second.output_format = adopted.output_format;
      at->second.secrets = std::move(adopted.secrets);
    }
    if (session_->since_ms > 0) renewed_ms_ = asked_ms_ = session_->since_ms;
    lease_runs();
  }
  opened_ = note.session.ok() ? Result<void>() : Result<void>(note.session.error());
}

void Worker::on(Granted& note) {
  if (!session_ || session_->id != note.session) {
    counters_.running -= static_cast<int64_t>(note.orders.size());
    return;
  }
  for (auto& order : note.orders) {
    attend(order.tenant, order.key, [&] { accept(std::move(order)); });
  }
}

void Worker::accept(kernel::WorkOrder order) {
  kernel::RunKey key = order.key;
  auto [at, is_new] = runs_.try_emplace(key);
  if (!is_new) {
    --counters_.running;
    return;
  }
  Run& run = at->second;
  run.tenant = order.tenant;
  run.state = Run::State::Unsent;
  run.order = std::make_unique<kernel::WorkOrder>(std::move(order));
  auto preparation = config_.prepare ? config_.prepare(*run.order) : std::nullopt;
  if (!preparation) return launch(key, run);
  run.state = Run::State::Preparing;
  source_.preparing(session_->id, run.tenant, key, preparation->what);
  preparation->begin([mailbox = mailbox_, key](Result<void> built) {
    mailbox->put(Prepared{key, std::move(built)});
  });
}

void Worker::on(Prepared& note) {
  if (!session_) return;
  auto at = runs_.find(note.key);
  if (at == runs_.end() || at->second.state != Run::State::Preparing) return;
  attend(at->second.tenant, note.key, [&] { prepared(note, at->second); });
}

void Worker::prepared(Prepared& note, Run& run) {
  if (!note.built.ok()) {
    return report(
        ended(run.tenant, note.key, kernel::RunEnd::SpawnFailed,
              fmt::format("its environment could not be built: {}", note.built.error().message())));
  }
  // Who stops begins nothing: until the source is asked the run counts as not started.
  if (stopping_) return;
  source_.prepared(session_->id, run.tenant, note.key,
                   [mailbox = mailbox_, key = note.key](bool go) { mailbox->put(Went{key, go}); });
}

void Worker::on(Went& note) {
  if (!session_) return;
  auto at = runs_.find(note.key);
  if (at == runs_.end() || at->second.state != Run::State::Preparing) return;
  if (note.go) return attend(at->second.tenant, note.key, [&] { launch(note.key, at->second); });
  runs_.erase(at);
  --counters_.running;
}

void Worker::launch(const kernel::RunKey& key, Run& run) {
  if (!greeted_) {
    run.state = Run::State::Unsent;
    return;
  }
  auto order = std::move(run.order);
  if (order->runner == Runner::Http) {
    // The spawner knows of the run before it begins.
    run.state = Run::State::InHouse;
    encode(out_, Hold{order->tenant, key});
    flush();
    http_->start(std::move(*order));
    return;
  }
  run.output_format = order->output_format;
  bool is_read = run.output_format != OutputFormat::Text || order->sdk != Sdk::None;
  if (is_read) run.secrets = order->secrets;
  auto refuse = [&](std::string why) {
    report(ended(order->tenant, key, kernel::RunEnd::SpawnFailed, std::move(why)));
  };
  auto plan = plan_launch(*order, config_.run, config_.release_file);
  if (!plan.ok()) return refuse(plan.error().message());
  if (!encode(out_, *plan)) {
    return refuse(
        fmt::format("the parameters are too large: at most {} MiB can be passed", kMaxFrame >> 20));
  }
  run.state = Run::State::Sent;
  ++counters_.launched;
}

void Worker::on(Canceled& note) {
  if (!session_ || session_->id != note.session) return;
  auto at = runs_.find(note.key);
  if (at == runs_.end()) {
    return report(
        ended(note.tenant, note.key, kernel::RunEnd::Lost, "the worker does not know this run"));
  }
  Run& run = at->second;
  switch (run.state) {
    case Run::State::Preparing:
    case Run::State::Unsent:
      return report(ended(run.tenant, note.key, kernel::RunEnd::Canceled,
                          fmt::format("ended before it began: {}", note.reason)));
    case Run::State::Sent:
      if (greeted_ && !run.canceled) encode(out_, Kill{note.key});
      run.canceled = true;
      return;
    case Run::State::InHouse: return http_->cancel(note.key);
    case Run::State::Reported: return;
  }
}

void Worker::on(Ended& note) {
  // Not of a session that is over: the next one hears from the spawner that it is lost.
  if (!session_) return;
  auto at = runs_.find(note.completion.key);
  if (at == runs_.end() || at->second.state != Run::State::InHouse) return;
  report(std::move(note.completion));
}

// The completion is durable: forgets the run, and tells the spawner so.
void Worker::on(Acknowledged& note) {
  auto at = runs_.find(note.key);
  if (at == runs_.end() || at->second.state != Run::State::Reported) return;
  runs_.erase(at);
  --counters_.reported;
  if (greeted_) encode(out_, Ack{note.key});
}

void Worker::on_exited(kernel::Completion completion) {
  // A spawner that lost sight of this server has given up what runs on here.
  auto at = runs_.find(completion.key);
  if (at != runs_.end() && at->second.state == Run::State::InHouse) return;
  report(std::move(completion));
}

void Worker::on_chunk(Chunk chunk) {
  auto at = runs_.find(chunk.key);
  if (at == runs_.end()) return;
  source_.output(session_->id, {.tenant = at->second.tenant,
                                .key = chunk.key,
                                .stream = chunk.stream,
                                .offset = chunk.offset,
                                .bytes = std::move(chunk.bytes)});
}

// What a run through the SDK has said: {"status", "result", "error": {"type", "message"}}, the last
// for people.
void Worker::read_result(kernel::Completion& completion, const Run& run) const {
  auto told = std::exchange(completion.result, {});
  std::string text = std::move(told.bytes);
  Result<void> is_there;
  if (!told.blob.empty()) is_there = take_blob(told, text);
  if (told.dropped > 0) {
    completion.output_error = kernel::exceeds(kernel::kStructuredOutput, told.size + told.dropped);
  } else if (!is_there.ok()) {
    completion.output_error = is_there.error().message();
  } else {
    auto said = kernel::parse_printed(OutputFormat::Json, text);
    Value error = said.value["error"];  // for people: its secrets stay masked
    if (!told.hidden.empty()) {
      said =
          kernel::parse_printed(OutputFormat::Json, kernel::reveal(text, told.hidden, run.secrets));
    }
    completion.output = said.value["result"];
    completion.says_failed = said.value.string_or("status", "") == "failed";
    if (error.is_map() && completion.message.empty()) {
      completion.message =
          fmt::format("{}: {}", error.string_or("type", ""), error.string_or("message", ""));
    }
    completion.output_error = std::move(said.error);
  }
}

// A result that is a blob belongs to nobody once it is read.
Result<void> Worker::take_blob(const kernel::StreamOutput& told, std::string& text) const {
  if (!config_.blobs) return Error(ErrorKind::Unavailable, "WRK-0008", "this worker has no blobs");
  TRY(text, config_.blobs->read(told.blob, 0, told.size));
  return config_.blobs->remove(told.blob);
}

// Here, because whoever decides on the run decides on all others too.
void Worker::read_output(kernel::Completion& completion, const Run& run) const {
  if (completion.result.size > 0) return read_result(completion, run);
  const auto& out = completion.out;
  bool is_large =
      out.size > kernel::kReadByDecision.most && out.size <= kernel::kStructuredOutput.most;
  if (!config_.blobs || run.output_format == OutputFormat::Text || !is_large || out.blob.empty() ||
      out.dropped > 0 || completion.end != kernel::RunEnd::Exited) {
    return;
  }
  auto stored = config_.blobs->read(out.blob, 0, out.size);
  if (!stored.ok() || std::ssize(*stored) != out.size) return;  // who decides says why
  std::string text = std::move(*stored);
  if (!out.hidden.empty()) text = kernel::reveal(text, out.hidden, run.secrets);
  auto printed = kernel::parse_printed(run.output_format, without_mark(text));
  completion.output = std::move(printed.value);
  completion.output_error = std::move(printed.error);
  completion.is_read = true;
}

void Worker::report(kernel::Completion completion) {
  kernel::RunKey key = completion.key;
  auto [at, is_new] = runs_.try_emplace(key);
  if (at->second.state == Run::State::Reported) return;
  read_output(completion, at->second);
  Run reported{.tenant = completion.tenant, .state = Run::State::Reported};
  // First: when it throws, nobody has heard of this end, and another one may be told.
  source_.finished(session_->id, std::move(completion),
                   [mailbox = mailbox_, key] { mailbox->put(Acknowledged{key}); });
  ++counters_.reported;  // first: who waits for both to be none sees one of them
  if (!is_new) --counters_.running;
  at->second = std::move(reported);
  ++counters_.finished;
}

}  // namespace millrace::worker
