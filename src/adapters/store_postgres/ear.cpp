// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/ear.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cstring>

#include "adapters/store_postgres/connection.h"
#include "adapters/store_postgres/dialect.h"
#include "adapters/store_postgres/session.h"
#include "async/thread.h"
#include "base/log.h"

namespace millrace::store_postgres {
namespace {

constexpr std::chrono::seconds kAskWhetherThere{60};

Moment limit_of(const Options& options) {
  return std::chrono::steady_clock::now() + std::chrono::milliseconds(options.reader_limit_ms);
}

sql::Hint hint_of(std::string_view told) {
  size_t end = std::min(told.find(' '), told.size());
  return {told.substr(0, end), told.substr(std::min(end + 1, told.size()))};
}

}  // namespace

Result<std::unique_ptr<sql::Listening>> Ear::open(const Options& options, sql::Listener listener) {
  Fd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return error_of(sql::kBusy, "listen", strerror(errno));
  std::unique_ptr<Ear> ear(new Ear(options, std::move(listener), std::move(stop)));
  TRY(ear->thread_, async::start_thread("listen", [raw = ear.get()] { raw->run(); }));
  return std::unique_ptr<sql::Listening>(std::move(ear));
}

Ear::Ear(Options options, sql::Listener listener, Fd stop)
    : options_(std::move(options)), listener_(std::move(listener)), stop_(std::move(stop)) {}

Ear::~Ear() {
  ::eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

bool Ear::stops(std::chrono::milliseconds within) const {
  pollfd look{stop_.get(), POLLIN, 0};
  return ::poll(&look, 1, static_cast<int>(within.count())) > 0;
}

Result<std::unique_ptr<Session>> Ear::connect() const {
  TRY(auto session, Session::open(options_, {.is_reader = true}));
  TRY(session->ask("LISTEN " + channel_of(options_.schema), limit_of(options_)));
  return session;
}

void Ear::run() {
  for (int tries = 0; !stops(std::chrono::milliseconds(0));) {
    auto session = connect();
    if (!session.ok()) {
      if (tries == 0) log_warn("store.not_heard", {{"error", session.error().message()}});
      if (stops(pause_before(tries++))) return;
      continue;
    }
    tries = 0;
    if (listener_.missed) listener_.missed();
    if (auto done = follow(**session); !done.ok()) {
      log_warn("store.not_heard", {{"error", done.error().message()}});
      if (stops(pause_before(tries++))) return;
    }
  }
}

// Until it is to end, or an error.
Result<void> Ear::follow(Session& session) const {
  std::vector<std::string> heard;
  auto ask_at = std::chrono::steady_clock::now() + kAskWhetherThere;
  while (!stops(std::chrono::milliseconds(0))) {
    TRY(session.hear(stop_.get(), ask_at, heard));
    for (const auto& told : heard) listener_.heard(hint_of(told));
    heard.clear();
    if (std::chrono::steady_clock::now() < ask_at) continue;
    TRY(session.ask("SELECT 1", limit_of(options_)));
    ask_at = std::chrono::steady_clock::now() + kAskWhetherThere;
  }
  return {};
}

}  // namespace millrace::store_postgres
