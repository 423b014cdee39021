// SPDX-License-Identifier: Apache-2.0
#include "flight.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "adapters/store_postgres/store_postgres.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "base/time.h"
#include "store/migrate.h"
#include "store/servers.h"

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

std::unique_ptr<sql::Store> migrated(Result<std::unique_ptr<sql::Store>> opened) {
  auto store = must(std::move(opened));
  auto writer = must(store->open_writer());
  must(store::migrate(*writer));
  return store;
}

std::unique_ptr<sql::Store> new_store(const std::string& folder) {
  std::filesystem::create_directories(folder);
  return migrated(store_sqlite::open(folder));
}

std::unique_ptr<sql::Store> new_store(const std::string& url, const std::string& schema,
                                      bool row_security = false) {
  return migrated(
      store_postgres::open({.url = url, .schema = schema, .row_security = row_security}));
}

}  // namespace

void make_store(const std::string& folder) { new_store(folder); }
void make_store(const std::string& url, const std::string& schema) { new_store(url, schema); }

Flight::Flight(const std::string& folder) : Flight(new_store(folder)) {}
Flight::Flight(const std::string& url, const std::string& schema, bool row_security)
    : Flight(new_store(url, schema, row_security)) {}

Flight::Flight(std::unique_ptr<sql::Store> store) : store_(std::move(store)) {
  store::Committer::Options options;
  {
    auto writer = must(store_->open_writer());
    options.owner_epoch = must(store::claim_shards(*writer, 0, kernel::ShardSet::all()));
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
