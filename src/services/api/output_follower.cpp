// SPDX-License-Identifier: Apache-2.0
#include "services/api/output_follower.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include "base/json.h"
#include "base/text.h"
#include "net/sse.h"
#include "services/api/execution_watch.h"
#include "services/api/live_output.h"
#include "services/api/output_store.h"
#include "services/api/parse.h"
#include "services/api/sse.h"

namespace millrace::api {
namespace {

using Clock = std::chrono::steady_clock;
using kernel::OutputChunk;
using kernel::Stream;

constexpr int64_t kPiece = 64 << 10;
constexpr size_t kQueuedBytes = 4 << 20;  // a slower client misses live pieces
constexpr std::chrono::seconds kBetweenLooks{1};

std::string_view name_of(Stream stream) { return stream == Stream::Stdout ? "stdout" : "stderr"; }

// What the engine's threads tell one follower. Shared with the callbacks.
class Inbox {
 public:
  explicit Inbox(async::Executor loop) : wakeup(std::move(loop)) {}

  void put(const OutputChunk& chunk) {
    {
      std::lock_guard lock(mutex_);
      if (queued_ + chunk.bytes.size() > kQueuedBytes) return;  // comes from the store at the end
      queued_ += chunk.bytes.size();
      chunks_.push_back(chunk);
    }
    wakeup.notify();
  }
  void end() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wakeup.notify();
  }
  // Something was committed; it need not be of this execution.
  void change() {
    if (!changed_.exchange(true)) wakeup.notify();
  }
  // The other server says nothing more.
  void lose(int64_t call) {
    lost_ = call;
    change();
  }
  bool has_lost(int64_t call) const { return lost_ == call; }
  bool changed() const { return changed_; }
  void clear_change() { changed_ = false; }
  std::vector<OutputChunk> take(bool& ended) {
    std::lock_guard lock(mutex_);
    ended = ended_;
    queued_ = 0;
    return std::exchange(chunks_, {});
  }

  const async::Wakeup wakeup;

 private:
  std::mutex mutex_;
  std::vector<OutputChunk> chunks_;
  size_t queued_ = 0;
  bool ended_ = false;
  std::atomic<bool> changed_ = false;
  std::atomic<int64_t> lost_ = 0;
};

class OutputFollower {
 public:
  OutputFollower(Shared& shared, FollowRequest request, net::BodyWriter& out, async::Executor loop)
      : shared_(shared),
        request_(std::move(request)),
        at_(request_.position),
        out_(out),
        inbox_(std::make_shared<Inbox>(std::move(loop))),
        watch_(shared.engine.new_watch()) {
    auto inbox = inbox_;
    shared_.engine.watch(watch_, {request_.tenant, request_.id}, [inbox](auto) { inbox->end(); });
    output_ = shared_.engine.on_output({request_.tenant, request_.id},
                                       [inbox](const OutputChunk& chunk) { inbox->put(chunk); });
    changes_ = shared_.engine.on_change([inbox] { inbox->change(); });
    stream_ = shared_.streams.add(inbox_->wakeup);
  }
  ~OutputFollower() {
    shared_.streams.forget(stream_);
    shared_.engine.forget(changes_);
    shared_.engine.forget(output_);
    shared_.engine.forget_watch(watch_);
  }
  OutputFollower(const OutputFollower&) = delete;

  Task<Result<void>> run() {
    CO_TRY(auto row, co_await read_execution(shared_, request_.tenant, request_.id));
    if (at_.attempt == 0) at_.attempt = row.attempt;
    tell_if_held(row);
    if (!is_final(row.status)) {
      co_await follow_elsewhere(row);
      CO_TRY(co_await follow_live());
    }
    co_return co_await send_rest();
  }

 private:
  Task<Result<void>> follow_live() {
    for (bool ended = false; !ended;) {
      CO_TRY(co_await request_.credential.check(shared_));
      for (const auto& chunk : inbox_->take(ended)) take_chunk(chunk);
      if (inbox_->changed() && Clock::now() >= next_look_) co_await look();
      if (events_.empty() && !ended) co_await pause();
      CO_TRY(co_await flush());
    }
    co_return Result<void>();
  }

