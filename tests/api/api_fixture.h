// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "async/loop.h"
#include "async/pool.h"
#include "auth/certificate.h"
#include "auth/key_ring.h"
#include "auth/peer.h"
#include "auth/token.h"
#include "base/value.h"
#include "engine/engine.h"
#include "model/pack.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "services/api/api.h"
#include "store/sql.h"

namespace millrace::api {

struct Answer {
  int status = 0;
  Value body;        // parsed, when it is JSON
  std::string text;  // as it came
  net::HeaderList headers;

  const Value& data() const { return body["data"]; }
  std::string code() const { return std::string(body.string_or("code", "")); }
  std::string header(std::string_view name) const;
};

// A worker that keeps its orders until the test ends them.
class KeepingWorker final : public kernel::WorkReceiver {
 public:
  void grant(SessionId session, std::vector<kernel::WorkOrder> orders) override;
  void cancel(SessionId, const Of<kernel::RunKey>&, std::string) override {}
  // Waits for the next order.
  kernel::WorkOrder next();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<kernel::WorkOrder> orders_;
};

// A script action with a secret parameter, a workflow and a trigger.
std::shared_ptr<const Pack> ci_pack();

// A server on a free port of the loopback, with two packs: `core` as far as these tests need it,
// which every tenant sees, and `ci` of the default tenant.
class ApiTest : public testing::Test {
 protected:
  using Lines = net::HeaderList;

  void SetUp() override;
  void TearDown() override;

  // As the admin, unless `headers` bring their own Authorization.
  Answer send(std::string_view method, const std::string& path, std::string body = {},
              Lines headers = {});
  Answer get(const std::string& path) { return send("GET", path); }
  Answer post(const std::string& path, const std::string& json) {
    return send("POST", path, json, {{"Content-Type", "application/json"}});
  }
  // Server-sent events until `enough` says so.
  std::string stream(const std::string& path, const std::function<bool(const std::string&)>& enough,
                     Lines headers = {});
  // A token with these permissions. A second tenant is there as soon as somebody has a token of it.
  Secret token(const std::string& permissions, int64_t expires = 0,
               TenantId tenant = kDefaultTenant);
  // The id of a new operation that is running.
  std::string operation(TenantId tenant, const std::string& subject);
  void load_packs(TenantId tenant, std::vector<std::shared_ptr<const Pack>> packs);
  static Lines bearer(const Secret& token) {
    return {{"Authorization", "Bearer " + token.reveal()}};
  }
  // `instance`: of its spawner. Another one than before: the runs of the old one are lost.
  void open_worker(const std::string& instance = "i1");
  // Ends a run with this output.
  void finish(const kernel::WorkOrder& order, std::string out, std::string err = {});

  // What joining comes to, without a gRPC server.
  Result<WorkerIdentity> admitted(const std::string& name, const std::string& request);

  // As the admin, unless it says itself as whom.
  void authorize(net::ClientRequest& request) const;

  std::string folder_;
  std::atomic<int64_t> now_ms_{1'767'225'600'000};
  std::unique_ptr<sql::Store> store_;
  std::unique_ptr<kernel::Blobs> blobs_;
  KeepingWorker worker_;
  SessionId session_;  // of the worker
  std::unique_ptr<engine::Engine> engine_;
  auth::Authority authority_ = auth::Authority::derive(Secret("test"));
  auth::KeyRing keys_ = auth::KeyRing::create(auth::system_random());
  auth::TokenCache tokens_;
  auth::RunTokens run_tokens_{keys_.derive("run tokens")};
  async::Loop loop_;
  async::Pool pool_{{.name = "read", .threads = 2}};
  std::unique_ptr<Api> api_;
  net::HttpServerOptions http_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<net::HttpClient> client_;
  Secret admin_;
};

}  // namespace millrace::api
