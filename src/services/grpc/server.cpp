// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/server.h"

#include <fmt/format.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <unordered_map>

#include "base/log.h"
#include "base/text.h"
#include "rpc/status.h"
#include "services/grpc/health.h"
#include "services/grpc/live_call.h"
#include "services/grpc/method_table.h"
#include "services/grpc/rates.h"
#include "services/grpc/reflection.h"
#include "telemetry/trace.h"

namespace millrace::rpc {
namespace {

using grpc::GenericCallbackServerContext;

constexpr int kMostInBytes = 4 << 20;
constexpr int kMostOutBytes = 16 << 20;
constexpr size_t kLongestId = 128;

std::string_view view(grpc::string_ref text) { return {text.data(), text.size()}; }

// "" where it stands twice: what is checked is what was meant.
std::string_view metadata(const GenericCallbackServerContext& context, const char* name) {
  auto [begin, end] = context.client_metadata().equal_range(name);
  return begin != end && std::next(begin) == end ? view(begin->second) : std::string_view();
}

bool is_request_id(std::string_view text) {
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= kLongestId && std::ranges::all_of(text, fits);
}

uint64_t random_word(const auth::Random& random) {
  uint64_t word = 0;
  random({reinterpret_cast<uint8_t*>(&word), sizeof word});
  return word;
}

std::string trace_of(std::string_view given, const auth::Random& random) {
  auto bits = [&] { return random_word(random); };
  auto parsed = telemetry::TraceContext::parse(given);
  return (parsed ? *parsed : telemetry::TraceContext::make(bits)).traceparent();
}

// Of a certificate that the handshake has verified; gRPC shows no others.
Presented presented(const GenericCallbackServerContext& context,
                    const std::vector<grpc::string_ref>& uris) {
  Presented shown;
  shown.is_local = is_local_peer(context.peer());
  for (auto uri : uris) shown.uris.push_back(view(uri));
  constexpr std::string_view kScheme = "bearer ";
  auto header = metadata(context, "authorization");
  if (header.size() > kScheme.size() && iequals_ascii(header.substr(0, kScheme.size()), kScheme)) {
    shown.bearer = trim(header.substr(kScheme.size()));
  }
  return shown;
}

// Whose calls count together: who they are, or where they come from.
std::string rate_key(const Caller& caller) {
  if (caller.peer) return caller.peer->uri();
  if (!caller.who.identity.empty()) {
    return fmt::format("{}/{}", caller.who.tenant.value, caller.who.identity);
  }
  return caller.address.substr(0, caller.address.rfind(':'));
}

Error no_method(std::string_view path) {
  return Error(ErrorKind::Unsupported, "RPC-0008",
               fmt::format("no method '{}' is offered here", path.substr(0, kLongestId)));
}

Error too_many_calls(int most) {
  return Error(ErrorKind::Busy, "RPC-0006", fmt::format("more than {} calls at once", most))
      .with_retry_after(1000);
}

std::pair<std::string_view, std::string_view> names_of(std::string_view method) {
  auto slash = method.find('/');
  return {method.substr(0, slash), method.substr(slash + 1)};
}

void log_call(const CallEnd& end) {
  bool failed = end.error && (end.error->kind() == ErrorKind::Internal);
  auto level = failed ? LogLevel::Warn : end.error ? LogLevel::Info : LogLevel::Debug;
  if (!log_enabled(level)) return;
  write_log(level, "grpc.answered",
            {{"method", end.name},
             {"code", end.error ? name_of(code_of(*end.error)) : "OK"},
             {"error", end.error ? end.error->code() : ""},
             {"ms", static_cast<double>(end.took.count()) / 1e6},
             {"peer", end.caller.address},
             {"request", end.caller.request_id},
             {"trace", end.caller.trace},
             {"identity", end.caller.peer ? end.caller.peer->uri() : end.caller.who.identity}});
}

}  // namespace

// Takes every call, from its head to its handler.
class Server::Chain final : public grpc::CallbackGenericService {
 public:
  Chain(ServerOptions options, const Authentication& authentication)
      : options_(std::move(options)), authentication_(authentication), rates_(options_.rate) {}

  Result<void> start(std::vector<Method> methods);
  void stop(std::chrono::milliseconds grace);

  Health health;
  int port = 0;

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(GenericCallbackServerContext* context) override;
  Caller caller_of(GenericCallbackServerContext& context) const;
  Result<void> admit(const GenericCallbackServerContext& context, const Method* method,
                     Caller& caller);
  void ended(const CallEnd& end);