  // Until something has come, the row is to be read again, or the silence has lasted too long.
  Task<void> pause() {
    auto silence_ends = last_sent_ + std::chrono::milliseconds(shared_.options.keep_alive_ms);
    auto until = inbox_->changed() ? std::min(silence_ends, next_look_) : silence_ends;
    auto left = std::chrono::ceil<async::Duration>(until - Clock::now());
    left = request_.credential.lasts(shared_, std::max(left, async::Duration(1)));
    co_await inbox_->wakeup.wait_for(left);
    if (Clock::now() >= silence_ends) events_ = kKeepAlive;
  }

  Task<void> look() {
    inbox_->clear_change();
    next_look_ = Clock::now() + kBetweenLooks;
    auto row = co_await read_execution(shared_, request_.tenant, request_.id);
    if (row.ok()) {
      tell_if_held(*row);
      co_await follow_elsewhere(*row);
    } else {
      inbox_->change();  // looks again
    }
  }

  // Its pieces come from the server that has the run; when that has changed, from the next one.
  Task<void> follow_elsewhere(const kernel::ExecutionRow& row) {
    if (!shared_.options.follow_output) co_return;
    std::optional<int> node;
    auto found = co_await shared_.readers.run([&](sql::Connection& db) -> Result<void> {
      TRY(node, live_elsewhere(shared_, db, row));
      return {};
    });
    if (!found.ok()) co_return inbox_->change();  // looks again
    if (node == elsewhere_ && !(node && inbox_->has_lost(call_))) co_return;
    elsewhere_ = node;
    pieces_.reset();
    if (!node) co_return;
    auto inbox = inbox_;
    pieces_ = shared_.options.follow_output(
        *node, {request_.tenant, request_.id}, false,
        [inbox](const OutputChunk& chunk) { inbox->put(chunk); },
        [inbox, call = ++call_] { inbox->lose(call); });
    if (!pieces_) inbox_->lose(call_);
  }

  void tell_if_held(const kernel::ExecutionRow& row) {
    bool held = row.status == ExecutionStatus::NeedsDecision;
    if (!held) told_held_ = 0;
    if (!held || told_held_ == row.attempt) return;
    told_held_ = row.attempt;
    std::string data = fmt::format(R"({{"attempt":{},"held":)", row.attempt);
    append_json_string(data, row.held);
    net::append_sse_event(events_, {}, "needs_decision", data + '}');
  }

  void take_chunk(const OutputChunk& chunk) {
    auto index = static_cast<size_t>(chunk.stream);
    if (!request_.wanted[index] || chunk.key.attempt < at_.attempt) return;
    if (chunk.key.attempt > at_.attempt) begin_attempt(chunk.key.attempt);
    auto& pending = pending_[index];
    int64_t have = at_.next[index] + static_cast<int64_t>(pending.size());
    std::string_view bytes = chunk.bytes;
    if (chunk.offset > have) {
      emit(chunk.stream, pending.size());
      add_gap(chunk.stream, have, chunk.offset);
    } else {
      int64_t known = std::min<int64_t>(have - chunk.offset, static_cast<int64_t>(bytes.size()));
      bytes.remove_prefix(static_cast<size_t>(known));
    }
    pending += bytes;
    // A character that is not complete yet waits for its rest.
    emit(chunk.stream, whole_characters(pending).size());
  }

  // Moves the first bytes of what is pending into an event.
  void emit(Stream stream, size_t count) {
    if (count == 0) return;
    auto index = static_cast<size_t>(stream);
    std::string data =
        fmt::format(R"({{"stream":"{}","attempt":{},)", name_of(stream), at_.attempt);
    append_output_members(data, at_.next[index],
                          std::string_view(pending_[index]).substr(0, count));
    data += '}';
    pending_[index].erase(0, count);
    at_.next[index] += static_cast<int64_t>(count);
    net::append_sse_event(events_, at_.text(), "output", data);
  }

  void add_gap(Stream stream, int64_t from, int64_t to) {
    net::append_sse_event(
        events_, {}, "gap",
        fmt::format(R"({{"stream":"{}","from":{},"to":{}}})", name_of(stream), from, to));
    at_.next[static_cast<size_t>(stream)] = to;
  }

  void begin_attempt(int attempt) {
    at_ = {attempt, {}};
    pending_ = {};
    net::append_sse_event(events_, at_.text(), "attempt",
                          fmt::format(R"({{"attempt":{}}})", attempt));
  }

