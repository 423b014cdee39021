// SPDX-License-Identifier: Apache-2.0
// For tests only: rows with a value in every field, and a desk that submits steps and waits.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "store/committer.h"
#include "store/migrate.h"
#include "store/read.h"
#include "store/servers.h"

namespace millrace::store::testing {

inline constexpr TenantId kTenant{1};
inline constexpr TenantId kOtherTenant{2};
inline constexpr int64_t kNow = 1'800'000'000'000;
inline constexpr auto kAllShards = kernel::ShardSet::all();
inline constexpr int64_t kDay = 24LL * 3600 * 1000;

// NUL, bytes that are no UTF-8, a quote.
inline const std::string kBytes("a\0b\xff\xfe'\x80", 7);

// The value, or a failed test.
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.error().describe();
    throw std::runtime_error(result.error().describe());
  }
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

// In memory where the system has such a place: these tests make many.
class TempFolder {
 public:
  TempFolder()
      : TempFolder(access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                                                 : std::filesystem::temp_directory_path()) {}
  explicit TempFolder(const std::filesystem::path& base) {
    std::string pattern = base.string() + "/millrace-store-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Rows

inline kernel::EventRow event(int64_t id, TenantId tenant = kTenant) {
  return {.id = EventId{id},
          .tenant = tenant,
          .trigger = "core.webhook",
          .source = "webhook:github",
          .source_id = "delivery-" + std::to_string(id),
          .type = "push",
          .payload_json = R"({"ref":"refs/heads/main"})",
          .trigger_parameters_json = "{}",
          .trace = "00-trace-span-01",
          .created = kNow};
}

inline kernel::EnforcementRow enforcement(int64_t id, int64_t event_id, int64_t execution_id = 0,
                                          TenantId tenant = kTenant) {
  return {.id = EnforcementId{id},
          .tenant = tenant,
          .rule = RuleId{77},
          .rule_ref = "ci.on_push",
          .rule_revision = 3,
          .event = EventId{event_id},
          .execution = ExecutionId{execution_id},
          .verdicts_json = "[]",
          .created = kNow};
}

inline kernel::ExecutionRow execution(int64_t id, TenantId tenant = kTenant) {
  return {.id = ExecutionId{id},
          .tenant = tenant,
          .action = "ci.build",
          .release = "digest",
          .root = ExecutionId{id},
          .created = kNow,
          .updated = kNow,
          .identity = "admin",
          .trace = "00-trace-span-01",
          .parameters_json = R"({"n":1})",
          .env_json = "{}"};
}

inline kernel::ExecutionRow running(kernel::ExecutionRow row) {
  row.status = ExecutionStatus::Running;
  row.worker = WorkerId{9};
  row.epoch = 1;
  row.started = row.updated = kNow + 5;
  ++row.version;
  return row;
}

inline kernel::ExecutionRow ended(kernel::ExecutionRow row,
                                  ExecutionStatus status = ExecutionStatus::Succeeded) {
  row.status = status;
  row.worker = {};
  if (row.started == 0) row.started = kNow + 5;
  row.ended = row.updated = kNow + 10;
  row.result_json = R"({"exit_code":0})";
  ++row.version;
  return row;
}

inline kernel::MessageRow message(int64_t id, int64_t subject,
                                  kernel::MessageKind kind = kernel::MessageKind::EnforceEvent) {
  return {.id = MessageId{id},
          .tenant = kTenant,
          .shard = kernel::shard_of(kTenant, subject),
          .kind = kind,
          .subject = subject,
          .body_json = "{}",
          .created = kNow};
}

inline kernel::TimerRow timer(int64_t id, int64_t due, int64_t subject = 0,
                              const std::string& name = "") {
  return {.id = TimerId{id},
          .tenant = kTenant,
          .shard = kernel::shard_of(kTenant, subject),
          .due = due,
          .subject = subject,
          .name = name,
          .body_json = "{}"};
}

inline kernel::OutboxRow outbox_row(int64_t id, int64_t subject) {
  return {.id = OutboxId{id},
          .tenant = kTenant,
          .shard = kernel::shard_of(kTenant, subject),
          .subject = subject,
          .body_json = "{}",
          .created = kNow};
}

inline kernel::DedupeRow key(const std::string& name, const std::string& value = "1",
                             int64_t expires = kNow + 7 * kDay) {
  return {.tenant = kTenant,
          .scope = "event:webhook:github",
          .key = name,
          .value = value,
          .expires = expires};
}

inline kernel::ChangeRow change(int64_t entity, const std::string& detail = "",
                                TenantId tenant = kTenant) {
  return {.tenant = tenant,
          .type = kernel::EntityType::Execution,
          .entity = entity,
          .detail = detail,
          .at = kNow};
}

// Steps

struct TestStep : Step {
  int tag = 0;
};

struct Outcome {
  int tag = 0;
  WriteEnd end = WriteEnd::Committed;
  std::string reason;
  bool disk_full = false;
};

// One step of a batch, and the key that it was decided under.
struct Order {
  kernel::Changes changes;
  int64_t key = 0;
};

// A committer with a clock that stands still. Not thread-safe but for `submit`.
class Desk {
 public:
  explicit Desk(sql::Store& store, Committer::Options options = {.full_retry_ms = 1},
                bool claim = true) {
    if (claim) {
      auto writer = must(store.open_writer());
      must(migrate(*writer));
      options.owner_epoch = must(claim_shards(*writer, 0, kernel::ShardSet::all()));
    }
    committer_ =
        must(Committer::start(store, options,
                              {.deliver = [this](auto written) { deliver(std::move(written)); },
                               .fatal =
                                   [this](const Error& error) {
                                     std::lock_guard lock(mutex_);
                                     fatal_.push_back(error.describe());
                                     changed_.notify_all();
                                   },
                               .now_ms = [this] { return now.load(); },
                               .assist =
                                   [this] {
                                     std::lock_guard lock(mutex_);
                                     helped_by_ = std::this_thread::get_id();
                                     changed_.notify_all();
                                   },
                               .recovered =
                                   [this] {
                                     std::lock_guard lock(mutex_);
                                     changed_.notify_all();
                                   }}));
  }
  ~Desk() { close(); }
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  // Submits without waiting; the steps are tagged 0, 1, 2... over the desk's life. `here`: written
  // by this thread if no other one writes.
  void submit(std::vector<Order> orders, bool here = false) {
    std::vector<std::unique_ptr<Step>> steps;
    for (auto& order : orders) {
      auto step = std::make_unique<TestStep>();
      step->tag = next_tag_++;
      step->changes = std::move(order.changes);
      step->key = order.key;
      steps.push_back(std::move(step));
    }
    here ? committer_->submit_here(std::move(steps)) : committer_->submit(std::move(steps));
  }
  // All outcomes since the last call, once every submitted step has come back.
  std::vector<Outcome> wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return back_ == next_tag_; });
    return std::exchange(outcomes_, {});
  }
  std::vector<Outcome> commit(std::vector<Order> orders) {
    submit(std::move(orders));
    return wait();
  }
  // One step, expected to be written.
  void write(kernel::Changes changes) {
    std::vector<Order> one;
    one.push_back({std::move(changes), 0});
    auto outcomes = commit(std::move(one));
    ASSERT_EQ(outcomes.size(), 1U);
    ASSERT_EQ(outcomes[0].end, WriteEnd::Committed) << outcomes[0].reason;
  }

  // Stops who writes at the next delivery until `release`.
  void hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void wait_until_held() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return holding_; });
  }
  void release() {
    std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

  // The committer may have gone back and forth before; false: it is still read-only.
  bool wait_until_writable() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30),
                             [&] { return !committer_->read_only(); });
  }
  // On which thread the last delivery was.
  std::thread::id written_by() {
    std::lock_guard lock(mutex_);
    return written_by_;
  }
  // Asks for help, and waits until it is there. On which thread.
  std::thread::id help() {
    committer_->ask_help();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return helped_by_ != std::thread::id(); });
    return helped_by_;
  }
  std::vector<std::string> fatal_errors() {
    std::lock_guard lock(mutex_);
    return fatal_;
  }
  void close() { committer_.reset(); }
  Committer& committer() { return *committer_; }

  std::atomic<int64_t> now{kNow};

 private:
  void deliver(std::vector<Written> written) {
    std::unique_lock lock(mutex_);
    for (auto& w : written) {
      auto& step = static_cast<TestStep&>(*w.step);
      outcomes_.push_back({step.tag, w.end, w.reason, w.disk_full});
      ++back_;
    }
    written_by_ = std::this_thread::get_id();
    holding_ = held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
    holding_ = false;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Outcome> outcomes_;
  std::vector<std::string> fatal_;
  int back_ = 0;
  int next_tag_ = 0;
  bool held_ = false;
  bool holding_ = false;
  std::thread::id written_by_;
  std::thread::id helped_by_;
  std::unique_ptr<Committer> committer_;
};

inline std::vector<WriteEnd> ends(const std::vector<Outcome>& outcomes) {
  std::vector<WriteEnd> out;
  for (const auto& outcome : outcomes) out.push_back(outcome.end);
  return out;
}

inline std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << o.tag << ":" << static_cast<int>(o.end) << " " << o.reason;
}

}  // namespace millrace::store::testing

namespace millrace::store {
inline void PrintTo(WriteEnd end, std::ostream* out) {
  constexpr std::string_view kNames[] = {"Committed", "Duplicate", "Stale", "Refused",
                                         "Unavailable"};
  *out << kNames[static_cast<size_t>(end)];
}
}  // namespace millrace::store
