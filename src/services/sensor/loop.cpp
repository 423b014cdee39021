// SPDX-License-Identifier: Apache-2.0
#include "services/sensor/loop.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/json.h"
#include "base/log.h"

namespace millrace::sensor {
namespace {

constexpr int64_t kLookPauseMs = 300;    // what is to run is asked at most this often ...
constexpr int64_t kLookAgainMs = 1'000;  // ... and so long after an answer that was none
constexpr int64_t kKillAgainMs = 2'000;
constexpr int64_t kLongestPauseMs = 1'000;
constexpr size_t kMostWaiting = 64;  // events of one sensor without an answer

}  // namespace

Sensors::Inbox::Inbox() : wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Sensors::Inbox::put(const std::function<void(Mail&)>& change) {
  {
    std::lock_guard lock(mutex);
    change(mail);
  }
  uint64_t one = 1;
  (void)!::write(wake.get(), &one, sizeof one);
}

Sensors::Inbox::Mail Sensors::Inbox::take() {
  uint64_t count;
  (void)!::read(wake.get(), &count, sizeof count);
  std::lock_guard lock(mutex);
  return std::exchange(mail, {});
}

void Sensors::Loop::run() {
  // Whoever has closed its stdin is told nothing more.
  sigset_t broken;
  sigemptyset(&broken);
  sigaddset(&broken, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken, nullptr);
  for (;;) {
    now_ = outside_.mono_ms();
    auto mail = inbox_->take();
    if (mail.look) {
      look_at_ = std::min(look_at_, looked_ + kLookPauseMs);
      is_told_ = true;
    }
    std::optional<std::vector<Wanted>> wanted;
    if (!stop_grace_ms_ && !mail.stop_grace_ms && now_ >= look_at_) {
      is_asked = false;
      wanted = outside_.wanted();
      now_ = looked_ = outside_.mono_ms();
      // Who told may have been a moment ahead of what is to be seen.
      bool is_seen = wanted.has_value() && !std::exchange(is_told_, false);
      int64_t pause = is_seen ? limits_.look_ms : kLookAgainMs;
      look_at_ = pause > 0 ? now_ + pause : kNever;
    }
    {
      std::lock_guard lock(mutex);
      handle(std::move(mail), std::move(wanted));
    }
    do_all(std::exchange(todo_, {}));
    if (stop_grace_ms_ && lives.empty()) return;
    wait();
  }
}

void Sensors::Loop::do_all(Todo todo) {
  for (const auto& change : todo.processes) {
    if (outside_.process) outside_.process(change);
  }
  // Before the next start of the same one takes what this gives back.
  for (const auto& key : todo.ended) outside_.ended(key);
  for (auto& [key, start] : todo.prepare) {
    outside_.prepare(key, [inbox = inbox_, key, start](Result<Prepared> prepared) {
      inbox->put([&](auto& mail) {
        mail.answers.push_back(
            {.key = key, .start = start, .prepared = std::move(prepared), .refused = {}});
      });
    });
  }
  for (auto& one : todo.events) {
    auto answer = [inbox = inbox_, key = one.key, number = one.number](Result<void> done) {
      inbox->put([&](auto& mail) {
        mail.answers.push_back({.key = key,
                                .prepared = {},
                                .number = number,
                                .refused = done.ok() ? std::optional<Error>() : done.error()});
      });
    };
    outside_.dispatch(one.key, one.start, one.event, std::move(answer));
  }
}

void Sensors::Loop::handle(Inbox::Mail mail, std::optional<std::vector<Wanted>> wanted) {
  if (wanted) take_wanted(std::move(*wanted));
  if (mail.stop_grace_ms) {
    stop_grace_ms_ = mail.stop_grace_ms;
    take_wanted({});
  }
  for (const auto& key : mail.restarts) {
    auto at = lives.find(key);
    if (at == lives.end()) continue;
    at->second.backoff.reset();
    if (at->second.is_running()) {
      ask_to_end(at->second, "somebody has asked for a restart");
    } else if (at->second.start_at != kNever) {
      at->second.start_at = now_;
    }
  }
  for (auto& answer : mail.answers) take(std::move(answer));
  for (auto& [key, life] : lives) {
    if (life.is_running()) read_sensor(life);
    step(life);
  }
  std::erase_if(lives, [this](const auto& entry) {
    const Life& life = entry.second;
    if (life.wanted || life.is_running()) return false;
    bool is_preparing = life.start_at == kNever;
    return stop_grace_ms_ || (!is_preparing && life.waiting.empty());
  });
}

void Sensors::Loop::set_state(Life& life, State state) {
  life.status.state = state;
  life.status.since_ms = outside_.now_ms();
}

// What is to run.

void Sensors::Loop::take_wanted(std::vector<Wanted> wanted) {
  std::set<SensorKey> keys;
  for (Wanted& one : wanted) {
    keys.insert(one.key);
    auto [at, is_new] = lives.try_emplace(one.key);
    if (is_new) {
      at->second.key = at->second.status.key = one.key;
      at->second.start_at = now_;
      set_state(at->second, State::Preparing);
    }
    update(at->second, std::move(one));
  }
  for (auto& [key, life] : lives) {
    if (keys.contains(key)) continue;
    life.wanted.reset();
    if (life.is_running()) {
      ask_to_end(life, stop_grace_ms_ ? "the server stops" : "it is not to run here any more");
    }
  }
}

void Sensors::Loop::update(Life& life, Wanted wanted) {
  bool is_another = life.is_running() && life.revision != wanted.revision;
  bool was_waiting = !life.is_running() && life.start_at != kNever && life.wanted &&
                     life.wanted->revision != wanted.revision;
  life.wanted = std::move(wanted);
  if (is_another) ask_to_end(life, "its release or configuration is another");
  if (was_waiting) {  // what it died of may be gone
    life.backoff.reset();
    life.start_at = now_;
  }
  if (life.is_running() && !life.was_asked) tell_triggers(life);
}

void Sensors::Loop::tell_triggers(Life& life) {
  auto& known = life.told;
  const auto& now = life.wanted->triggers;
  for (auto at = known.begin(); at != known.end();) {
    if (now.contains(at->first)) {
      ++at;
      continue;
    }
    send(life, trigger_line("trigger_removed", at->second));
    at = known.erase(at);
  }
  for (const auto& [ref, trigger] : now) {
    auto [at, is_new] = known.try_emplace(ref, trigger);
    if (!is_new && at->second == trigger) continue;
    send(life, trigger_line(is_new ? "trigger_added" : "trigger_updated", trigger));
    at->second = trigger;
  }
}

// Its life.

void Sensors::Loop::step(Life& life) {
  if (life.is_running() && now_ >= life.kill_at) {
    char word = kKill;
    (void)!::write(life.process->lifeline.get(), &word, 1);
    life.log.say("it has not ended in time, and is killed", outside_.now_ms());
    life.kill_at = now_ + kKillAgainMs;
  }
  if (!life.is_running() && life.wanted && now_ >= life.start_at && !stop_grace_ms_) {
    life.start_at = kNever;
    life.start = ++last_start_;
    life.revision = life.wanted->revision;
    set_state(life, State::Preparing);
    todo_.prepare.emplace_back(life.key, life.start);
  }
  while (!life.again.empty() && life.again.front().first <= now_) {
    int64_t number = life.again.front().second;
    life.again.pop_front();
    const auto& waiting = life.waiting.at(number);
    todo_.events.push_back({life.key, waiting.start, number, waiting.event});
  }
}

void Sensors::Loop::ask_to_end(Life& life, std::string_view why) {
  if (life.was_asked && !stop_grace_ms_) return;
  if (!life.was_asked) life.log.say(fmt::format("is stopped: {}", why), outside_.now_ms());
  life.was_asked = true;
  send(life, stop_line());
  char word = kTerminate;
  (void)!::write(life.process->lifeline.get(), &word, 1);
  life.kill_at = std::min(life.kill_at, now_ + stop_grace_ms_.value_or(limits_.grace_ms));
  set_state(life, State::Stopping);
}

void Sensors::Loop::take(Inbox::Answer answer) {
  auto at = lives.find(answer.key);
  if (!answer.prepared) {
    if (at != lives.end()) take_outcome(at->second, answer.number, answer.refused);
    return;
  }
  bool is_awaited = at != lives.end() && at->second.start == answer.start;
  if (is_awaited) return take_prepared(at->second, std::move(*answer.prepared));
  todo_.ended.push_back(answer.key);
}

void Sensors::Loop::take_prepared(Life& life, Result<Prepared> prepared) {
  if (!life.wanted) {
    life.start_at = now_;  // it goes
    todo_.ended.push_back(life.key);
  } else if (prepared.ok()) {
    begin(life, *std::move(prepared));
  } else if (int64_t pause = prepared.error().retry_after_ms(); pause > 0) {
    life.status.last_error = prepared.error().message();
    life.start_at = now_ + pause;
    todo_.ended.push_back(life.key);
  } else {
    life.started_ms = now_;
    fail(life, prepared.error().message());
  }
}

void Sensors::Loop::begin(Life& life, Prepared prepared) {
  life.started_ms = now_;
  life.log.hide(std::move(prepared.secrets));
  auto process = start_process(prepared.launch);
  if (!process.ok()) return fail(life, process.error().message());
  life.process = *std::move(process);
  life.told = life.wanted->triggers;
  life.was_asked = false;
  life.kill_at = kNever;
  life.reason.clear();
  life.lines = {};
  life.input.clear();
  life.held.reset();
  life.lines_at = life.output_at = 0;
  ++life.status.starts;
  ++starts;
  life.status.pid = life.process->warden;
  life.log.say(fmt::format("is started (start {})", life.status.starts), outside_.now_ms());
  todo_.processes.push_back({life.key, life.status.pid, {}});
  set_state(life, prepared.says_ready ? State::Starting : State::Running);
  Value line = Value::map({{"type", "start"}});
  for (const auto& entry : prepared.start.as_map()) line.set(entry.name(), entry.value);
  Value triggers = Value::list();
  for (const auto& [ref, trigger] : life.told) triggers.push_back(trigger);
  line.set("triggers", std::move(triggers));
  line.set("grace_s", static_cast<double>(limits_.grace_ms) / 1000);
  send(life, to_json(line) + '\n');
}

void Sensors::Loop::ended(Life& life, std::string_view how) {
  int64_t now = outside_.now_ms();
  life.log.finish(now);
  reap(*life.process);
  life.process.reset();
  life.status.pid = 0;
  std::string why = life.reason.empty() || life.reason == "returned"
                        ? fmt::format("ended with {}", how)
                        : fmt::format("ended with {} ({})", how, life.reason);
  if (auto words = life.log.last_words(); !words.empty() && life.reason.empty()) {
    why += ": " + words;
  }
  todo_.processes.push_back({life.key, 0, why});
  if (!life.was_asked) return fail(life, std::move(why));
  life.log.say(why, now);
  log_info("sensor.stopped", {{"tenant", life.key.tenant}, {"sensor", life.key.ref}, {"how", why}});
  life.start_at = now_;
  todo_.ended.push_back(life.key);
  set_state(life, State::Preparing);
}

void Sensors::Loop::fail(Life& life, std::string why) {
  int64_t pause = life.backoff.next(now_ - life.started_ms, outside_.chance());
  log_warn("sensor.ended", {{"tenant", life.key.tenant},
                            {"sensor", life.key.ref},
                            {"why", why},
                            {"in_a_row", life.backoff.ends()},
                            {"again_in_ms", pause}});
  life.log.say(why, outside_.now_ms());
  life.status.last_error = std::move(why);
  life.start_at = now_ + pause;
  life.status.next_start_ms = outside_.now_ms() + pause;
  set_state(life, State::BackingOff);
  todo_.ended.push_back(life.key);
}

// Its events.

void Sensors::Loop::take_outcome(Life& life, int64_t number, const std::optional<Error>& refused) {
  auto at = life.waiting.find(number);
  if (at == life.waiting.end()) return;
  auto& waiting = at->second;
  bool comes_again =
      refused && (refused->kind() == ErrorKind::Unavailable || refused->kind() == ErrorKind::Busy);
  if (comes_again) {
    waiting.pause_ms = std::clamp<int64_t>(waiting.pause_ms * 2, 50, kLongestPauseMs);
    // In the order of their times: all pauses grow alike.
    auto due = std::pair(now_ + waiting.pause_ms, number);
    life.again.insert(std::ranges::upper_bound(life.again, due), due);
    return;
  }
  if (!refused) {
    ++life.status.events;
    ++events;
    life.status.last_event_ms = outside_.now_ms();
  } else {
    ++life.status.refused;
    life.log.say(
        fmt::format("event of '{}' was refused: {}", waiting.event.trigger, refused->message()),
        outside_.now_ms());
  }
  if (life.is_running() && life.start == waiting.start) {
    send(life,
         refused ? nack_line(waiting.event.seq, refused->message()) : ack_line(waiting.event.seq));
  }
  life.waiting.erase(at);
}

void Sensors::Loop::hand_on(Life& life, Dispatch event, bool is_last) {
  int64_t wait = is_last ? 0 : life.rate.take(limits_.events, now_);
  if (wait > 0) {
    life.held = std::move(event);
    life.lines_at = now_ + wait;
    ++life.status.held_up;
    if (now_ >= life.held_told_at) {
      constexpr int64_t kTellAgainMs = 60'000;
      life.held_told_at = now_ + kTellAgainMs;
      life.log.say(fmt::format("sends more than {} events in {} ms: it has to wait",
                               limits_.events.limit, limits_.events.per_ms),
                   outside_.now_ms());
      log_warn("sensor.held_up", {{"tenant", life.key.tenant}, {"sensor", life.key.ref}});
    }
    return;
  }
  int64_t number = ++last_number_;
  todo_.events.push_back({life.key, life.start, number, event});
  life.waiting.emplace(number, Life::Waiting{life.start, std::move(event)});
}

int64_t Sensors::Loop::next_due() const {
  int64_t due = stop_grace_ms_ ? kNever : look_at_;
  for (const auto& [key, life] : lives) {
    if (!life.is_running()) due = std::min(due, life.start_at);
    if (!life.again.empty()) due = std::min(due, life.again.front().first);
    if (!life.is_running()) continue;
    due = std::min(due, life.kill_at);
    for (int64_t at : {life.lines_at, life.output_at}) {
      if (at > now_) due = std::min(due, at);
    }
  }
  return due;
}

bool Sensors::Loop::may_read_lines(const Life& life) const {
  return life.waiting.size() < kMostWaiting && now_ >= life.lines_at;
}

void Sensors::Loop::wait() {
  std::vector<pollfd> waits{{inbox_->wake.get(), POLLIN, 0}};
  auto add = [&](const Fd& fd, short events) {
    if (fd) waits.push_back({fd.get(), events, 0});
  };
  now_ = outside_.mono_ms();
  for (const auto& [key, life] : lives) {
    if (!life.is_running()) continue;
    const Process& process = *life.process;
    add(process.lifeline, POLLIN);
    if (may_read_lines(life)) add(process.lines, POLLIN);
    if (now_ >= life.output_at) {
      add(process.output, POLLIN);
      add(process.errors, POLLIN);
    }
    if (!life.input.empty()) add(process.input, POLLOUT);
  }
  int64_t due = next_due();
  int64_t left = due == kNever ? -1 : std::clamp<int64_t>(due - now_, 0, 60'000);
  ::poll(waits.data(), waits.size(), static_cast<int>(left));
}

}  // namespace millrace::sensor