  // What the live pieces have not brought, from the store; then the end.
  Task<Result<void>> send_rest() {
    CO_TRY(auto row, co_await read_execution(shared_, request_.tenant, request_.id));
    if (row.attempt > at_.attempt) begin_attempt(row.attempt);
    std::array<OutputSlice, 2> last;
    for (auto stream : {Stream::Stdout, Stream::Stderr}) {
      auto index = static_cast<size_t>(stream);
      if (!request_.wanted[index]) continue;
      pending_[index].clear();
      do {
        CO_TRY(co_await load(stream, last[index]));
        pending_[index] += last[index].bytes;
        bool more = last[index].bytes.size() == kPiece;
        emit(stream, more ? whole_characters(pending_[index]).size() : pending_[index].size());
        CO_TRY(co_await flush());
      } while (last[index].bytes.size() == kPiece);
    }
    net::append_sse_event(
        events_, at_.text(), "end",
        fmt::format(R"({{"status":"{}","size":{},"dropped":{}}})", to_string(row.status),
                    last[0].size + last[1].size, last[0].dropped + last[1].dropped));
    co_return co_await flush();
  }

  Task<Result<void>> load(Stream stream, OutputSlice& slice) {
    auto index = static_cast<size_t>(stream);
    int64_t from = at_.next[index] + static_cast<int64_t>(pending_[index].size());
    co_return co_await shared_.readers.run([&, from](sql::Connection& db) -> Result<void> {
      TRY(slice, read_output(db, *shared_.options.blobs, request_.tenant, request_.id, at_.attempt,
                             stream, from, kPiece));
      return {};
    });
  }

  Task<Result<void>> flush() {
    if (events_.empty()) co_return Result<void>();
    auto events = std::exchange(events_, {});
    last_sent_ = Clock::now();
    co_return co_await out_.write(events);
  }

  Shared& shared_;
  FollowRequest request_;
  OutputPosition at_;
  net::BodyWriter& out_;
  std::shared_ptr<Inbox> inbox_;
  int64_t watch_;
  int64_t output_ = 0;
  int64_t changes_ = 0;
  int64_t stream_ = 0;
  std::optional<int> elsewhere_;  // the server that has the run, where that is another one
  std::shared_ptr<void> pieces_;  // the call that brings its pieces
  int64_t call_ = 0;              // how many there have been
  Clock::time_point last_sent_ = Clock::now();
  Clock::time_point next_look_;         // not before
  int told_held_ = 0;                   // the attempt that it was told of; 0: none
  std::array<std::string, 2> pending_;  // received, not sent: the start of a character
  std::string events_;                  // formatted, not sent
};

}  // namespace

std::string OutputPosition::text() const {
  return fmt::format("{}:{}:{}", attempt, next[0], next[1]);
}

Result<OutputPosition> OutputPosition::parse(std::string_view text) {
  OutputPosition position;
  auto parts = split(text, ':');
  auto number = [](std::string_view part, auto& out) {
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), out);
    return error == std::errc() && end == part.data() + part.size() && out >= 0;
  };
  if (parts.size() != 3 || !number(parts[0], position.attempt) ||
      !number(parts[1], position.next[0]) || !number(parts[2], position.next[1])) {
    return Error(ErrorKind::Invalid, "API-0032",
                 fmt::format("Last-Event-ID: expected ATTEMPT:STDOUT:STDERR of an earlier event, "
                             "found '{}'",
                             text.substr(0, 64)));
  }
  return position;
}

void append_output_members(std::string& json, int64_t from, std::string_view bytes) {
  bool is_text = is_utf8(bytes);
  json += fmt::format(R"("from":{},"next":{},"encoding":"{}","data":)", from,
                      from + static_cast<int64_t>(bytes.size()), is_text ? "utf-8" : "base64");
  if (is_text) {
    append_json_string(json, bytes);
  } else {
    append_json_string(json, base64_encode(bytes));
  }
}

Task<void> follow_output(Shared& shared, FollowRequest request, net::BodyWriter& out) {
  OutputFollower follower(shared, std::move(request), out, co_await async::this_executor());
  auto end = co_await follower.run();
  if (!end.ok() && end.error().kind() != ErrorKind::Unavailable) {
    // The client may be gone: then nobody is left to tell.
    if (auto told = co_await out.write(error_event(end.error())); !told.ok()) co_return;
  }
}

}  // namespace millrace::api
