// SPDX-License-Identifier: Apache-2.0
#include "api_fixture.h"

#include <fmt/format.h>

#include <filesystem>
#include <future>

#include "adapters/blob_fs/blob_fs.h"
#include "adapters/store_sqlite/store_sqlite.h"
#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "engine/machine/context.h"
#include "engine/transitions/commands.h"
#include "services/api/shared.h"

namespace millrace::api {
namespace {

std::shared_ptr<const Pack> core_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "core";
  pack->version = "1.0.0";
  pack->digest = "c1";
  for (const char* ref : {"core.noop", "core.echo", "core.ask"}) {
    Action action;
    action.ref = ref;
    action.runner = Runner::Builtin;
    action.effect_class = EffectClass::Pure;
    Parameter message;
    message.name = "message";
    message.schema = Value::map({{"type", "string"}});
    action.parameters.push_back(message);
    pack->actions.push_back(action);
  }
  for (const char* ref :
       {"core.webhook", "core.cloudevent", "core.st2.webhook", "core.intervaltimer"}) {
    Trigger trigger;
    trigger.ref = ref;
    for (const char* name : {"name", "source", "type", "url"}) {
      Parameter parameter;
      parameter.name = name;
      parameter.schema = Value::map({{"type", "string"}});
      trigger.parameters.push_back(parameter);
    }
    pack->triggers.push_back(trigger);
  }
  return pack;
}

Action greet_workflow() {
  Action action;
  action.ref = "ci.greet";
  action.runner = Runner::Workflow;
  action.entry_point = "workflows/greet.yaml";
  auto text = parse_yaml("tasks: {one: {action: core.echo, input: {message: hello}}}", "greet");
  action.workflow = std::make_shared<const YamlNode>(std::move(*text));
  return action;
}

}  // namespace

std::shared_ptr<const Pack> ci_pack() {
  auto pack = std::make_shared<Pack>();
  pack->ref = "ci";
  pack->version = "2.0.0";
  pack->digest = "d1";
  pack->folder = "/nowhere";
  pack->source = "/srv/packs/ci";
  Runtime native;
  native.ref = "core.native";
  pack->runtimes.push_back(native);
  Action build;
  build.ref = "ci.build";
  build.runner = Runner::Script;
  build.runtime = "native";
  build.permissions = {"rules:read"};
  for (const char* name : {"branch", "password"}) {
    Parameter parameter;
    parameter.name = name;
    parameter.schema = Value::map({{"type", "string"}});
    parameter.secret = std::string_view(name) == "password";
    build.parameters.push_back(parameter);
  }
  pack->actions.push_back(build);
  pack->actions.push_back(greet_workflow());
  Trigger push;
  push.ref = "ci.push";
  pack->triggers.push_back(push);
  return pack;
}

std::string Answer::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals_ascii(key, name)) return value;
  }
  return {};
}

void KeepingWorker::grant(SessionId, std::vector<kernel::WorkOrder> orders) {
  std::lock_guard lock(mutex_);
  for (auto& order : orders) orders_.push_back(std::move(order));
  changed_.notify_all();
}

kernel::WorkOrder KeepingWorker::next() {
  std::unique_lock lock(mutex_);
  bool there = changed_.wait_for(lock, std::chrono::seconds(20), [&] { return !orders_.empty(); });
  if (!there) throw std::runtime_error("no order came");
  auto order = std::move(orders_.front());
  orders_.erase(orders_.begin());
  return order;
}

Result<WorkerIdentity> ApiTest::admitted(const std::string& name, const std::string& request) {
  auth::Peer peer{auth::Peer::Kind::Worker, name, {}};
  auto certificate = authority_.issue(request, {peer.uri(), {}, {}}, auth::CertificateUse::Client,
                                      now_ms_, auth::kCertificateLifetimeMs);
  if (!certificate.ok()) return certificate.error();
  return WorkerIdentity{.certificate = *certificate,
                        .authorities = authority_.certificate(),
                        .token = {},
                        .expires = now_ms_ + auth::kCertificateLifetimeMs,
                        .grpc = "127.0.0.1:9090"};
}

void ApiTest::SetUp() {
  char name[] = "/tmp/millrace-api-XXXXXX";
  folder_ = mkdtemp(name);
  auto store = store_sqlite::open(folder_);
  ASSERT_TRUE(store.ok()) << store.error().describe();
  store_ = std::move(*store);
  blobs_ = std::move(*blob_fs::open(folder_));
  engine::Engine::Outside outside{
      .now_ms = [this] { return now_ms_.load(); },
      .fatal = [](const Error& error) { FAIL() << error.describe(); },
      .equip = [](kernel::WorkOrder&) {},
      .decided = [](std::string_view, int64_t) {},
      .blobs = blobs_.get(),
  };
  auto engine = engine::Engine::start(
      *store_, {.system = {core_pack()}, .own = {ci_pack()}, .retired = {}, .missing = {}}, {}, {},
      outside);
  ASSERT_TRUE(engine.ok()) << engine.error().describe();
  engine_ = std::move(*engine);

  ApiOptions options;
  options.version = "test";
  options.blobs = blobs_.get();
  options.event_body_limit = 100'000;
  options.now_ms = [this] { return now_ms_.load(); };
  options.join = {.admit = [this](const std::string& name, const std::string& request,
                                  std::string_view) { return admitted(name, request); },
                  .pin = authority_.pin()};
  // Of the first tenant alone.
  auto lone_sensor = [](TenantId tenant, const std::string& ref) {
    bool is_there = tenant == kDefaultTenant && ref == "lone.eye";
    return is_there ? std::optional(SensorInfo{.ref = ref, .pack = "lone", .state = "running"})
                    : std::optional<SensorInfo>();
  };
  options.sensors = {
      .list =
          [lone_sensor](TenantId tenant) {
            std::vector<SensorInfo> all;
            if (auto one = lone_sensor(tenant, "lone.eye")) all.push_back(*one);
            return all;
          },
      .find = lone_sensor,
      .restart = [](TenantId, const std::string&) { return true; },
      .log = [](TenantId, const std::string&, size_t,
                int64_t) { return std::vector<SensorLine>{{1, 5, "stdout", "it sees"}}; }};
  options.random = auth::system_random();
  options.metrics = [] { return std::string("millrace_up 1\n"); };
  auto api = Api::create(*engine_, keys_, tokens_, run_tokens_, pool_, options);
  ASSERT_TRUE(api.ok()) << api.error().describe();
  api_ = std::move(*api);
  api_->set_phase(Phase::Ready);
  auto server = net::HttpServer::listen(loop_.executor(), http_, api_->handlers());
  ASSERT_TRUE(server.ok()) << server.error().describe();
  server_ = std::move(*server);
  client_ = std::make_unique<net::HttpClient>();
  admin_ = token("*");
}

