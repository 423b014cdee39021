// SPDX-License-Identifier: Apache-2.0
#include "rpc/channel.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdlib>

#include "auth/certificate.h"
#include "rpc/status.h"

namespace millrace::rpc {
namespace {

// Names are looked up as the machine does it (hosts, nsswitch), not by c-ares, which leaks besides.
// Before main: nobody reads the environment yet.
[[maybe_unused]] const int kSystemResolver = ::setenv("GRPC_DNS_RESOLVER", "native", 0);

constexpr int kMostInBytes = 16 << 20;
constexpr int kReconnectMs = 100;  // and twice as long each time, up to
constexpr int kMostReconnectMs = 2'000;
constexpr int kConnectMs = 3'000;  // an attempt has so long, its handshake included

grpc::ChannelArguments arguments(const std::string& target) {
  grpc::ChannelArguments args;
  args.SetSslTargetNameOverride(auth::kServerName);
  args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, target);
  args.SetMaxReceiveMessageSize(kMostInBytes);
  // In spite of its name the time that each attempt has at least.
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMostReconnectMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // not shared with other channels
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);          // servers are asked as they are named
  args.SetServiceConfigJSON("{}");
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  return args;
}

// gRPC says it in words only. Then the call never left: it may be made to somebody else.
bool was_not_sent(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         status.error_message().starts_with("failed to connect to all addresses");
}

// How a call has ended that did not end well.
Error error_of_call(const grpc::ClientContext& context, const grpc::Status& status) {
  if (was_not_sent(status)) {
    return Error(ErrorKind::Unavailable, kNotReached,
                 "the other side was not reached, nothing was sent: " + status.error_message());
  }
  const auto& trailers = context.GetServerTrailingMetadata();
  auto detail = trailers.find(grpc::string_ref(kErrorTrailer.data(), kErrorTrailer.size()));
  if (detail == trailers.end()) return error_of(status, {});
  return error_of(status, {detail->second.data(), detail->second.size()});
}

void prepare(grpc::ClientContext& context, const CallOptions& options) {
  if (options.timeout.count() > 0) {
    context.set_deadline(std::chrono::system_clock::now() + options.timeout);
  }
  auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) context.AddMetadata(name, value);
  };
  if (!options.bearer.empty()) add("authorization", "Bearer " + options.bearer.reveal());
  add("x-request-id", options.request_id);
  add("traceparent", options.trace);
}

// gRPC ends the threads that call back when the last channel goes, which a context may let go on
// one of them: it then frees them twice. The first channel stays as long as the process.
void keep_the_first(const std::shared_ptr<grpc::Channel>& channel) {
  static const auto* const kept = new auto(channel);
  (void)kept;
}

// One unary call under way; ends itself.
struct Pending {
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer reply;
  std::function<void(Result<grpc::ByteBuffer>)> got;
};

// A call that is answered with many messages. Keeps itself until gRPC is done with it.
class Following final : private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static std::shared_ptr<Following> start(const std::shared_ptr<grpc::Channel>& channel,
                                          const std::string& method, grpc::ByteBuffer request,
                                          const CallOptions& options, Channel::Stream stream) {
    auto call = std::make_shared<Following>();
    call->self_ = call;
    call->request_ = std::move(request);
    call->stream_ = std::move(stream);
    prepare(call->context_, options);
    grpc::GenericStub stub(channel);
    stub.PrepareBidiStreamingCall(&call->context_, '/' + method, {}, call.get());
    call->StartWriteLast(&call->request_, {});
    call->StartRead(&call->incoming_);
    call->StartCall();
    return call;
  }
  void cancel() { context_.TryCancel(); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    stream_.got(incoming_);
    StartRead(&incoming_);
  }
  void OnDone(const grpc::Status& status) override {
    auto keep = std::move(self_);
    auto over = std::move(stream_.over);
    over(status.ok() ? Result<void>() : Result<void>(error_of_call(context_, status)));
  }

  std::shared_ptr<Following> self_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer incoming_;
  Channel::Stream stream_;
};

}  // namespace

Channel::Channel(const std::string& target, std::shared_ptr<grpc::ChannelCredentials> credentials)
    : channel_(grpc::CreateCustomChannel(
          target, credentials ? std::move(credentials) : grpc::InsecureChannelCredentials(),
          arguments(target))) {}

void Channel::call(const std::string& method, const google::protobuf::MessageLite& request,
                   const CallOptions& options,
                   std::function<void(Result<grpc::ByteBuffer>)> got) const {
  auto pending = std::make_shared<Pending>();
  pending->request = to_bytes(request);
  pending->got = std::move(got);
  prepare(pending->context, options);
  keep_the_first(channel_);
  grpc::GenericStub stub(channel_);
  stub.UnaryCall(&pending->context, '/' + method, {}, &pending->request, &pending->reply,
                 [pending](const grpc::Status& status) {
                   if (status.ok()) return pending->got(std::move(pending->reply));
                   pending->got(error_of_call(pending->context, status));
                 });
}

std::shared_ptr<void> Channel::follow(const std::string& method,
                                      const google::protobuf::MessageLite& request,
                                      const CallOptions& options, Stream stream) const {
  keep_the_first(channel_);
  auto call = Following::start(channel_, method, to_bytes(request), options, std::move(stream));
  return {call.get(), [call](void*) { call->cancel(); }};
}

}  // namespace millrace::rpc
