// SPDX-License-Identifier: Apache-2.0
#include "flight.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "adapters/store_sqlite/store_sqlite.h"
#include "base/time.h"
#include "store/migrate.h"

namespace millrace::bench {
namespace {

void end(const std::string& message) {
  std::fprintf(stderr, "millrace_bench: %s\n", message.c_str());
  std::exit(1);
}

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) end(result.error().describe());
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

}  // namespace

void make_store(const std::string& folder) {
  std::filesystem::create_directories(folder);
  auto store = must(store_sqlite::open(folder));
  auto writer = must(store->open_writer());
  must(store::migrate(*writer));
}

Flight::Flight(const std::string& folder) {
  make_store(folder);
  store_ = must(store_sqlite::open(folder));
  store::Committer::Options options;
  {
    auto writer = must(store_->open_writer());
    options.owner_epoch = must(store::claim_shards(*writer, "bench", kernel::ShardSet::all()));
  }
  auto deliver = [this](std::vector<store::Written> written) {
    for (const auto& w : written) {
      if (w.end != store::WriteEnd::Committed) end("a step was not written: " + w.reason);
    }
    std::lock_guard lock(mutex_);
    returned_ += static_cast<int64_t>(written.size());
    back_.notify_one();
  };
  auto fatal = [](const Error& error) { end(error.describe()); };
  committer_ = must(store::Committer::start(
      *store_, options, {.deliver = deliver, .fatal = fatal, .now_ms = unix_ms}));
}

int64_t Flight::run(int64_t total, int64_t in_flight,
                    const std::function<std::unique_ptr<store::Step>()>& make) {
  int64_t sent = 0;
  int64_t seen = 0;
  returned_ = 0;
  while (seen < total) {
    std::vector<std::unique_ptr<store::Step>> steps;
    steps.reserve(static_cast<size_t>(in_flight));
    while (sent < total && sent - seen < in_flight) {
      steps.push_back(make());
      ++sent;
    }
    committer_->submit(std::move(steps));
    std::unique_lock lock(mutex_);
    back_.wait(lock, [&] { return returned_ > seen; });
    seen = returned_;
  }
  return total;
}

void Flight::checkpoint() { (void)must(store_->checkpoint()); }

}  // namespace millrace::bench
