// SPDX-License-Identifier: Apache-2.0
// For tests only: a writer whose connection goes through a proxy that cuts it where it is told to.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "adapters/store_postgres/store_postgres.h"
#include "adapters/store_postgres/test_support.h"
#include "base/log.h"
#include "store/row_reader.h"
#include "store/watched_store.h"
#include "store/writer.h"

namespace millrace::store::testing {

using namespace kernel;

inline WorkerRow worker(int64_t id) {
  return {.id = WorkerId{id}, .name = "w" + std::to_string(id), .instance = "i", .updated = kNow};
}

// Stands between a client and the server, and cuts a connection where it is told to.
class Proxy {
 public:
  enum class Cut : uint8_t { None, BeforeSending, AfterSending, AfterAnswer, Silence };

  explicit Proxy(const std::string& server_folder)
      : server_(address_of(server_folder)), here_(address_of(folder_.path())) {
    ::bind(listener_.get(), &here_.any, sizeof here_.local);
    ::listen(listener_.get(), 16);
    thread_ = std::thread([this] { run(); });
  }
  ~Proxy() {
    stop_ = true;
    thread_.join();
  }
  std::string url() const {
    return "postgresql:///postgres?host=" + folder_.path() + "&user=millrace";
  }
  // What the client sends next is cut like this, once.
  std::atomic<Cut> cut{Cut::None};
  // That clients have sent.
  std::atomic<int64_t> messages{0};

 private:
  union Address {
    sockaddr any;
    sockaddr_un local;
  };
  struct Pair {
    Fd client;
    Fd server;
    Cut cut = Cut::None;  // of what is under way
  };

  static Address address_of(const std::string& folder) {
    Address address{};
    address.local.sun_family = AF_UNIX;
    std::strncpy(address.local.sun_path, (folder + "/.s.PGSQL.5432").c_str(),
                 sizeof address.local.sun_path - 1);
    return address;
  }
  static Fd unix_socket() { return Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

  // False: the pair is over.
  static bool pass(int from, int to, bool may_send = true) {
    char bytes[65536];
    ssize_t count = ::recv(from, bytes, sizeof bytes, 0);
    if (count <= 0) return false;
    return may_send && ::send(to, bytes, static_cast<size_t>(count), MSG_NOSIGNAL) == count;
  }
  bool from_client(Pair& pair) {
    ++messages;
    pair.cut = cut.exchange(Cut::None);
    if (pair.cut == Cut::BeforeSending) return false;
    return pass(pair.client.get(), pair.server.get()) && pair.cut != Cut::AfterSending;
  }
  bool from_server(Pair& pair) {
    if (pair.cut == Cut::Silence) {
      (void)pass(pair.server.get(), pair.client.get(), false);
      return true;
    }
    return pass(pair.server.get(), pair.client.get(), pair.cut != Cut::AfterAnswer);
  }
  void run() {
    std::vector<Pair> pairs;
    while (!stop_) {
      std::vector<pollfd> looks{{listener_.get(), POLLIN, 0}};
      for (const auto& pair : pairs) {
        looks.push_back({pair.client.get(), POLLIN, 0});
        looks.push_back({pair.server.get(), POLLIN, 0});
      }
      if (::poll(looks.data(), looks.size(), 20) <= 0) continue;
      for (size_t i = pairs.size(); i-- > 0;) {
        bool open = true;
        if (looks[1 + 2 * i].revents != 0) open = from_client(pairs[i]);
        if (open && looks[2 + 2 * i].revents != 0) open = from_server(pairs[i]);
        if (!open) pairs.erase(pairs.begin() + static_cast<ptrdiff_t>(i));
      }
      if (looks[0].revents == 0) continue;
      Pair pair{Fd(::accept(listener_.get(), nullptr, nullptr)), unix_socket()};
      if (::connect(pair.server.get(), &server_.any, sizeof server_.local) == 0) {
        pairs.push_back(std::move(pair));
      }
    }
  }

  TempFolder folder_;
  Address server_;
  Address here_;
  Fd listener_ = unix_socket();
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class CutConnections : public ::testing::Test {
 protected:
  explicit CutConnections(bool short_limits = false) : short_limits_(short_limits) {
    set_log_level(LogLevel::Error);  // each cut is told
    auto db = must(store_->open_writer());
    must(migrate(*db));
    writer_ =
        must(Writer::open(watched_, {.owner_epoch = must(claim_shards(*db, 0, ShardSet::all())),
                                     .full_retry_ms = 1}));
  }
  store_postgres::Options options(const std::string& url) const {
    return {.url = url,
            .schema = std::filesystem::path(folder_.path()).filename().string(),
            .reader_limit_ms = short_limits_ ? 300 : 60'000,
            .writer_limit_ms = short_limits_ ? 1'000 : 60'000,
            .lock_limit_ms = short_limits_ ? 200 : 60'000,
            .idle_limit_ms = short_limits_ ? 1'000 : 60'000};
  }
  Written write(Changes changes) {
    std::vector<std::unique_ptr<Step>> steps;
    steps.push_back(std::make_unique<Step>());
    steps.back()->changes = std::move(changes);
    auto written = writer_->write(steps, {kNow, 0});
    return std::move(written.front());
  }
  int64_t count(const std::string& text) { return must(query_int(*reader_, text)); }
  bool is_there(int64_t event) {
    return must(find_event(*reader_, kTenant, EventId{event})).has_value();
  }

  const bool short_limits_;  // a busy machine keeps the others
  const PostgresCluster& cluster_ = PostgresCluster::of_this_process();
  TempFolder folder_;
  Proxy proxy_{cluster_.folder()};
  // Beside the proxy.
  std::unique_ptr<sql::Store> direct_ = must(store_postgres::open(options(cluster_.url())));
  std::unique_ptr<sql::Connection> reader_ = must(direct_->open_reader());
  std::unique_ptr<sql::Store> store_ = must(store_postgres::open(options(proxy_.url())));
  WatchedStore watched_{*store_};
  std::unique_ptr<Writer> writer_;
};

class SlowConnections : public CutConnections {
 protected:
  SlowConnections() : CutConnections(true) {}
};

}  // namespace millrace::store::testing