  const ServerOptions options_;
  const Authentication& authentication_;
  Rates rates_;
  MethodTable table_;
  std::mutex mutex_;
  std::unordered_map<const Call*, std::weak_ptr<LiveCall>> calls_;
  bool draining_ = false;
  std::unique_ptr<grpc::Server> server_;
};

Result<void> Server::Chain::start(std::vector<Method> methods) {
  std::ranges::move(health.methods(), std::back_inserter(methods));
  TRY(table_, MethodTable::create(methods));
  if (options_.reflection) {
    auto services = table_.services();
    services.emplace_back("grpc.reflection.v1alpha.ServerReflection");
    std::ranges::move(reflection(std::move(services)), std::back_inserter(methods));
    TRY(table_, MethodTable::create(std::move(methods)));
  }
  for (const auto& service : table_.services()) health.offer(service);

  grpc::ServerBuilder builder;
  builder.RegisterCallbackGenericService(this);
  builder.SetMaxReceiveMessageSize(kMostInBytes);
  builder.SetMaxSendMessageSize(kMostOutBytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(options_.keepalive_ms));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             static_cast<int>(options_.keepalive_timeout_ms));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options_.max_calls);
  // Two servers never share a port by accident.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  auto where = fmt::format("{}:{}", options_.address, options_.port);
  builder.AddListeningPort(
      where, options_.credentials ? options_.credentials : grpc::InsecureServerCredentials(),
      &port);
  server_ = builder.BuildAndStart();
  if (server_ && port != 0) return {};
  return Error(ErrorKind::Unavailable, "RPC-0002",
               fmt::format("cannot listen on {} for gRPC: is the port taken?", where));
}

// Waits for the calls that are under way: gRPC sends GOAWAY and takes no new ones.
void Server::Chain::stop(std::chrono::milliseconds grace) {
  health.set_serving(false);
  std::vector<std::shared_ptr<LiveCall>> live;
  {
    std::scoped_lock lock(mutex_);
    draining_ = true;
    for (const auto& [key, weak] : calls_) {
      if (auto call = weak.lock()) live.push_back(std::move(call));
    }
  }
  for (const auto& call : live) call->drain();
  live.clear();
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  server_->Wait();
}

Caller Server::Chain::caller_of(GenericCallbackServerContext& context) const {
  Caller caller;
  auto id = metadata(context, "x-request-id");
  caller.request_id =
      is_request_id(id) ? std::string(id) : hex_encode(auth::random_bytes(options_.random, 12));
  caller.trace = trace_of(metadata(context, "traceparent"), options_.random);
  // One far away stands for none.
  auto given = context.deadline();
  auto now = std::chrono::system_clock::now();
  caller.deadline = given - now < std::chrono::hours(24) ? given : now + options_.deadline;
  caller.address = address_of_peer(context.peer());
  return caller;
}

Result<void> Server::Chain::admit(const GenericCallbackServerContext& context, const Method* method,
                                  Caller& caller) {
  if (!method) return no_method(context.method());
  auto auth = context.auth_context();
  std::vector<grpc::string_ref> uris;
  if (auth && auth->IsPeerAuthenticated()) uris = auth->FindPropertyValues("peer_uri");
  TRY(authentication_.identify(presented(context, uris), caller));
  TRY(check_access(method->access, caller));
  // Other servers bring what their own clients ask, which was counted there.
  if (caller.peer && caller.peer->kind == auth::Peer::Kind::Service) return {};
  return rates_.take(rate_key(caller), options_.now_ms());
}

grpc::ServerGenericBidiReactor* Server::Chain::CreateReactor(
    GenericCallbackServerContext* context) {
  const auto* method = table_.find(context->method());
  auto caller = caller_of(*context);
  auto admitted = admit(*context, method, caller);
  context->AddInitialMetadata("x-request-id", caller.request_id);
  auto call = LiveCall::open(*context, method, std::move(caller),
                             [this](const CallEnd& end) { ended(end); });
  bool drain = false;
  {
    std::scoped_lock lock(mutex_);
    if (admitted.ok() && std::cmp_greater_equal(calls_.size(), options_.max_calls)) {
      admitted = too_many_calls(options_.max_calls);
    }
    if (admitted.ok()) calls_.emplace(call.get(), call);
    drain = draining_;
  }
  if (!admitted.ok()) {
    call->finish(admitted.error());
  } else {
    call->serve();
    if (drain) call->drain();
  }
  return call->reactor();
}

void Server::Chain::ended(const CallEnd& end) {
  {
    std::scoped_lock lock(mutex_);
    calls_.erase(&end.call);
  }
  log_call(end);
  if (!options_.observe) return;
  auto [service, name] =
      end.method ? names_of(end.method->name) : std::pair<std::string_view, std::string_view>();
  options_.observe({.service = service,
                    .method = name,
                    .code = end.error ? name_of(code_of(*end.error)) : "OK",
                    .duration_ns = end.took.count(),
                    .is_stream = end.method && end.method->is_stream()});
}

Server::Server(std::unique_ptr<Chain> chain) : chain_(std::move(chain)) {}

Server::~Server() {
  if (chain_) stop(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options,
                                              const Authentication& authentication,
                                              std::vector<Method> methods) {
  auto chain = std::make_unique<Chain>(std::move(options), authentication);
  TRY(chain->start(std::move(methods)));
  return std::unique_ptr<Server>(new Server(std::move(chain)));
}

int Server::port() const { return chain_->port; }
void Server::set_serving(bool serving) { chain_->health.set_serving(serving); }
void Server::stop(std::chrono::milliseconds grace) { chain_->stop(grace); }

}  // namespace millrace::rpc