void ApiTest::TearDown() {
  client_.reset();
  if (server_) loop_.block_on(server_->stop(async::Duration(1000)));
  server_.reset();
  api_.reset();
  engine_.reset();
  store_.reset();
  std::filesystem::remove_all(folder_);
}

Secret ApiTest::token(const std::string& permissions, int64_t expires, TenantId tenant) {
  auto token = auth::make_token(auth::system_random());
  std::promise<Result<kernel::TokenRow>> written;
  engine_->submit(
      engine::command::write_token({.tenant = tenant},
                                   {.hash = auth::token_hash(token.reveal()),
                                    .identity = "ada",
                                    .permissions = permissions,
                                    .expires = expires},
                                   [&](auto row) { written.set_value(std::move(row)); }));
  auto row = written.get_future().get();
  EXPECT_TRUE(row.ok());
  tokens_.put({row->id, row->tenant, row->hash, row->identity, row->permissions, row->expires});
  return token;
}

std::string ApiTest::operation(TenantId tenant, const std::string& subject) {
  std::promise<Result<kernel::OperationRow>> written;
  engine_->submit(engine::command::write_operation(
      {.tenant = tenant}, {.kind = "pack.install", .subject = subject, .identity = "admin"},
      [&](auto done) { written.set_value(std::move(done)); }));
  auto done = written.get_future().get();
  EXPECT_TRUE(done.ok());
  return done.ok() ? done->id.str() : std::string();
}

void ApiTest::load_packs(TenantId tenant, std::vector<std::shared_ptr<const Pack>> packs) {
  std::promise<Result<int>> loaded;
  engine_->submit(engine::command::load_packs({.tenant = tenant}, {.own = std::move(packs)},
                                              [&](auto done) { loaded.set_value(done); }));
  auto done = loaded.get_future().get();
  ASSERT_TRUE(done.ok()) << done.error().describe();
}

void ApiTest::authorize(net::ClientRequest& request) const {
  for (const auto& line : request.headers) {
    if (line.first == "Authorization") return;
  }
  request.headers.emplace_back("Authorization", "Bearer " + admin_.reveal());
}

Answer ApiTest::send(std::string_view method, const std::string& path, std::string body,
                     Lines headers) {
  net::ClientRequest request;
  request.method = method;
  request.url = fmt::format("http://127.0.0.1:{}{}", server_->port(), path);
  request.body = std::move(body);
  request.headers = std::move(headers);
  authorize(request);
  auto response = loop_.block_on(client_->send(std::move(request)));
  EXPECT_TRUE(response.ok()) << response.error().describe();
  if (!response.ok()) return {};
  Answer answer{response->status, {}, response->body, response->headers};
  if (auto json = parse_json(answer.text); json.ok()) answer.body = std::move(*json);
  return answer;
}

std::string ApiTest::stream(const std::string& path,
                            const std::function<bool(const std::string&)>& enough, Lines headers) {
  net::ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}{}", server_->port(), path);
  request.headers = std::move(headers);
  authorize(request);
  std::string text;
  auto response = loop_.block_on(client_->stream(std::move(request), [&](std::string_view piece) {
    text += piece;
    return !enough(text);
  }));
  EXPECT_TRUE(response.ok()) << response.error().describe();
  if (response.ok()) EXPECT_EQ(response->status, 200) << response->body;
  return text;
}

void ApiTest::open_worker(const std::string& instance) {
  std::promise<Result<kernel::Session>> opened;
  engine_->open({.name = "w", .slots = 4, .runtimes = {}, .instance = instance, .adopted = {}},
                worker_, [&](auto session) { opened.set_value(std::move(session)); });
  auto session = opened.get_future().get();
  ASSERT_TRUE(session.ok()) << session.error().describe();
  session_ = session->id;
}

void ApiTest::finish(const kernel::WorkOrder& order, std::string out, std::string err) {
  kernel::Completion completion;
  completion.tenant = order.tenant;
  completion.key = order.key;
  completion.out.size = static_cast<int64_t>(out.size());
  completion.out.bytes = std::move(out);
  completion.err.size = static_cast<int64_t>(err.size());
  completion.err.bytes = std::move(err);
  completion.started_ms = completion.ended_ms = now_ms_;
  std::promise<void> done;
  engine_->finished(session_, std::move(completion), [&] { done.set_value(); });
  done.get_future().wait();
}

}  // namespace millrace::api
